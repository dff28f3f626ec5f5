package protocol

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
)

// By adds who answered behind a gateway, by what it has beside an error: the members
// provider and extra_fields, or nothing.
func (f *Fault) By(provider, extra []byte) {
	var fields struct{ Provider json.RawMessage }
	if len(extra) > 0 {
		_ = json.Unmarshal(extra, &fields) // of another form it says nothing
	}
	f.Provider = cmp.Or(f.Provider, Scalar(provider), Scalar(fields.Provider))
}

// Relayed reports whether an error is that of a server behind a gateway, which
// passes it on: a key or a quota that is not taken there is the gateway's for the
// models of that server, and no matter of the others that it has.
//
// LiteLLM's proxy says so by headers (llm_provider-…, x-litellm-model-id) and the
// message (litellm.AuthenticationError: …), Portkey by "provider" beside "error",
// Bifrost by extra_fields.provider, OpenRouter by metadata.provider_name.
func (f *Fault) Relayed(h http.Header) bool {
	if f.Provider != "" || strings.HasPrefix(f.Message, "litellm.") {
		return true
	}
	for name := range h {
		if strings.HasPrefix(name, "Llm_provider-") || name == "X-Litellm-Model-Id" {
			return true
		}
	}
	return false
}
