// Package openai is OpenAI's protocol, of all servers that speak it, and Azure's
// paths to it. It is the only place that knows go-openai and the shape of
// OpenAI's bodies.
//
// The router's form is OpenAI's, so bytes go through unchanged both ways: a body
// is sent as it came, but for the wish for usage in a stream and a server's dialect, and an answer is
// the bytes that the server sent. What is read of them, errors, counts, and what
// a success must hold, is read where it stands.
//
// Other protocols may use [Merger]: it makes the whole answer of a stream that
// has been put into OpenAI's chunks.
package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"pelton/router/credentials"
	"pelton/router/protocol"
	"pelton/schema"
)

// Protocol is OpenAI's, of one deployment.
type Protocol struct {
	requests  map[schema.Endpoint]*http.Request // to copy; never changed
	base      string                            // for hints
	azure     bool
	token     func(context.Context) (string, error)
	entra     *credentials.Entra // whose token that is; nil: it is not Entra's
	edits     *edits             // nil: bodies go as they come
	noOptions atomic.Bool        // the server refuses stream_options
}

// New makes the protocol of a server that speaks OpenAI's. Its settings are
// organization and project, and of the server's dialect in chat completions: renames, a
// parameter's name and the server's for it, and lacks, the parameters that are left out
// with DropParams; words with blanks between. For Entra's tokens, which replace a key, see
// [credentials.EntraSettings].
func New(u protocol.Upstream) (protocol.Protocol, error) { return made(u, false) }

// NewAzure makes the protocol of an Azure OpenAI resource: the base URL is the
// resource's, the model its deployment's name. Its settings are api_version, and
// azure_ad_token in the place of a key.
func NewAzure(u protocol.Upstream) (protocol.Protocol, error) { return made(u, true) }

func made(u protocol.Upstream, azure bool) (protocol.Protocol, error) {
	entra, err := credentials.EntraSettings(u.Settings, u.Transport)
	if err != nil {
		return nil, err
	}
	if entra != nil && u.Token == nil {
		u.Token, u.Key = entra.Token, ""
	}
	requests, err := templates(u, azure)
	if err != nil {
		return nil, err
	}
	return &Protocol{requests: requests, base: u.BaseURL, azure: azure, token: u.Token, entra: entra, edits: newEdits(u)}, nil
}

// Serves reports whether there is such an endpoint.
func (p *Protocol) Serves(endpoint schema.Endpoint) (ok, streams bool) {
	switch endpoint {
	case schema.ChatCompletions, schema.Completions, schema.Responses:
		streams = true
	}
	return p.requests[endpoint] != nil, streams
}

// usageAdded is the note of a call whose body was given a wish for usage that
// the caller did not have.
const usageAdded = true

// Encode copies the endpoint's request around the bytes of the body.
func (p *Protocol) Encode(ctx context.Context, c *protocol.Call) error {
	made := p.requests[c.Endpoint]
	if made == nil {
		return fmt.Errorf("unknown endpoint %q", c.Endpoint)
	}
	c.Req = made.WithContext(ctx)
	if p.azure && c.Model != "" {
		c.Req.URL = withModel(c.Req.URL, c.Model)
	}
	body := c.Body
	if p.edits != nil && c.Endpoint == schema.ChatCompletions {
		body = p.edits.apply(body)
	}
	if c.Streamed {
		c.OwnHeader()["Accept"] = []string{"text/event-stream"}
		if !p.noOptions.Load() {
			if asking, added := askForUsage(body, c.Endpoint); added {
				body, c.Note = asking, usageAdded
			}
		}
	}
	if p.token != nil {
		token, err := p.token(ctx)
		if err != nil {
			return protocol.NoToken(err)
		}
		c.OwnHeader()["Authorization"] = []string{"Bearer " + token}
	}
	if body != nil {
		c.SetBody(body)
	}
	return nil
}

// Decode reads an answer where it stands.
func (p *Protocol) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	b := parseBody(reply.Body)
	a := protocol.Answer{
		Body: reply.Body, JSON: b.valid, Usage: parseUsage(b.usage), Reset: protocol.Exhausted(reply.Header, reply.At),
	}
	a.Fault, a.Failed = b.fault()
	if reply.OK() && !a.Failed {
		a.Lacks = b.lacks(c.Endpoint)
		if a.Failed = a.Lacks == "" && b.withheld(c.Endpoint); a.Failed {
			a.Fault = protocol.Fault{Class: schema.ClassContentPolicy, Code: "content_filter", Message: "the answer was kept back for its content: it ended by the filter before anything was said"}
		}
		return a
	}
	if !a.Failed {
		a.Fault.Message, a.Fault.Loose = protocol.Words(reply.Body), true
	}
	a.Hint = p.hint(reply, &b, &a.Fault)
	if a.Again = p.refusesOptions(c, reply); reply.Status == http.StatusUnauthorized && p.entra != nil && p.entra.Refused() {
		a.Again, a.Fault.Class = true, schema.ClassTransient // with another token
	}
	return a
}

// Secrets are the tokens that an answer might repeat.
func (p *Protocol) Secrets() []string {
	if p.entra == nil {
		return nil
	}
	return p.entra.Secrets()
}

// hint is what a person is likely to have got wrong with the address.
func (p *Protocol) hint(reply protocol.Reply, b *body, f *protocol.Fault) string {
	lost := reply.Status == http.StatusNotFound || reply.Status == http.StatusMethodNotAllowed || reply.Status == http.StatusOK && !b.valid
	switch {
	case lost && !hasVersion(p.base) && !f.NamesModel():
		return "; the base URL " + p.base + " holds no version such as /v1: is it complete?"
	case lost && reply.Status == http.StatusNotFound && strings.HasSuffix(p.base, "/v1") && !f.NamesModel():
		return "; is the base URL " + p.base + " right? Some servers have no /v1: `pelton check` looks for it"
	case strings.Contains(strings.ToLower(string(b.text())), "unexpected endpoint or method"):
		return "; is the base URL " + p.base + " complete (/v1)?"
	}
	return ""
}

// hasVersion reports whether a path segment of the URL is a version.
func hasVersion(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	for _, segment := range strings.Split(rest, "/")[1:] {
		if len(segment) >= 2 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9' || segment == "openai" {
			return true
		}
	}
	return false
}

// refusesOptions notes that the server does not know stream_options, where that
// is what it answered: it is asked again without.
func (p *Protocol) refusesOptions(c *protocol.Call, reply protocol.Reply) bool {
	if c.Note != usageAdded || reply.Status != http.StatusBadRequest && reply.Status != http.StatusUnprocessableEntity {
		return false
	}
	if !bytes.Contains(reply.Body, []byte("stream_options")) {
		return false
	}
	p.noOptions.Store(true)
	return true
}

// Models returns the listed names. Azure lists what could be deployed, not what is.
func (p *Protocol) Models(raw []byte) []string {
	var models struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if _ = json.Unmarshal(raw, &models); p.azure {
		return nil
	}
	names := make([]string, len(models.Data))
	for i, m := range models.Data {
		names[i] = m.ID
	}
	return names
}
