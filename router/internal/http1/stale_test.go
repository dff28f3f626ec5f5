//go:build unix

package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/router/internal/http1"
)

// closing is a server that ends a kept connection once its next request has come,
// without an answer: what a close for age looks like that the request crosses.
type closing struct {
	*httptest.Server
	requests atomic.Int32
	conns    atomic.Int32
}

func newClosing(t *testing.T, tls bool) *closing {
	t.Helper()
	c := &closing{}
	type key struct{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		c.requests.Add(1)
		if calls := req.Context().Value(key{}).(*atomic.Int32); calls.Add(1) > 1 {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		_, _ = io.WriteString(w, "hi")
	}))
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		c.conns.Add(1)
		return context.WithValue(ctx, key{}, new(atomic.Int32))
	}
	if c.Server = srv; tls {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return c
}

// A kept connection that ends before the first byte of an answer is told from
// every other failure; the call on a fresh one has its answer.
func TestStale(t *testing.T) {
	for name, tt := range map[string]struct {
		tls  bool
		body string
	}{
		"small": {body: "{}"}, "large": {body: strings.Repeat("a", 100<<10)}, "with TLS": {tls: true, body: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := newClosing(t, tt.tls)
			next := newNext()
			if tt.tls {
				next.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				next.TLSClientConfig.NextProtos = nil
			}
			rt := newTransport(t, next)
			via := func(fresh bool) (answer, error) {
				return call(roundTrip(func(req *http.Request) (*http.Response, error) { return rt.Call(req, fresh) }), post(t.Context(), t, srv.URL, tt.body))
			}
			if a, err := via(false); err != nil || a.Body != "hi" {
				t.Fatal(a, err)
			}
			var stale *http1.StaleError
			if _, err := via(false); !errors.As(err, &stale) || stale.Idle > time.Minute || !strings.Contains(err.Error(), "before it answered") {
				t.Fatalf("%v", err)
			}
			if a, err := via(true); err != nil || a.Body != "hi" {
				t.Fatal(a, err)
			}
			for range 3 { // whether or not the connection is kept, RoundTrip makes up for it
				if a, err := call(rt, post(t.Context(), t, srv.URL, tt.body)); err != nil || a.Body != "hi" {
					t.Fatal(a, err)
				}
			}
			if conns, requests := srv.conns.Load(), srv.requests.Load(); conns != 5 || requests < 6 || requests > 9 {
				t.Errorf("%d connections, %d requests", conns, requests)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// What is no close of a kept connection is not taken for one: a byte came, the
// connection is fresh, the caller gave up, or the body cannot be had again.
func TestNotStale(t *testing.T) {
	half := func(c net.Conn, _ *http.Request, _ []byte) bool {
		_, _ = io.WriteString(c, "H")
		return false
	}
	for name, second := range map[string]func(net.Conn, *http.Request, []byte) bool{
		"a byte came": half,
		"more is to come": func(c net.Conn, _ *http.Request, _ []byte) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
			return false
		},
	} {
		for size, body := range map[string]string{"small": "{}", "large": strings.Repeat("a", 100<<10)} {
			t.Run(name+", "+size, func(t *testing.T) {
				var nth atomic.Int32
				s := serve(t, func(c net.Conn, req *http.Request, body []byte) bool {
					if nth.Add(1) == 1 {
						return says(ok, true)(c, req, body)
					}
					return second(c, req, body)
				})
				rt := newTransport(t, newNext())
				if a, err := call(rt, post(t.Context(), t, s.url(), body)); err != nil || a.Body != "hi" {
					t.Fatal(a, err)
				}
				_, err := rt.Call(post(t.Context(), t, s.url(), body), false)
				var stale *http1.StaleError
				if err == nil || errors.As(err, &stale) {
					t.Errorf("%v", err)
				}
			})
		}
	}
	t.Run("fresh", func(t *testing.T) {
		s := serve(t, func(net.Conn, *http.Request, []byte) bool { return false })
		rt := newTransport(t, newNext())
		for _, body := range []string{"{}", strings.Repeat("a", 100<<10)} {
			_, err := rt.RoundTrip(post(t.Context(), t, s.url(), body))
			var stale *http1.StaleError
			if err == nil || errors.As(err, &stale) {
				t.Errorf("%v", err)
			}
		}
		if conns, _ := s.seen(); conns != 2 {
			t.Errorf("%d connections", conns)
		}
	})
	t.Run("no second body", func(t *testing.T) {
		srv := newClosing(t, false)
		rt := newTransport(t, newNext())
		for i := range 2 {
			req := post(t.Context(), t, srv.URL, "{}")
			req.GetBody = nil
			_, err := call(rt, req)
			var stale *http1.StaleError
			if (i == 1) != errors.As(err, &stale) {
				t.Errorf("%v", err)
			}
		}
	})
}

// llama.cpp ends the connection of each streamed answer right after it, though it
// announces to keep it: no call is lost to that.
func TestClosedAfterStreams(t *testing.T) {
	const streamed = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(c, streamed)
			}
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	rt := newTransport(t, newNext())
	var all sync.WaitGroup
	var stale atomic.Int32
	for range 4 {
		all.Go(func() {
			for range 50 {
				resp, err := rt.Call(post(t.Context(), t, "http://"+l.Addr().String(), "{}"), false)
				var closed *http1.StaleError
				if errors.As(err, &closed) { // it closed late: the machine is busy
					stale.Add(1)
					resp, err = rt.Call(post(t.Context(), t, "http://"+l.Addr().String(), "{}"), true)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if text, err := io.ReadAll(resp.Body); string(text) != "hi" || err != nil {
					t.Error(string(text), err)
				}
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	if n := stale.Load(); n > 20 {
		t.Errorf("%d calls met a closed connection", n)
	}
}
