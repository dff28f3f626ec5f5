package faultyllm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is a started server and a client of its own.
type upstream struct {
	*Server
	t      testing.TB
	client *http.Client
}

func start(t testing.TB, c Config) *upstream {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &upstream{Server: s, t: t, client: &http.Client{Transport: transport}}
}

// reply is an answer read to its end, or what went wrong.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (u *upstream) do(ctx context.Context, method, url, body string, header ...string) reply {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, got, err}
}

func (u *upstream) post(path, body string, header ...string) reply {
	return u.do(context.Background(), "POST", u.URL()+path, body, header...)
}

// ask posts a chat request and wants an answer of the given status.
func (u *upstream) ask(body string, status int, header ...string) reply {
	u.t.Helper()
	r := u.post("/chat/completions", body, header...)
	if r.err != nil {
		u.t.Fatalf("%s: %v", body, r.err)
	}
	if r.status != status {
		u.t.Fatalf("%s: status %d, want %d: %s", body, r.status, status, r.body)
	}
	return r
}

// until waits for the record to meet cond.
func (u *upstream) until(what string, cond func(Stats) bool) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := u.Wait(ctx, cond); err != nil {
		u.t.Fatalf("waiting for %s: %v; the record is %+v", what, err, u.Stats())
	}
}

// chatBody is a chat request; more is put into the object as it stands.
func chatBody(text string, more ...string) string {
	return fmt.Sprintf(`{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":%q}]%s}`,
		text, strings.Join(append([]string{""}, more...), ","))
}

// pick reads a value out of JSON by a path of keys and indexes.
func pick(t testing.TB, data []byte, path ...any) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	for _, p := range path {
		switch p := p.(type) {
		case string:
			o, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("no object to hold %q in %s", p, data)
			}
			v, ok = o[p]
			if !ok {
				t.Fatalf("no %q in %s", p, data)
			}
		case int:
			a, ok := v.([]any)
			if !ok || p >= len(a) {
				t.Fatalf("no element %d in %s", p, data)
			}
			v = a[p]
		}
	}
	return v
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
