package router

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"pelton/router/internal/http1"
	"pelton/router/protocol"
	"pelton/schema"
)

// timeUp is the context cause by which Do ends a call of its own accord.
type timeUp struct {
	after   time.Duration
	attempt bool   // only this attempt's time; else the request's
	what    string // with a %v for after, of a stream's clocks; empty: the attempt's own
}

func (t *timeUp) Error() string {
	switch {
	case t.after < 0:
		return "the request's time had run out before it was called"
	case t.attempt:
		return t.text()
	default:
		return fmt.Sprintf("the request's time of %v ran out", t.after)
	}
}

func (t *timeUp) text() string {
	if t.what == "" {
		return fmt.Sprintf("no answer within the attempt's %v", t.after)
	}
	return fmt.Sprintf(t.what, t.after)
}

// errExpired ends what is of no use any more.
var errExpired = &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "the job's deadline passed"}

// waitedError is [endError] of a request that was waiting; reason is what for, empty
// where it was not.
func waitedError(cause error, reason string) *schema.Error {
	e := endError(cause)
	switch {
	case reason == "":
	case e.Class == schema.ClassTimeout:
		e.Message = protocol.OneLine("the request's time ran out while it waited: "+reason, protocol.MaxMessage)
	case e.Class == schema.ClassExpired:
		e.Message = protocol.OneLine("the job's deadline passed while it waited: "+reason, protocol.MaxMessage)
	}
	return e
}

// endError says what the end of a context means for a request; cause is
// context.Cause of it.
func endError(cause error) *schema.Error {
	var given *schema.Error
	var up *timeUp
	switch {
	case errors.As(cause, &given):
		e := *given // the caller's own, never changed
		return &e
	case errors.As(cause, &up) && up.attempt: // the next attempt may be quicker
		return &schema.Error{Class: schema.ClassTransient, Code: schema.CodeTimeout, Message: up.Error()}
	case errors.As(cause, &up):
		return &schema.Error{Class: schema.ClassTimeout, Code: schema.CodeTimeout, Message: up.Error()}
	case errors.Is(cause, context.DeadlineExceeded):
		return &schema.Error{Class: schema.ClassTimeout, Code: schema.CodeTimeout, Message: "the caller's time for the request ran out"}
	default:
		return &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "cancelled"}
	}
}

// unanswered classifies a call without a whole answer.
func (a reply) unanswered() judgement {
	if a.ended != nil {
		e := endError(a.ended)
		return judgement{err: e, retry: e.Class == schema.ClassTransient}
	}
	var stale *http1.StaleError
	if errors.As(a.err, &stale) {
		return judgement{retry: true, stale: true, err: &schema.Error{
			Class: schema.ClassTransient, Code: schema.CodeStaleConnection,
			Message: fmt.Sprintf("%s had closed the connection, unused for %v; the request was sent once more on a new one", a.host, stale.Idle.Round(time.Millisecond)),
		}}
	}
	return judgement{retry: true, err: &schema.Error{
		Class: schema.ClassTransient, Code: schema.CodeConnection, Message: a.connection(),
	}}
}

// connection says in a person's words why there is no answer.
func (a reply) connection() string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		op        *net.OpError
		timeout   net.Error
	)
	err := a.err
	reach := "cannot reach " + a.host + ": "
	switch text := err.Error(); {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return reach + "the proxy failed: " + op.Err.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return reach + "no such host (is api_base right?)"
	case errors.As(err, &dns):
		return reach + "its name could not be looked up: " + dns.Err
	case errors.Is(err, syscall.ECONNREFUSED):
		return reach + "connection refused (is the server running?)"
	case errors.As(err, &authority):
		return reach + "its certificate is signed by an authority that is not trusted here"
	case errors.As(err, &hostname):
		return reach + "its certificate is for another host"
	case errors.As(err, &invalid):
		return reach + "its certificate is not valid: " + invalid.Error()
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return reach + "it does not speak TLS (should api_base begin with http:// ?)"
	case errors.As(err, &alert), strings.HasPrefix(text, "tls: "), strings.HasPrefix(text, "remote error: tls"):
		return reach + "TLS failed: " + text
	case a.Status != 0:
		return a.host + " broke off its answer: " + text
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed"):
		return a.host + " closed the connection without an answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return reach + "no connection in time: " + text
	default:
		return reach + text
	}
}
