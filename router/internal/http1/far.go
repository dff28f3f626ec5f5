package http1

import (
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

// far are the calls that net/http makes: with TLS, through a proxy, or with a
// large body. Its connections are kept for as long as each server does, too.
type far struct {
	next  *http.Transport
	fresh *http.Transport // keeps no connection

	mu    sync.Mutex
	hosts map[string]*farHost // by scheme and host
}

// farHost is what is known of a server that net/http calls.
type farHost struct {
	longest   time.Duration // how long a connection is kept where nothing is known
	habits    habits
	transport *http.Transport // one that keeps its connections for so long
}

func newFar(next *http.Transport) *far {
	fresh := next.Clone()
	fresh.DisableKeepAlives = true
	return &far{next: next, fresh: fresh, hosts: map[string]*farHost{}}
}

// call makes a call, on a connection that had none before where fresh is set.
// A [StaleError] says that one was closed meanwhile.
func (f *far) call(req *http.Request, fresh bool) (*http.Response, error) {
	key := req.URL.Scheme + "://" + req.URL.Host
	transport := f.fresh
	if !fresh {
		transport = f.of(key)
	}
	w := &wire{began: time.Now()}
	ctx := req.Context()
	resp, err := transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, w.trace())))
	switch idle, stale := w.stale(); {
	case err == nil:
		if announced := keepAlive(resp.Header); announced > 0 && resp.ProtoMajor == 1 {
			f.learn(key, func(h *habits) { h.announced = announced })
		}
	case stale && ctx.Err() == nil:
		f.learn(key, func(h *habits) { h.closed(time.Now(), idle, idle < settled) })
		return nil, &StaleError{Idle: idle, Err: err}
	}
	return resp, err
}

// of returns the transport for calls to a server.
func (f *far) of(key string) *http.Transport {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hosts[key]
	switch {
	case h == nil && strings.HasPrefix(key, "http:"):
		return f.host(key).transport
	case h == nil:
		return f.next
	case h.habits.afterStream(time.Now()) == closes:
		return f.fresh
	}
	return h.transport
}

// host returns what is known of a server. The lock is held.
func (f *far) host(key string) *farHost {
	h := f.hosts[key]
	if h == nil {
		h = &farHost{longest: f.next.IdleConnTimeout, transport: f.next}
		if strings.HasPrefix(key, "http:") {
			h.longest = firstLife
		}
		f.hosts[key] = h
		f.renew(h)
	}
	return h
}

// learn notes something about a server's habits.
func (f *far) learn(key string, note func(h *habits)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.host(key)
	note(&h.habits)
	f.renew(h)
}

// renew gives a server a transport of its own once its connections are to be kept
// for another time than they are. The lock is held.
func (f *far) renew(h *farHost) {
	life := h.longest
	if h.habits.announced > 0 || h.habits.seen > 0 {
		life = h.habits.life()
	}
	if longest := f.next.IdleConnTimeout; longest > 0 && (life == 0 || life > longest) {
		life = longest
	}
	if life == h.transport.IdleConnTimeout {
		return
	}
	made := f.next.Clone()
	made.IdleConnTimeout = life
	if h.transport != f.next {
		h.transport.CloseIdleConnections()
	}
	h.transport = made
}

func (f *far) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next.CloseIdleConnections()
	f.fresh.CloseIdleConnections()
	for _, h := range f.hosts {
		h.transport.CloseIdleConnections()
	}
}

// wire is what is seen of a call's connection.
type wire struct {
	began time.Time

	mu    sync.Mutex // net/http tells from goroutines of its own
	kept  bool       // it had a call before, and has one at a time
	idle  time.Duration
	heard bool // a byte of the answer came
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.kept, w.idle = got.Reused, got.IdleTime
			if c, ok := got.Conn.(*tls.Conn); ok && c.ConnectionState().NegotiatedProtocol == "h2" {
				w.kept = false // its calls share it, and HTTP/2 says which of them were not begun
			}
		},
		GotFirstResponseByte: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.heard = true
		},
	}
}

// stale reports whether a call that failed was on a connection which had been
// closed before, and how long that had not been used.
func (w *wire) stale() (idle time.Duration, stale bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.idle, w.kept && !w.heard && time.Since(w.began) < soon
}

// resend returns a copy of a request whose body can be read once more; nil: there
// is none.
func resend(req *http.Request) *http.Request {
	again := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again
	}
	if req.GetBody == nil {
		return nil
	}
	var err error
	if again.Body, err = req.GetBody(); err != nil {
		return nil
	}
	return again
}
