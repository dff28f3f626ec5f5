package protocol

import (
	"context"
	"fmt"
	"net/http"
)

// Upstream is what a protocol is told of its deployment: the server, and the
// account there. It holds secrets, and prints nothing of itself but its ID.
type Upstream struct {
	// ID is the deployment's, for messages.
	ID string

	// BaseURL is the server's address without credentials and without a slash at
	// its end. Its query, where it has one, goes with every call. Empty: the
	// server's usual address.
	BaseURL string

	// Model is the name that the server is given. It may hold a "*": then only
	// [Call.Model] is one.
	Model string

	// Key is the API key. Empty: none.
	Key string

	// Token gives a bearer token to send in the place of a key; it changes while
	// the program runs. nil: there is none.
	Token func(ctx context.Context) (string, error)

	// Headers are sent with each call, in the place of any other of that name.
	Headers map[string]string

	// Settings are the protocol's own, by the names that LiteLLM gives them, such
	// as aws_region_name. Those that are not set are not in it.
	Settings map[string]string

	// DropParams says that parameters which the server has no place for are left
	// out, instead of the request being refused.
	DropParams bool

	// Dropped is told of each parameter that is left out for DropParams, and why, by
	// the name that a refusal would have; again with each request. It is safe for
	// concurrent use. nil: nobody is told.
	Dropped func(param, why string)

	// Transport makes calls by the way that the deployment is configured with
	// (proxy, authorities). It follows no redirect.
	Transport http.RoundTripper
}

// FixedHeader is what each call carries: who asks, and the configured headers.
func (u Upstream) FixedHeader() http.Header {
	fixed := http.Header{"User-Agent": {"pelton"}}
	for name, value := range u.Headers {
		fixed.Set(name, value)
	}
	return fixed
}

// Drop is what a deployment does with parameters that its server has no place for.
// The zero value refuses them.
type Drop struct {
	on   bool
	told func(param, why string)
}

// Drop is the deployment's.
func (u Upstream) Drop() Drop { return Drop{u.DropParams, u.Dropped} }

// Out reports whether a parameter may be left out. Who asks leaves it out then.
func (d Drop) Out(param, why string) bool {
	if d.on && d.told != nil {
		d.told(param, why)
	}
	return d.on
}

// Format prints the ID for every verb.
func (u Upstream) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("upstream " + u.ID)) }

// MarshalText is as [Upstream.Format].
func (u Upstream) MarshalText() ([]byte, error) { return []byte("upstream " + u.ID), nil }
