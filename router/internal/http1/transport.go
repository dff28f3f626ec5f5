// Package http1 makes small calls over unencrypted HTTP/1.1 in the goroutine of
// the caller.
//
// net/http's transport has two goroutines per connection, and hands each call
// from one to the other four times: with a model server that is near and quick
// it takes twice the processor's time of the same call without them
// (BenchmarkRoundTrip). What they are for, an answer that comes before the whole
// request is sent, a small request has no need of.
//
// Only the way to the server and the connections that are kept are this
// package's. net/http reads the answers, and makes every call that is not such a
// one: TLS and with it HTTP/2, proxies, bodies that are large or of unknown size.
package http1

import (
	"errors"
	"net/http"
	"sync"
)

// maxBody is what a body may have to be sent in one go: with more than the
// kernel takes at once, a server that answers before it has read would not be
// heard.
const maxBody = 64 << 10

// Transport is an [http.RoundTripper]. Make one with [New]; it is safe for
// concurrent use.
type Transport struct {
	next *http.Transport
	far  *far

	mu    sync.Mutex
	hosts map[string]*host // by the host of a URL; nil: net/http makes the calls to it
}

// New returns a transport that leaves to next what it does not do itself, and
// has its settings: how to dial, which proxy, how many connections are kept for
// how long at most, and how large the header of an answer may be.
func New(next *http.Transport) *Transport {
	return &Transport{next: next, far: newFar(next), hosts: map[string]*host{}}
}

// UnsentError is the error of a call of which not one byte was sent: the server
// could not be reached, or the call had ended before.
type UnsentError struct{ error }

// Unwrap returns what went wrong.
func (e UnsentError) Unwrap() error { return e.error }

// RoundTrip makes a call, as [http.RoundTripper] describes it. Where a kept
// connection turns out to have been closed ([StaleError]), the request is sent
// once more on a fresh one.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Call(req, false)
	var stale *StaleError
	if !errors.As(err, &stale) {
		return resp, err
	}
	again := resend(req)
	if again == nil {
		return nil, err
	}
	return t.Call(again, true)
}

// Call is RoundTrip that leaves it to the caller to make a call once more: the
// error is a [*StaleError] where that should be done. With fresh it takes no
// connection that had a call before, and gives no such error. A request is sent a
// second time by Call itself only where a kept connection took not a single byte
// of it.
func (t *Transport) Call(req *http.Request, fresh bool) (*http.Response, error) {
	h := t.host(req)
	if h == nil {
		return t.far.call(req, fresh)
	}
	text, err := encode(req)
	_ = req.Body.Close()
	if err != nil {
		return nil, UnsentError{err}
	}
	defer text.free()
	for ctx := req.Context(); ; {
		if ended := endOf(ctx); ended != nil {
			return nil, UnsentError{ended}
		}
		c, err := h.conn(ctx, fresh)
		if err != nil {
			return nil, UnsentError{err}
		}
		resp, err := c.exchange(req, text.bytes)
		if !errors.Is(err, errStale) {
			return resp, err
		}
	}
}

// host returns what is known of a request's server; nil: the call is not one
// that this package makes.
func (t *Transport) host(req *http.Request) *host {
	if !canPeek || !small(req) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h, known := t.hosts[req.URL.Host]
	if !known {
		h = newHost(t.next, req)
		t.hosts[req.URL.Host] = h
	}
	return h
}

// small reports whether a request can be sent in one go, and is as plain as the
// calls of an API are.
func small(req *http.Request) bool {
	agent := req.Header["User-Agent"] // net/http has one of its own, and takes "" for none
	return req.Method == http.MethodPost && req.URL.Scheme == "http" && len(agent) == 1 && agent[0] != "" &&
		req.Body != nil && req.ContentLength > 0 && req.ContentLength <= maxBody &&
		len(req.TransferEncoding) == 0 && len(req.Trailer) == 0 && !req.Close &&
		req.Header["Expect"] == nil && req.Header["Connection"] == nil && req.Header["Upgrade"] == nil
}

// CloseIdleConnections closes the connections that are kept, and those that are
// in use once they no longer are, until the next call.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	for _, h := range t.hosts {
		if h != nil {
			h.idle.close()
		}
	}
	t.mu.Unlock()
	t.far.close()
}
