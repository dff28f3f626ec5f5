package router

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pelton/router/openai"
	"pelton/router/protocol"
	"pelton/router/protocol/prototest"
	"pelton/schema"
)

func TestMain(m *testing.M) {
	protocols["toy"] = prototest.New // beside the real ones, before anything reads the table
	goleak.VerifyTestMain(m)
}

// testKey is a key that must show up nowhere but at the upstream.
const testKey = "sk-test-0123456789abcdef"

const okChat = `{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`

// noWait makes every choice the first and every jitter nothing.
func noWait(s *settings) { s.rand = func() float64 { return 0 } }

func through(f func(*http.Request) (*http.Response, error)) Option {
	return func(s *settings) { s.transport = roundTrip(f) }
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func environ(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := pairs[name]; return value, ok }
}

// serve starts an upstream and a router with one deployment of it for all models.
func serve(t *testing.T, handler http.HandlerFunc, opts ...Option) (*Router, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	cfg := &Config{Deployments: []Deployment{deploymentAt("one", srv.URL)}}
	return start(t, cfg, append([]Option{noWait}, opts...)...), srv
}

func deploymentAt(id, url string) Deployment {
	return Deployment{ID: id, Group: "*", Model: "*", BaseURL: url + "/v1", APIKey: NewSecret(testKey)}
}

func start(t *testing.T, cfg *Config, opts ...Option) *Router {
	t.Helper()
	r, err := New(cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func chat(model string) Request {
	return Request{Body: json.RawMessage(`{"model":"` + model + `","messages":[]}`)}
}

func answerWith(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// judge is what classify makes of an answer of a server that speaks OpenAI's
// protocol at a base URL.
func judge(base string, endpoint schema.Endpoint, status int, header http.Header, body string) judgement {
	p, err := openai.New(protocol.Upstream{BaseURL: base, Model: "m"})
	if err != nil {
		panic(err)
	}
	a := reply{host: "h", Reply: protocol.Reply{Status: status, Header: header, Body: []byte(body), At: time.Now()}}
	a.answer = p.Decode(&protocol.Call{Endpoint: cmp.Or(endpoint, schema.ChatCompletions)}, a.Reply)
	return classify(a)
}

// wantConsistent checks what holds for every outcome.
func wantConsistent(t *testing.T, out Outcome) {
	t.Helper()
	if out.Park != nil {
		if out.Status != "" || out.Error != nil || out.Park.Reason == "" || out.Park.Left <= 0 || out.Park.ReadyAt.IsZero() {
			t.Errorf("parked: %+v", out)
		}
	} else if (out.Error == nil) != (out.Status == schema.StatusSucceeded) {
		t.Errorf("status %s with error %v", out.Status, out.Error)
	}
	if out.Response != nil && !json.Valid(out.Response.Body) {
		t.Errorf("response body is no JSON: %q", out.Response.Body)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Errorf("outcome does not marshal: %v", err)
	}
	if strings.Contains(string(text), testKey) {
		t.Errorf("the key leaks: %s", text)
	}
	if out.Error != nil {
		if out.Error.Message == "" || len(out.Error.Message) > protocol.MaxMessage+200 {
			t.Errorf("message of %d bytes: %q", len(out.Error.Message), out.Error.Message)
		}
	}
}

var background = context.Background()
