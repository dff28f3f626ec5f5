package http1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pelton/router/internal/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server speaks raw TCP: it reads requests and lets answer write what it wants.
type server struct {
	t        testing.TB
	listener net.Listener
	answer   func(c net.Conn, req *http.Request, body []byte) (more bool)
	all      sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool
	accepted int
	requests []*http.Request
	ended    chan struct{} // one word for each connection that has ended
}

// serve starts a server whose connections end once answer returns false.
func serve(t testing.TB, answer func(c net.Conn, req *http.Request, body []byte) (more bool)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listener: l, answer: answer, conns: map[net.Conn]bool{}, ended: make(chan struct{}, 1000)}
	s.all.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.accepted++
		s.conns[c] = true
		s.mu.Unlock()
		s.all.Go(func() {
			s.talk(c)
			_ = c.Close()
			s.ended <- struct{}{}
		})
	}
}

func (s *server) talk(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, req)
		s.mu.Unlock()
		if !s.answer(c, req, body) {
			return
		}
	}
}

func (s *server) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

func (s *server) url() string { return "http://" + s.listener.Addr().String() }

// seen returns how many connections there were, and the requests on them.
func (s *server) seen() (conns int, requests []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted, s.requests
}

// says answers each request with the same bytes; a "close" ends the connection
// after them.
func says(text string, more bool) func(net.Conn, *http.Request, []byte) bool {
	return func(c net.Conn, _ *http.Request, _ []byte) bool {
		_, err := io.WriteString(c, text)
		return err == nil && more
	}
}

// newNext has the settings that the tests want.
func newNext() *http.Transport {
	return &http.Transport{MaxResponseHeaderBytes: 8 << 10, MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute}
}

// newTransport returns a transport whose connections end with the test.
func newTransport(t testing.TB, next *http.Transport) *http1.Transport {
	t.Helper()
	made := http1.New(next)
	t.Cleanup(made.CloseIdleConnections)
	return made
}

func post(ctx context.Context, t testing.TB, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "test")
	return req
}

// answer is what can be told of a call.
type answer struct {
	Failed   bool // there is none
	BrokeOff bool // in its body
	Status   string
	Proto    string
	Header   http.Header
	Trailer  http.Header
	Length   int64
	Unzipped bool
	Close    bool
	Body     string
}

// call makes one and reads its answer.
func call(rt http.RoundTripper, req *http.Request) (answer, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return answer{Failed: true}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{
		BrokeOff: err != nil, Status: resp.Status, Proto: resp.Proto, Header: resp.Header, Trailer: resp.Trailer,
		Length: resp.ContentLength, Unzipped: resp.Uncompressed, Close: resp.Close, Body: string(body),
	}, err
}

const ok = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600\r\nContent-Length: 2\r\n\r\nhi"

// mustCall makes a call that is to succeed.
func mustCall(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	a, err := call(rt, post(t.Context(), t, url, "{}"))
	if err != nil || a.Status != "200 OK" || a.Body != "hi" {
		t.Fatalf("%+v, %v", a, err)
	}
}

// begin makes a call and returns what is to be read of its answer.
func begin(t *testing.T, rt http.RoundTripper, url string) io.ReadCloser {
	t.Helper()
	resp, err := rt.RoundTrip(post(t.Context(), t, url, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	return resp.Body
}
