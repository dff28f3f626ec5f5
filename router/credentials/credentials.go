// Package credentials proves to providers who is asking: by a key in a header, a
// token that is renewed, or a signature. A protocol asks an [Authorizer] for
// each request, and knows nothing of where the credentials come from.
package credentials

import (
	"context"
	"fmt"
	"net/http"
)

// Authorizer makes a request one that the provider accepts. It is safe for
// concurrent use.
type Authorizer interface {
	// Authorize adds to the header of req, which must be this request's own, what
	// proves who is asking. body is what req sends, for signatures. Everything
	// that a signature covers has to be set before. It may call a server for a
	// token, within ctx; the error says what to do, and holds no secret.
	Authorize(ctx context.Context, req *http.Request, body []byte) error
}

// Static is an [Authorizer] that sends the same header with every request, such
// as a key. It may be applied once to a header that all requests share. It
// prints nothing of its value.
type Static struct {
	name  string
	value *string
}

// Header returns a Static for a header of that name.
func Header(name, value string) Static { return Static{name: name, value: &value} }

// Bearer returns a Static for a token that does not change.
func Bearer(token string) Static { return Header("Authorization", "Bearer "+token) }

// Authorize sets the header. The error is always nil.
func (s Static) Authorize(_ context.Context, req *http.Request, _ []byte) error {
	s.Set(req.Header)
	return nil
}

// Set sets the header in h.
func (s Static) Set(h http.Header) {
	if s.value != nil {
		h.Set(s.name, *s.value)
	}
}

// Format prints the header's name for every verb.
func (s Static) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "header %s", s.name) }

// Token is an [Authorizer] that asks for a bearer token before each request.
// The function keeps the token for as long as it is good; it is safe for
// concurrent use.
type Token func(ctx context.Context) (string, error)

// Authorize sets Authorization to the token.
func (t Token) Authorize(ctx context.Context, req *http.Request, _ []byte) error {
	token, err := t(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}
