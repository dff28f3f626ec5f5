package natsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
)

// Kind says what kept a connection from being made.
type Kind int

// The kinds of failure.
const (
	Unreachable Kind = iota // no server answered: it may later
	Refused                 // a server answered and did not want us, or we not it
	Setup                   // what we were told to connect with cannot be used
)

// Error is why there is no connection to NATS. Its text says what to do.
type Error struct {
	Kind   Kind
	Server string // the addresses, without credentials; empty for Setup
	Err    error
	hint   string
}

func (e *Error) Error() string {
	text := e.Err.Error()
	switch e.Kind {
	case Unreachable:
		text = fmt.Sprintf("cannot reach NATS at %s: %s", e.Server, text)
	case Refused:
		text = fmt.Sprintf("NATS at %s: %s", e.Server, text)
	}
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

func setupError(format string, a ...any) *Error {
	return &Error{Kind: Setup, Err: fmt.Errorf(format, a...)}
}

// failed turns an error of nats.Connect into one for people.
func (s *settings) failed(err error) *Error {
	e := &Error{Kind: Unreachable, Server: Redact(s.URL), Err: scrub(err)}
	e.hint = "start one with `pelton worker`, or set NATS_URL"
	if s.name != "" {
		e.hint = "check the NATS context " + s.name
	}
	var header tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, nats.ErrNoServers):
		e.Err = plain("connection refused", err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrNkeysNotSupported):
		e.Kind, e.Err = Refused, plain(strings.TrimPrefix(err.Error(), "nats: "), err)
		e.hint = "check the credentials: NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD, or the NATS context"
	case errors.As(err, &certificate):
		e.Kind, e.hint = Refused, "set NATS_CA to the authority that signed the server's certificate"
	case errors.As(err, &header), errors.Is(err, nats.ErrSecureConnWanted):
		e.Kind, e.hint = Refused, "the server speaks no TLS; use nats:// and no certificates"
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrTLS):
		e.Kind, e.hint = Refused, "the server wants TLS: use tls://, NATS_CA, NATS_CERT and NATS_KEY"
	}
	return e
}

// rephrased is an error with a better text.
type rephrased struct {
	text string
	err  error
}

func plain(text string, err error) error { return &rephrased{text, err} }
func (r *rephrased) Error() string       { return r.text }
func (r *rephrased) Unwrap() error       { return r.err }

// userInfo is all before the last @ of a word, whether the address has a scheme
// or not, and whatever stands in the password that does not belong there.
var userInfo = regexp.MustCompile(`((?:^|[\s,"'(])(?:[a-zA-Z][a-zA-Z0-9+.-]*://)?)[^\s,"']*@`)

// Redact returns addresses without the user, password or token in them.
func Redact(addresses string) string { return userInfo.ReplaceAllString(addresses, "$1") }

// scrub returns err, or one that hides the credentials that its text holds.
func scrub(err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); Redact(text) != text {
		return errors.New(Redact(text)) // not wrapped: the cause holds the text
	}
	return err
}
