// Package ending says what it means that a call ended without an answer, or a request
// without a call: whose time was up, who gave up, and what was wrong on the way.
package ending

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

	"pelton/router/protocol"
	"pelton/schema"
)

// TimeUp is the context cause by which the router ends a call of its own accord.
type TimeUp struct {
	After   time.Duration // negative: it had run out before the call
	Attempt bool          // only this attempt's time; else the request's
	What    string        // with a %v for After, of a stream's clocks; empty: the attempt's own
}

func (t *TimeUp) Error() string {
	switch {
	case t.After < 0:
		return "the request's time had run out before it was called"
	case t.Attempt:
		return t.text()
	default:
		return fmt.Sprintf("the request's time of %v ran out", t.After)
	}
}

func (t *TimeUp) text() string {
	if t.What == "" {
		return fmt.Sprintf("no answer within the attempt's %v", t.After)
	}
	return fmt.Sprintf(t.What, t.After)
}

// Expired ends what is of no use any more.
var Expired = &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "the job's deadline passed"}

// Waiting is [Of] for a request that was waiting; reason is what for, empty
// where it was not.
func Waiting(cause error, reason string) *schema.Error {
	e := Of(cause)
	switch {
	case reason == "":
	case e.Class == schema.ClassTimeout:
		e.Message = protocol.OneLine("the request's time ran out while it waited: "+reason, protocol.MaxMessage)
	case e.Class == schema.ClassExpired:
		e.Message = protocol.OneLine("the job's deadline passed while it waited: "+reason, protocol.MaxMessage)
	}
	return e
}

// Of says what the end of a context means for a request; cause is
// context.Cause of it.
func Of(cause error) *schema.Error {
	var given *schema.Error
	var up *TimeUp
	switch {
	case errors.As(cause, &given):
		e := *given // the caller's own, never changed
		return &e
	case errors.As(cause, &up) && up.Attempt: // the next attempt may be quicker
		return &schema.Error{Class: schema.ClassTransient, Code: schema.CodeTimeout, Message: up.Error()}
	case errors.As(cause, &up):
		return &schema.Error{Class: schema.ClassTimeout, Code: schema.CodeTimeout, Message: up.Error()}
	case errors.Is(cause, context.DeadlineExceeded):
		return &schema.Error{Class: schema.ClassTimeout, Code: schema.CodeTimeout, Message: "the caller's time for the request ran out"}
	default:
		return &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "cancelled"}
	}
}

// Unanswered says in a person's words why there is no answer of host, or, where it had
// begun, not all of one.
func Unanswered(err error, host string, begun bool) string {
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
	reach := "cannot reach " + host + ": "
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
	case begun:
		return host + " broke off its answer: " + text
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed"):
		return host + " closed the connection without an answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return reach + "no connection in time: " + text
	default:
		return reach + text
	}
}
