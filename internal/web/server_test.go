package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

const token = "a token of the tests"

func serve(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = ":0"
	}
	cfg.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.Disabled)
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// call sends a request, of which change makes what the case needs.
func call(t *testing.T, s *Server, method, path string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body), answer.Header
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func TestHealth(t *testing.T) {
	s := serve(t, Config{})
	if status, _, _ := call(t, s, "GET", "/livez"); status != 200 {
		t.Errorf("/livez: %d", status)
	}
	expect := func(want int, words string) {
		t.Helper()
		status, body, _ := call(t, s, "GET", "/readyz")
		if status != want || !strings.Contains(body, words) {
			t.Errorf("/readyz: %d %s, want %d with %q", status, body, want, words)
		}
		err := Probe(t.Context(), strings.TrimPrefix(s.URL(), "http://"))
		if (err == nil) != (want == 200) || err != nil && !strings.Contains(err.Error(), "not ready") {
			t.Errorf("probe: %v", err)
		}
	}
	expect(503, `"worker":"starting"`)
	s.Health.Serving()
	expect(200, `"ready":true`)
	s.Health.Check("nats", func(context.Context) error { return errors.New("the connection is RECONNECTING") })
	expect(503, `"nats":"the connection is RECONNECTING"`)
	s.Health.Draining()
	s.Health.Serving()
	expect(503, `"worker":"draining"`)
}

func TestProbeOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if err := Probe(t.Context(), addr); err == nil {
		t.Error("nobody is ready")
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if err := Probe(t.Context(), strings.TrimPrefix(other.URL, "http://")); err == nil || !strings.Contains(err.Error(), "no worker") {
		t.Errorf("what is no worker: %v", err)
	}
}

// guarded serves /read and /change by the rules for them.
func guarded(t *testing.T, cfg Config) *Server {
	s := serve(t, cfg)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	s.Handle("GET /read", s.Reads(ok))
	s.Handle("POST /change", s.Changes(ok))
	return s
}

func TestGuard(t *testing.T) {
	withToken := guarded(t, Config{Token: token})
	without := guarded(t, Config{})
	everywhere := guarded(t, Config{Addr: "0.0.0.0:0", Token: token})
	bearer := header("Authorization", "Bearer "+token)
	cookie := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: value}) }
	}
	good := withToken.session(time.Now().Add(time.Minute))
	for _, c := range []struct {
		name   string
		server *Server
		call   string
		want   int
		change []func(*http.Request)
	}{
		{"read here", withToken, "GET /read", 200, nil},
		{"read here by name", withToken, "GET /read", 200, []func(*http.Request){host("localhost:80")}},
		{"read under another name", withToken, "GET /read", 401, []func(*http.Request){host("evil.example")}},
		{"read under a name that begins like ours", without, "GET /read", 403, []func(*http.Request){host("localhost.evil.example:9321")}},
		{"read through a proxy", withToken, "GET /read", 401, []func(*http.Request){header("X-Forwarded-For", "192.0.2.1")}},
		{"read through a proxy with the token", withToken, "GET /read", 200, []func(*http.Request){header("X-Forwarded-For", "192.0.2.1"), bearer}},
		{"read where all may connect", everywhere, "GET /read", 401, nil},
		{"read where all may connect, with the token", everywhere, "GET /read", 200, []func(*http.Request){bearer}},
		{"change without", withToken, "POST /change", 401, nil},
		{"change where there is no token", without, "POST /change", 403, nil},
		{"change with an empty one where there is none", without, "POST /change", 403, []func(*http.Request){header("Authorization", "Bearer ")}},
		{"change with another", withToken, "POST /change", 401, []func(*http.Request){header("Authorization", "Bearer "+token+"x")}},
		{"change with the token", withToken, "POST /change", 200, []func(*http.Request){bearer}},
		{"change with a session", withToken, "POST /change", 200, []func(*http.Request){cookie(good)}},
		{"change with a session of another worker of this token", everywhere, "POST /change", 200, []func(*http.Request){cookie(good)}},
		{"change with an ended session", withToken, "POST /change", 401, []func(*http.Request){cookie(withToken.session(time.Now().Add(-time.Minute)))}},
		{"change with a session that was made longer", withToken, "POST /change", 401, []func(*http.Request){cookie("9" + good)}},
		{"change with a session that anybody can make", without, "POST /change", 403, []func(*http.Request){cookie(without.session(time.Now().Add(time.Minute)))}},
		{"change from another site", withToken, "POST /change", 403, []func(*http.Request){cookie(good), header("Sec-Fetch-Site", "cross-site")}},
		{"change from another origin", withToken, "POST /change", 403, []func(*http.Request){cookie(good), header("Origin", "http://evil.example")}},
		{"change from this page", withToken, "POST /change", 200, []func(*http.Request){cookie(good), header("Sec-Fetch-Site", "same-origin")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, path, _ := strings.Cut(c.call, " ")
			status, body, head := call(t, c.server, method, path, c.change...)
			if status != c.want {
				t.Errorf("%d %s, want %d", status, body, c.want)
			}
			if head.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("headers %v", head)
			}
		})
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := serve(t, Config{})
	swallow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})
	s.Handle("POST /small", swallow)
	s.HandleLarge("POST /large", 3*maxBody, swallow)
	send := func(size int) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", size))), int64(size)
		}
	}
	for path, want := range map[string]int{"/small": 413, "/large": 200} {
		if status, _, _ := call(t, s, "POST", path, send(2*maxBody)); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

// A stream that would never end is no reason for a close to wait.
func TestCloseEndsStreams(t *testing.T) {
	s := serve(t, Config{})
	began := make(chan struct{})
	s.Handle("GET /stream", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/stream", nil)
		if answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r); err == nil {
			answer.Body.Close()
		}
	}()
	<-began
	s.Close()
	<-done
}

// The time for reading a request is none for its answer.
func TestLongAnswersAreNotCut(t *testing.T) {
	const short = 100 * time.Millisecond
	s, err := listen(Config{Addr: ":0", Log: zerolog.Nop()}, short)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Handle("GET /long", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(5 * short):
			_, _ = io.WriteString(w, "whole")
		}
	}))
	if status, body, _ := call(t, s, "GET", "/long"); status != 200 || body != "whole" {
		t.Errorf("%d %q", status, body)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{":80": "127.0.0.1:80", "0.0.0.0:1": "0.0.0.0:1", "[::]:2": "[::]:2", "80": "", "x:y": "", "": ""} {
		if got, err := Address(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
