package router

import (
	"net"
	"net/http"
	"time"
)

// transports are those of a router: one, shared by all deployments, and one
// more for each other way to reach a server.
type transports struct {
	conns int
	given http.RoundTripper // in the place of all
	made  map[route]*http.Transport
}

// route is what makes a transport differ.
type route struct {
	proxy, caFile string
	insecure      bool
}

func (t *transports) of(d Deployment) (http.RoundTripper, error) {
	if t.given != nil {
		return t.given, nil
	}
	var key route
	if found := t.made[key]; found != nil {
		return found, nil
	}
	if t.made == nil {
		t.made = map[route]*http.Transport{}
	}
	made := newTransport(t.conns)
	t.made[key] = made
	return made, nil
}

func (t *transports) close() {
	for _, one := range t.made {
		one.CloseIdleConnections()
	}
}

// newTransport returns the transport that deployments share. It keeps one
// idle connection per call that may run at once, so that no burst pays for new
// handshakes. There is no bound on the wait for an answer's first byte: a
// completion arrives whole, and the attempt's timeout covers it.
func newTransport(conns int) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   conns,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		// A peer that vanished is found by pings: many calls share the connection.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
