package router

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// echo is an upstream that notes what it was asked.
type echo struct {
	mu   sync.Mutex
	seen []*http.Request
	body []string
}

func (e *echo) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	e.mu.Lock()
	e.seen, e.body = append(e.seen, req), append(e.body, string(body))
	e.mu.Unlock()
	_, _ = io.WriteString(w, oddAnswer)
}

func (e *echo) last() (*http.Request, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[len(e.seen)-1], e.body[len(e.body)-1]
}

func TestAzure(t *testing.T) {
	up := &echo{}
	srv := httptest.NewServer(up)
	t.Cleanup(srv.Close)
	azure := func(group, model string) Deployment {
		return Deployment{ID: group, Group: group, Model: model, BaseURL: srv.URL, Azure: true, APIVersion: "2024-10-21", APIKey: NewSecret(testKey)}
	}
	entra := azure("entra", "my.gpt:4o")
	entra.APIKey, entra.Token = Secret{}, NewSecret("eyJ-the-token")
	odd := azure("odd", "a b/ü")
	r := start(t, &Config{Deployments: []Deployment{azure("gpt-4o", "my.gpt:4o"), azure("az/*", "*"), entra, odd}})
	for _, tt := range []struct {
		model    string
		endpoint schema.Endpoint
		url      string
		header   string
		value    string
	}{
		{"gpt-4o", "", "/openai/deployments/my.gpt:4o/chat/completions?api-version=2024-10-21", "Api-Key", testKey},
		{"gpt-4o", schema.Embeddings, "/openai/deployments/my.gpt:4o/embeddings?api-version=2024-10-21", "Api-Key", testKey},
		{"gpt-4o", schema.Completions, "/openai/deployments/my.gpt:4o/completions?api-version=2024-10-21", "Api-Key", testKey},
		{"gpt-4o", schema.Responses, "/openai/responses?api-version=2024-10-21", "Api-Key", testKey},
		{"az/gpt-35-turbo", "", "/openai/deployments/gpt-35-turbo/chat/completions?api-version=2024-10-21", "Api-Key", testKey},
		{"az/other", "", "/openai/deployments/other/chat/completions?api-version=2024-10-21", "Api-Key", testKey},
		{"entra", "", "/openai/deployments/my.gpt:4o/chat/completions?api-version=2024-10-21", "Authorization", "Bearer eyJ-the-token"},
		{"odd", "", "/openai/deployments/a%20b%2F%C3%BC/chat/completions?api-version=2024-10-21", "Api-Key", testKey},
	} {
		req := chat(tt.model)
		req.Endpoint = tt.endpoint
		if out := r.Do(background, req); out.Error != nil {
			t.Fatalf("%s: %v", tt.model, out.Error)
		}
		seen, body := up.last()
		if got := seen.URL.String(); got != tt.url {
			t.Errorf("%s went to %s, want %s", tt.model, got, tt.url)
		}
		if got := seen.Header.Get(tt.header); got != tt.value {
			t.Errorf("%s: %s is %q", tt.model, tt.header, got)
		}
		if both := seen.Header.Get("Api-Key") != "" && seen.Header.Get("Authorization") != ""; both {
			t.Errorf("%s sends two keys", tt.model)
		}
		if model, _ := schema.StringField(json.RawMessage(body), "model"); model == "" {
			t.Errorf("%s: body %s", tt.model, body)
		}
	}
	bad := azure("x", "y")
	bad.APIVersion = ""
	if _, err := New(&Config{Deployments: []Deployment{bad}}); err == nil || !strings.Contains(err.Error(), "api_version") {
		t.Errorf("without a version: %v", err)
	}
}

func TestTokenFromAFile(t *testing.T) {
	var want atomic.Value
	want.Store("one-token-0123456789")
	_, srv := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer "+want.Load().(string) {
			w.WriteHeader(401)
			_, _ = fmt.Fprintf(w, `{"error":"bad token %s"}`, req.Header.Get("Authorization"))
			return
		}
		_, _ = io.WriteString(w, okChat)
	})
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one-token-0123456789")
	d := deploymentAt("a", srv.URL)
	d.APIKey, d.TokenFile = Secret{}, file
	r := start(t, &Config{Deployments: []Deployment{d}})
	if out := r.Do(background, chat("m")); out.Error != nil {
		t.Fatal(out.Error)
	}
	want.Store("two-token-0123456789")
	write("two-token-0123456789")
	// One that has just been read is as good as it gets, and shows nowhere.
	out := r.Do(background, chat("m"))
	if text, _ := json.Marshal(out); out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal || strings.Contains(string(text), "one-token") {
		t.Errorf("%s", text)
	}
	r = start(t, &Config{Deployments: []Deployment{d}, CooldownTime: new(time.Duration)}, noWait)
	r.deployments[0].token.Clock = func() time.Time { return time.Now().Add(-time.Minute) } // it was read a while ago
	want.Store("two-token-0123456789")
	r.Do(background, chat("m"))
	want.Store("four-token-0123456789")
	write("four-token-0123456789")
	out = r.Do(background, chat("m")) // the old one is refused, the new one is not
	if out.Error != nil || len(out.Attempts) != 2 {
		t.Errorf("%+v %v", out, out.Error)
	}
}

func TestTokenFromACommand(t *testing.T) {
	up := &echo{}
	srv := httptest.NewServer(up)
	t.Cleanup(srv.Close)
	with := func(command ...string) *Router {
		d := deploymentAt("a", srv.URL)
		d.APIKey, d.TokenCommand = Secret{}, command
		return start(t, &Config{Deployments: []Deployment{d}})
	}
	r := with("echo", "from-a-command")
	for range 2 {
		if out := r.Do(background, chat("m")); out.Error != nil {
			t.Fatal(out.Error)
		}
	}
	if seen, _ := up.last(); seen.Header.Get("Authorization") != "Bearer from-a-command" {
		t.Errorf("sent %q", seen.Header.Get("Authorization"))
	}
	for _, command := range [][]string{{"false"}, {"true"}, {"/nowhere/at/all"}} {
		out := with(command...).Do(background, chat("m"))
		wantConsistent(t, out)
		if out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal || out.Error.Code != protocol.CodeNoToken || len(up.seen) != 2 {
			t.Errorf("%s: %v", command, out.Error)
		}
	}
}

func TestProxyPerDeployment(t *testing.T) {
	var through []string
	var mu sync.Mutex
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		through = append(through, req.URL.Host+" "+req.Header.Get("Proxy-Authorization"))
		mu.Unlock()
		_, _ = io.WriteString(w, okChat)
	}))
	t.Cleanup(proxy.Close)
	u, _ := url.Parse(proxy.URL)
	u.User = url.UserPassword("user", "secret-password")
	d := Deployment{ID: "a", Group: "*", Model: "*", BaseURL: "http://upstream.invalid/v1", Proxy: NewSecret(u.String())}
	r := start(t, &Config{Deployments: []Deployment{d}})
	if out := r.Do(background, chat("m")); out.Error != nil {
		t.Fatal(out.Error)
	}
	if len(through) != 1 || through[0] != "upstream.invalid Basic dXNlcjpzZWNyZXQtcGFzc3dvcmQ=" {
		t.Errorf("the proxy saw %q", through)
	}
	if text := fmt.Sprintf("%+v", d); strings.Contains(text, "secret-password") {
		t.Error("the proxy's password prints")
	}
	for _, bad := range []string{"proxy:3128", "ftp://p", "http://", "http://user:secret-password@\x7f"} {
		d.Proxy = NewSecret(bad)
		if _, err := New(&Config{Deployments: []Deployment{d}}); err == nil || strings.Contains(err.Error(), "secret-password") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestOwnCA(t *testing.T) {
	srv := httptest.NewUnstartedServer(&echo{})
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(change func(*Deployment)) *schema.Error {
		d := deploymentAt("a", srv.URL)
		change(&d)
		return start(t, &Config{Deployments: []Deployment{d}, NumRetries: &retries0}).Do(background, chat("m")).Error
	}
	if err := try(func(d *Deployment) {}); err == nil || !strings.Contains(err.Message, "not trusted") {
		t.Errorf("unknown authority: %v", err)
	}
	if err := try(func(d *Deployment) { d.CAFile = file }); err != nil {
		t.Errorf("own authority: %v", err)
	}
	if err := try(func(d *Deployment) { d.Insecure = true }); err != nil {
		t.Errorf("insecure: %v", err)
	}
	for _, bad := range []string{"/nowhere", "upstream_test.go"} {
		d := deploymentAt("a", srv.URL)
		d.CAFile = bad
		if _, err := New(&Config{Deployments: []Deployment{d}}); err == nil || !strings.Contains(err.Error(), "own CA") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestDefaultsGoIntoBodies(t *testing.T) {
	up := &echo{}
	srv := httptest.NewServer(up)
	t.Cleanup(srv.Close)
	d := deploymentAt("a", srv.URL)
	d.Defaults = json.RawMessage(`{"temperature":0.5,"max_tokens":7}`)
	r := start(t, &Config{Deployments: []Deployment{d}})
	r.Do(background, Request{Body: json.RawMessage(`{ "model":"m", "temperature":0 }`)})
	if _, body := up.last(); body != `{ "model":"m", "temperature":0,"max_tokens":7 }` {
		t.Errorf("sent %s", body)
	}
	r.Do(background, Request{Endpoint: schema.Embeddings, Body: json.RawMessage(`{"model":"m"}`)})
	if _, body := up.last(); body != `{"model":"m"}` {
		t.Errorf("sent %s", body)
	}
}
