package http1_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pelton/router/internal/http1"
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// answers are what servers say, and whether the connection stays open after it.
var answers = []struct {
	name, text string
	more       bool
}{
	{"length", ok, true},
	{"no text", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", true},
	{"lines that end in a line feed", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", true},
	{"a folded header", "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", true},
	{"header twice", "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi", true},
	{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
	{"no content", "HTTP/1.1 204 No Content\r\n\r\n", true},
	{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", true},
	{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", true},
	{"chunks and a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nhi\r\n0\r\nX-T: t\r\n\r\n", true},
	{"chunks and a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true},
	{"large", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("0123456789", 100_000), true},
	{"until it closes", "HTTP/1.1 200 OK\r\n\r\nhi", false},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false},
	{"HTTP/1.0 kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", true},
	{"will close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", false},
	{"continue", "HTTP/1.1 100 Continue\r\n\r\n" + ok, true},
	{"early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok, true},
	{"gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + gzipped("hi") + "\r\n0\r\n\r\n", true},
	{"broken gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", true},
	{"nothing, compressed", "HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n", true},
	{"other compression", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nhi", true},
	{"broken off", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", false},
	{"broken off in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi", false},
	{"broken off between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", false},
	{"no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", false},
	{"nothing", "", false},
	{"half a line", "HTTP/1.1 20", false},
	{"half a header", "HTTP/1.1 200 OK\r\nContent-Le", false},
	{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", false},
	{"HTTP/2", "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00\x00\x05\x00\xff\xff\xff", false},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", false},
	{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi", false},
	{"bad header", "HTTP/1.1 200 OK\r\n: x\r\n\r\nhi", false},
	{"large header", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 20_000) + "\r\nContent-Length: 2\r\n\r\nhi", false},
	{"hints without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000), false},
}

// What a caller is given does not depend on which of the two makes the call: the
// answer, whether there is an error, how many connections there are, and what is
// said to the server.
func TestSameAsNetHTTP(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			theirs := observe(t, newNext(), tt.text, tt.more)
			ours := observe(t, newTransport(t, newNext()), tt.text, tt.more)
			if ours.Conns == 2 && strings.Contains(tt.text, "chunked") {
				ours.Conns = theirs.Conns // not used at once until it was seen to be kept
			}
			if !reflect.DeepEqual(ours, theirs) {
				t.Errorf("here:\n%+v\nnet/http:\n%+v", ours, theirs)
			}
		})
	}
}

// observed is what can be told of two calls one after the other.
type observed struct {
	Answers []answer
	Conns   int
	Heads   []http.Header
	Hosts   []string
	Lengths []int64
	Paths   []string
}

func observe(t *testing.T, rt http.RoundTripper, text string, more bool) (o observed) {
	t.Helper()
	s := serve(t, says(text, more))
	for range 2 {
		a, _ := call(rt, post(t.Context(), t, s.url()+"/v1/a%2Fb?c=d", `{"model":"m"}`))
		o.Answers = append(o.Answers, a)
		if !more { // net/http hears of the end by itself; it may be later than the next call
			<-s.ended
			rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		}
	}
	rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	conns, requests := s.seen()
	o.Conns = conns
	for _, req := range requests {
		o.Heads = append(o.Heads, req.Header)
		o.Hosts = append(o.Hosts, strings.Replace(req.Host, s.listener.Addr().String(), "addr", 1))
		o.Lengths = append(o.Lengths, req.ContentLength)
		o.Paths = append(o.Paths, req.RequestURI)
	}
	return o
}

// A request that is not such a one goes the other way, and all that is said of
// it is said.
func TestRequestsAsNetHTTP(t *testing.T) {
	long := strings.Repeat("a", 65<<10)
	tests := map[string]func(*http.Request){
		"plain":  func(*http.Request) {},
		"host":   func(req *http.Request) { req.Host = "model.example:8080" },
		"header": func(req *http.Request) { req.Header["X-A"] = []string{"1", "", " 2 "} },
		"overruled": func(req *http.Request) {
			req.Header["Content-Length"] = []string{"77"}
			req.Header["Host"] = []string{"x"}
		},
		"no agent":        func(req *http.Request) { req.Header.Del("User-Agent") },
		"empty agent":     func(req *http.Request) { req.Header.Set("User-Agent", "") },
		"own compression": func(req *http.Request) { req.Header["Accept-Encoding"] = []string{"br"} },
		"a part":          func(req *http.Request) { req.Header["Range"] = []string{"bytes=0-1"} },
		"large":           func(req *http.Request) { setBody(req, long) },
		"unknown size":    func(req *http.Request) { req.ContentLength = -1 },
		"no body":         func(req *http.Request) { req.Body, req.ContentLength = nil, 0 },
		"get":             func(req *http.Request) { req.Method, req.Body, req.ContentLength = http.MethodGet, nil, 0 },
		"put":             func(req *http.Request) { req.Method = http.MethodPut },
		"to be closed":    func(req *http.Request) { req.Close = true },
		"closed":          func(req *http.Request) { req.Header["Connection"] = []string{"close"} },
		"chunks":          func(req *http.Request) { req.TransferEncoding = []string{"chunked"} },
		"expects":         func(req *http.Request) { req.Header["Expect"] = []string{"100-continue"} },
		"bad name":        func(req *http.Request) { req.Header["X A"] = []string{"1"} },
		"bad value":       func(req *http.Request) { req.Header["X-A"] = []string{"1\r\nX-B: 2"} },
		"bad path":        func(req *http.Request) { req.URL.RawQuery = "a\r\nb" },
		"long body":       func(req *http.Request) { req.ContentLength-- },
		"failing body":    func(req *http.Request) { req.Body = io.NopCloser(iotest.ErrReader(errors.New("no"))) },
		"short body":      func(req *http.Request) { req.ContentLength += 3 },
		"no scheme":       func(req *http.Request) { req.URL.Scheme = "" },
		"no host":         func(req *http.Request) { req.URL.Host = "" },
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			through := func(rt http.RoundTripper) any {
				type got struct {
					Req  http.Header
					Host string
					Size int64
					Body string
				}
				var all []got
				srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
					text, _ := io.ReadAll(req.Body)
					all = append(all, got{req.Header, req.Host, req.ContentLength, string(text)})
				}))
				defer srv.Close()
				for range 2 {
					req := post(t.Context(), t, srv.URL, "{}")
					tests[name](req)
					if _, err := call(rt, req); err != nil {
						return "failed"
					}
				}
				for i := range all {
					all[i].Host = strings.Replace(all[i].Host, srv.Listener.Addr().String(), "addr", 1)
				}
				return all
			}
			next := newNext()
			defer next.CloseIdleConnections()
			ours, theirs := through(newTransport(t, newNext())), through(next)
			if !reflect.DeepEqual(ours, theirs) {
				t.Errorf("here:\n%+v\nnet/http:\n%+v", ours, theirs)
			}
		})
	}
}

func setBody(req *http.Request, text string) {
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
}

// Whatever a server says, both make the same of it. The connections are pipes:
// the kernel has no ports for so many.
func FuzzAnswer(f *testing.F) {
	for _, tt := range answers {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var servers sync.WaitGroup
		s := &server{t: t, answer: says(text, false)}
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, c := net.Pipe()
			servers.Go(func() {
				s.talk(c)
				_ = c.Close()
			})
			return client, nil
		}
		var both [2]answer
		theirs, next := newNext(), newNext()
		theirs.DialContext, next.DialContext = dial, dial
		for i, rt := range []http.RoundTripper{theirs, http1.New(next)} {
			both[i], _ = call(rt, post(t.Context(), t, "http://upstream", "{}"))
			rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		}
		servers.Wait()
		if !reflect.DeepEqual(both[0], both[1]) {
			t.Errorf("here:\n%+v\nnet/http:\n%+v", both[1], both[0])
		}
	})
}
