//go:build unix

package http1_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pelton/router/internal/http1"
)

var errStop = errors.New("stopped by the test")

// The end of the context ends a call, whatever it waits for, and the connection
// with it.
func TestCancel(t *testing.T) {
	reached := make(chan struct{}, 1)
	waits := func(text string) func(net.Conn, *http.Request, []byte) bool {
		return func(c net.Conn, _ *http.Request, _ []byte) bool {
			_, _ = io.WriteString(c, text)
			reached <- struct{}{}
			_, err := c.Read(make([]byte, 1)) // until the client has gone
			return err == nil
		}
	}
	tests := map[string]struct {
		text   string
		inBody bool
	}{
		"before the answer": {text: ""},
		"in the header":     {text: "HTTP/1.1 200 OK\r\nContent-"},
		"in the body":       {text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", inBody: true},
		"in a chunk":        {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi", inBody: true},
		"in a zipped body":  {text: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n\x1f\x8b", inBody: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, waits(tt.text))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if !tt.inBody {
				go func() {
					<-reached
					cancel(errStop)
				}()
			}
			resp, err := newTransport(t, newNext()).RoundTrip(post(ctx, t, s.url(), "{}"))
			if tt.inBody {
				if err != nil {
					t.Fatal(err)
				}
				<-reached
				go cancel(errStop)
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if !errors.Is(err, errStop) {
				t.Error(err)
			}
			<-s.ended
		})
	}
}

// A call whose context has ended sends nothing, not even on a connection that
// is there.
func TestCancelledBefore(t *testing.T) {
	s := serve(t, says(ok, true))
	rt := newTransport(t, newNext())
	mustCall(t, rt, s.url())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStop)
	if _, err := call(rt, post(ctx, t, s.url(), "{}")); !errors.Is(err, errStop) {
		t.Error(err)
	}
	mustCall(t, rt, s.url())
	if conns, requests := s.seen(); conns != 1 || len(requests) != 2 {
		t.Errorf("%d connections, %d requests", conns, len(requests))
	}
}

// dials makes connections with what wrap makes of them.
func dials(wrap func(*net.TCPConn) net.Conn) *http.Transport {
	next := newNext()
	next.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return wrap(c.(*net.TCPConn)), nil
	}
	return next
}

// A server that does not read holds a call up until its context ends.
func TestCancelWhileSending(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	next := dials(func(c *net.TCPConn) net.Conn {
		if err := c.SetWriteBuffer(1); err != nil { // the kernel's least
			t.Error(err)
		}
		return fullConn{c, func() { cancel(errStop) }}
	})
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		<-ctx.Done()
	}()
	body := strings.Repeat("a", 64<<10)
	if _, err := call(newTransport(t, next), post(ctx, t, "http://"+l.Addr().String(), body)); !errors.Is(err, errStop) {
		t.Error(err)
	}
}

// fullConn says when a request is about to be sent, having filled what the
// kernel takes.
type fullConn struct {
	*net.TCPConn
	full func()
}

func (c fullConn) Write(p []byte) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	_ = raw.Write(func(fd uintptr) bool {
		for {
			if _, err := syscall.Write(int(fd), make([]byte, 1<<20)); err != nil {
				return true
			}
		}
	})
	c.full()
	return c.TCPConn.Write(p)
}

// patient leaves its deadline to the connection.
type patient struct {
	context.Context
	deadline time.Time
}

func (p patient) OwnDeadline() time.Time                  { return p.deadline }
func (p patient) OnCancel(f func()) (stop func() bool)    { return context.AfterFunc(p.Context, f) }
func (p patient) Deadline() (deadline time.Time, ok bool) { return p.deadline, true }
func (p patient) Err() error {
	if time.Now().Before(p.deadline) {
		return p.Context.Err()
	}
	return context.DeadlineExceeded
}

// A connection that keeps a context's deadline ends the call at it, and before it
// with the context's parent.
func TestPatient(t *testing.T) {
	for name, tt := range map[string]struct {
		text   string
		after  time.Duration
		parent bool
		want   error
	}{
		"deadline before the answer": {"", 30 * time.Millisecond, false, context.DeadlineExceeded},
		"deadline in the body":       {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", 30 * time.Millisecond, false, context.DeadlineExceeded},
		"parent before the answer":   {"", time.Hour, true, errStop},
		"passed":                     {"", -time.Second, false, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			reached := make(chan struct{}, 1)
			s := serve(t, func(c net.Conn, _ *http.Request, _ []byte) bool {
				_, _ = io.WriteString(c, tt.text)
				reached <- struct{}{}
				_, err := c.Read(make([]byte, 1))
				return err == nil
			})
			parent, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if tt.parent {
				go func() {
					<-reached
					cancel(errStop)
				}()
			}
			rt := newTransport(t, newNext())
			if _, err := call(rt, post(patient{parent, time.Now().Add(tt.after)}, t, s.url(), "{}")); !errors.Is(err, tt.want) {
				t.Error(err)
			}
		})
	}
}

// A deadline that a kept connection had is not that of the next call on it.
func TestPatientBefore(t *testing.T) {
	t.Parallel()
	s := serve(t, says(ok, true))
	rt := newTransport(t, newNext())
	soon := patient{t.Context(), time.Now().Add(time.Second)}
	if a, err := call(rt, post(soon, t, s.url(), "{}")); err != nil || a.Body != "hi" {
		t.Fatalf("%+v, %v", a, err)
	}
	<-time.After(time.Until(soon.deadline))
	mustCall(t, rt, s.url())
	if a, err := call(rt, post(patient{t.Context(), time.Now().Add(time.Hour)}, t, s.url(), "{}")); err != nil || a.Body != "hi" {
		t.Fatalf("%+v, %v", a, err)
	}
	if conns, _ := s.seen(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

// A connection that the server has closed meanwhile is noticed before it costs a
// call.
func TestClosedMeanwhile(t *testing.T) {
	var dialed net.Conn
	next := dials(func(c *net.TCPConn) net.Conn { dialed = c; return c })
	for name, last := range map[string]string{"closed": "", "spoken to": "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			answered := make(chan struct{})
			s := serve(t, func(c net.Conn, req *http.Request, _ []byte) bool {
				_, _ = io.WriteString(c, ok)
				if req.URL.Path == "/last" {
					<-answered
					_, _ = io.WriteString(c, last)
					return false
				}
				return true
			})
			rt := newTransport(t, next)
			mustCall(t, rt, s.url()+"/last")
			close(answered)
			untilReadable(t, dialed)
			mustCall(t, rt, s.url())
			mustCall(t, rt, s.url())
			if conns, _ := s.seen(); conns != 2 {
				t.Errorf("%d connections", conns)
			}
		})
	}
}

// untilReadable waits until there is something to read, and leaves it there.
func untilReadable(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// failingConn fails its n-th write after some of its bytes: no server can be made to do it
// at that moment.
type failingConn struct {
	*net.TCPConn
	writes *atomic.Int32
	nth    int32
	takes  int
}

func (c failingConn) Write(p []byte) (int, error) {
	if c.writes.Add(1) != c.nth {
		return c.TCPConn.Write(p)
	}
	n, _ := c.TCPConn.Write(p[:min(c.takes, len(p))])
	_ = c.CloseWrite()
	return n, syscall.EPIPE
}

// A request is sent again where a kept connection ended before the first byte of
// an answer, and on no other.
func TestFailingWrite(t *testing.T) {
	tests := map[string]struct {
		nth      int32
		takes    int
		wantErr  bool
		requests int
	}{
		"kept, nothing taken":    {nth: 2, takes: 0, requests: 2},
		"kept, some taken":       {nth: 2, takes: 10, requests: 2},
		"fresh, some taken":      {nth: 1, takes: 10, wantErr: true, requests: 1},
		"fresh, nothing taken":   {nth: 1, takes: 0, wantErr: true, requests: 1},
		"kept, all taken, ended": {nth: 2, takes: 1 << 20, requests: 2}, // and answered
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var writes atomic.Int32
			s := serve(t, says(ok, true))
			rt := newTransport(t, dials(func(c *net.TCPConn) net.Conn { return failingConn{c, &writes, tt.nth, tt.takes} }))
			var failed error
			for range 2 {
				if a, err := call(rt, post(t.Context(), t, s.url(), "{}")); err != nil {
					failed = errors.Join(failed, err)
				} else if a.Body != "hi" {
					t.Errorf("%+v", a)
				}
			}
			if (failed != nil) != tt.wantErr || failed != nil && !errors.Is(failed, syscall.EPIPE) {
				t.Error(failed)
			}
			if _, requests := s.seen(); len(requests) != tt.requests {
				t.Errorf("%d requests", len(requests))
			}
		})
	}
}

// An end of the context between two bytes of a write is not taken for a
// connection that was closed before.
func TestCancelIsNoStaleConnection(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var writes atomic.Int32
	s := serve(t, says(ok, true))
	rt := newTransport(t, dials(func(c *net.TCPConn) net.Conn {
		return cancellingConn{failingConn{c, &writes, 2, 0}, func() { cancel(errStop) }}
	}))
	mustCall(t, rt, s.url())
	if _, err := call(rt, post(ctx, t, s.url(), "{}")); !errors.Is(err, errStop) {
		t.Error(err)
	}
	if conns, _ := s.seen(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

type cancellingConn struct {
	failingConn
	cancel func()
}

func (c cancellingConn) Write(p []byte) (int, error) {
	n, err := c.failingConn.Write(p)
	if err != nil {
		c.cancel()
	}
	return n, err
}

// A body that was closed, or read to its end, has nothing to do with the call
// that has its connection now.
func TestLateReader(t *testing.T) {
	s := serve(t, says(ok, true))
	rt := newTransport(t, newNext())
	first := begin(t, rt, s.url())
	if text, err := io.ReadAll(first); err != nil || string(text) != "hi" {
		t.Fatalf("%q, %v", text, err)
	}
	second := begin(t, rt, s.url())
	if n, err := first.Read(make([]byte, 9)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(second); err != nil || string(text) != "hi" {
		t.Errorf("%q, %v", text, err)
	}
	_ = second.Close()
	if conns, _ := s.seen(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
	third := begin(t, rt, s.url())
	_ = third.Close()
	if _, err := third.Read(make([]byte, 9)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
	<-s.ended // with more to read it is not kept
}

// Close ends a Read that waits.
func TestCloseWhileReading(t *testing.T) {
	s := serve(t, func(c net.Conn, _ *http.Request, _ []byte) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nh")
		_, err := c.Read(make([]byte, 1))
		return err == nil
	})
	body := begin(t, newTransport(t, newNext()), s.url())
	begun, ended := make(chan struct{}), make(chan error)
	go func() {
		_, _ = io.ReadFull(body, make([]byte, 1))
		close(begun)
		_, err := body.Read(make([]byte, 1))
		ended <- err
	}()
	<-begun
	_ = body.Close()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	<-s.ended
}

// What is kept is bounded, and closed when asked; what is in use is closed when
// it no longer is, until the next call.
func TestKept(t *testing.T) {
	s := serve(t, says(ok, true))
	next := newNext()
	next.MaxIdleConnsPerHost = 2
	rt := newTransport(t, next)
	read := func(body io.ReadCloser) {
		_, _ = io.ReadAll(body)
		_ = body.Close()
	}
	first, second, third := begin(t, rt, s.url()), begin(t, rt, s.url()), begin(t, rt, s.url())
	read(first)
	read(second)
	read(third)
	<-s.ended
	first = begin(t, rt, s.url())
	rt.CloseIdleConnections()
	<-s.ended
	read(first)
	<-s.ended
	mustCall(t, rt, s.url())
	mustCall(t, rt, s.url())
	if conns, _ := s.seen(); conns != 4 {
		t.Errorf("%d connections", conns)
	}
}

// A connection that cannot be looked at is used once.
func TestConnectionWithoutSocket(t *testing.T) {
	s := serve(t, says(ok, true))
	rt := newTransport(t, dials(func(c *net.TCPConn) net.Conn { return struct{ net.Conn }{c} }))
	mustCall(t, rt, s.url())
	<-s.ended
	mustCall(t, rt, s.url())
	<-s.ended
}

// A proxy that is configured is used.
func TestProxy(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1); req.Host != "model.example" {
			t.Errorf("for %s", req.Host)
		}
		_, _ = io.WriteString(w, "hi")
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	next := newNext()
	next.Proxy = http.ProxyURL(at)
	rt := newTransport(t, next)
	mustCall(t, rt, "http://model.example/v1")
	mustCall(t, rt, "http://model.example/v1")
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := call(newTransport(t, newNext()), post(t.Context(), t, "http://"+l.Addr().String(), "{}")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

// Each of many calls at once has its own answer, whatever becomes of the others.
func TestManyAtOnce(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		switch {
		case err != nil:
			return
		case len(body)%7 == 0:
			panic(http.ErrAbortHandler)
		case len(body)%5 == 0:
			w.Header().Set("Connection", "close")
		}
		half := len(body) / 2
		_, _ = w.Write(body[:half])
		if len(body)%3 == 0 {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(body[half:])
	}))
	defer srv.Close()
	rt := newTransport(t, newNext())
	var wg sync.WaitGroup
	var answered atomic.Int32
	for i := range 32 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for k := range 200 {
				ctx, cancel := context.WithCancelCause(t.Context())
				sent := fmt.Sprintf("%d/%d ", i, k) + strings.Repeat("x", random.IntN(3000))
				if random.IntN(4) == 0 {
					go cancel(errStop)
				}
				got, err := call(rt, post(ctx, t, srv.URL, sent))
				if err == nil {
					answered.Add(1)
					if got.Status != "200 OK" || got.Body != sent {
						t.Errorf("%.8s has %.8s", sent, got.Body)
					}
				} else if len(sent)%7 != 0 && !errors.Is(err, errStop) {
					t.Errorf("%.8s: %v", sent, err)
				}
				cancel(nil)
			}
		})
	}
	wg.Wait()
	if answered.Load() < 1000 {
		t.Errorf("only %d answers", answered.Load())
	}
}

// The call of a program that waits for one answer after the other, by either of
// the two; allocations are those of both sides.
func BenchmarkRoundTrip(b *testing.B) {
	body := strings.Repeat("a", 300)
	answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n" + body
	for _, which := range []string{"http1", "net-http"} {
		b.Run(which, func(b *testing.B) {
			s := serve(b, says(answer, true))
			var rt http.RoundTripper = newNext()
			if which == "http1" {
				rt = http1.New(newNext())
			}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := call(rt, post(b.Context(), b, s.url(), body)); err != nil || len(got.Body) != len(body) {
					b.Fatal(err)
				}
			}
			rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		})
	}
}
