package http1

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"
)

// maxHeader is how large the header of an answer may be where nothing is said, as
// in net/http.
const maxHeader = 10 << 20

// host is a server that is called directly.
type host struct {
	addr      string // to dial
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	maxHeader int64
	idle      idle
}

// newHost returns the host of a request's URL, where its calls go to it without
// a proxy and its name is plain.
func newHost(next *http.Transport, req *http.Request) *host {
	if next.Proxy != nil {
		if proxy, err := next.Proxy(req); err != nil || proxy != nil {
			return nil
		}
	}
	name, port := req.URL.Hostname(), req.URL.Port()
	if port == "" {
		port = "80"
	}
	if name == "" || !httpguts.ValidHostHeader(req.URL.Host) || !plain(name) {
		return nil
	}
	h := &host{addr: net.JoinHostPort(name, port), dial: next.DialContext}
	if h.dial == nil {
		h.dial = new(net.Dialer).DialContext
	}
	h.maxHeader = cmp.Or(next.MaxResponseHeaderBytes, maxHeader)
	h.idle.most = cmp.Or(next.MaxIdleConnsPerHost, http.DefaultMaxIdleConnsPerHost)
	h.idle.longest = next.IdleConnTimeout
	return h
}

// plain reports whether a name needs no treatment before it is looked up or
// said to the server: neither another alphabet nor an address with a zone.
func plain(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f || name[i] == '%' {
			return false
		}
	}
	return true
}

// conn returns a connection that nobody uses; fresh: that nobody has used.
func (h *host) conn(ctx context.Context, fresh bool) (*conn, error) {
	if !fresh {
		if c := h.idle.take(); c != nil {
			return c, nil
		}
	}
	dialed, err := h.dial(ctx, "tcp", h.addr)
	if err != nil {
		if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
			<-ctx.Done() // a dialer has a clock of its own, which may be the quicker one
		}
		if ended := endOf(ctx); ended != nil {
			err = ended
		}
		return nil, err
	}
	return newConn(h, dialed), nil
}
