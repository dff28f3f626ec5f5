package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

// data makes a stream of events.
func data(events ...string) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString("data: " + e + "\n\n")
	}
	return b.String()
}

// chunk is an event of a chat completion around its choices and more.
func chunk(choices, more string) string {
	return `{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[` + choices + `]` + more + `}`
}

const counts = `{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}`

// heard is a listener that keeps what it hears.
type heard struct {
	mu     sync.Mutex
	chunks []heardChunk
	events []schema.Event
	notify chan struct{} // one per chunk, where there is room
}

type heardChunk struct {
	attempt, sequence int
	data              string
}

func (h *heard) Chunk(attempt, sequence int, data []byte) {
	h.mu.Lock()
	h.chunks = append(h.chunks, heardChunk{attempt, sequence, string(data)})
	h.mu.Unlock()
	select {
	case h.notify <- struct{}{}:
	default:
	}
}

func (h *heard) Event(e schema.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *heard) kinds() (kinds []schema.EventKind) {
	for _, e := range h.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func decoded(t testing.TB, raw []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %.500s", err, raw)
	}
	return v
}

// What servers do in the middle of a stream: class, message and partial answer.
func TestFaultsInMidStream(t *testing.T) {
	begun := chunk(`{"index":0,"delta":{"role":"assistant","content":"par"},"finish_reason":null}`, ``)
	for _, tt := range []struct {
		name, stream string
		class        schema.Class
		says, keeps  string
	}{
		{"vLLM: an error object", data(begun, `{"error":{"message":"EngineCore died","type":"InternalServerError","code":500}}`), schema.ClassTransient, "EngineCore died", "par"},
		{"vLLM: an error object with a list of choices before it", data(begun, `{"error":{"message":"This model's maximum context length is 4096 tokens","code":400}}`, `[DONE]`), schema.ClassContextWindow, "4096", "par"},
		{"SGLang: a flat error", data(begun, `{"object":"error","message":"out of memory","type":"InternalServerError","param":null,"code":500}`), schema.ClassTransient, "out of memory", "par"},
		{"an error event", data(begun) + "event: error\ndata: {\"message\":\"gone wrong\",\"type\":\"server_error\"}\n\n", schema.ClassTransient, "gone wrong", "par"},
		{"llama.cpp: error as a field", data(begun) + "error: {\"code\":500,\"message\":\"slot lost\",\"type\":\"server_error\"}\n\n", schema.ClassTransient, "slot lost", "par"},
		{"OpenRouter: an error beside choices", data(begun, `{"id":"c-1","object":"chat.completion.chunk","error":{"code":502,"message":"Provider disconnected"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`), schema.ClassTransient, "Provider disconnected", "par"},
		{"Gemini: an error in an array", data(begun, `[{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}]`), schema.ClassRateLimited, "Quota exceeded", "par"},
		{"a filter in the middle", data(begun, `{"error":{"code":"content_filter","message":"filtered"}}`), schema.ClassContentPolicy, "filtered", "par"},
		{"text that is no JSON", data(begun, `upstream connect error`), schema.ClassTransient, "upstream connect error", "par"},
		{"only [DONE]", data(`[DONE]`), schema.ClassTransient, "empty", ""},
		{"nothing", "", schema.ClassTransient, "empty", ""},
		{"comments only", ": ping\n\n: ping\n\n", schema.ClassTransient, "empty", ""},
		{"an error at once", data(`{"error":{"message":"The model is overloaded.","type":"server_error","code":null}}`), schema.ClassTransient, "overloaded", ""},
		{"[DONE] without finish_reason", data(begun, `[DONE]`), schema.ClassTransient, "finish_reason", "par"},
		{"one of two choices does not finish", data(chunk(`{"index":0,"delta":{"content":"par"},"finish_reason":"stop"},{"index":1,"delta":{"content":"x"},"finish_reason":null}`, ``), `[DONE]`), schema.ClassTransient, "finish_reason", "par"},
		{"choices without members", data(chunk(``, ``), `[DONE]`), schema.ClassTransient, "no choices", ""},
		{"a page of HTML", "<html><title>502 Bad Gateway</title></html>", schema.ClassTransient, "502 Bad Gateway", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				if calls.Add(1) > 2 { // once for each router
					_, _ = io.WriteString(w, data(chunk(`{"index":0,"delta":{"content":"whole"},"finish_reason":"stop"}`, ``), `[DONE]`))
					return
				}
				_, _ = io.WriteString(w, tt.stream)
			}))
			defer srv.Close()
			r := streamRouter(t, srv.URL, func(cfg *Config) { cfg.NumRetries = new(int) })
			out := r.Do(background, Request{Body: streamBody})
			if out.Status != schema.StatusFailed || out.Error.Class != tt.class || !strings.Contains(out.Error.Message, tt.says) {
				t.Errorf("%v %v", out.Status, out.Error)
			}
			if out.Response == nil || !json.Valid(out.Response.Body) || !strings.Contains(string(out.Response.Body), tt.keeps) {
				t.Errorf("response %+v", out.Response)
			}
			// What may pass is tried again, and each call is on record.
			r = streamRouter(t, srv.URL, func(cfg *Config) { cfg.CooldownTime = new(time.Duration) })
			again := r.Do(background, Request{Body: streamBody})
			attempts := 1
			if tt.class == schema.ClassTransient || tt.class == schema.ClassRateLimited {
				attempts = 2
			}
			if len(again.Attempts) != attempts || (again.Error == nil) != (attempts == 2) {
				t.Fatalf("%v after %d attempts, want %d", again.Error, len(again.Attempts), attempts)
			}
			first := again.Attempts[0]
			if first.StatusCode != 200 || first.Error == nil || first.Error.Class != tt.class || !strings.Contains(first.Error.Message, tt.says) {
				t.Errorf("first attempt: %d, %v", first.StatusCode, first.Error)
			}
			if attempts == 2 && (again.Attempts[1].Error != nil || again.Attempts[1].StatusCode != 200) {
				t.Errorf("second attempt: %+v", again.Attempts[1])
			}
		})
	}
}

var streamBody = json.RawMessage(`{"model":"m","stream":true,"messages":[{"role":"user","content":"one two three"}]}`)

func streamRouter(t testing.TB, url string, options ...func(*Config)) *Router {
	t.Helper()
	cfg := Config{Deployments: []Deployment{{ID: "a", Group: "m", Model: "m", BaseURL: url, APIKey: NewSecret("k")}}}
	for _, option := range options {
		option(&cfg)
	}
	r, err := New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// The whole way, on a real server, for each endpoint that streams: the listener
// hears what was sent, and the result is the plain answer.
func TestStreamedRequest(t *testing.T) {
	srv := llm(t, faultyllm.Config{Answer: "one two three", KeepBodies: 10})
	r := streamRouter(t, srv.URL())
	for endpoint, ask := range map[schema.Endpoint]string{
		"":                 `{"model":"m","messages":[{"role":"user","content":"x"}]%s}`,
		schema.Completions: `{"model":"m","prompt":"x"%s}`,
		schema.Responses:   `{"model":"m","input":"x"%s}`,
	} {
		plain := r.Do(background, Request{Endpoint: endpoint, Body: json.RawMessage(fmt.Sprintf(ask, ""))})
		h := &heard{}
		out := r.Do(background, Request{Endpoint: endpoint, Body: json.RawMessage(fmt.Sprintf(ask, `,"stream":true`)), Listener: h, Events: true})
		if out.Status != schema.StatusSucceeded || plain.Status != schema.StatusSucceeded {
			t.Fatalf("%s: %v %v", endpoint, out.Error, plain.Error)
		}
		a, b := decoded(t, out.Response.Body).(map[string]any), decoded(t, plain.Response.Body).(map[string]any)
		for _, object := range []map[string]any{a, b} {
			for _, name := range []string{"id", "created", "created_at"} {
				delete(object, name)
			}
			for _, item := range asList(object["output"]) {
				delete(item.(map[string]any), "id")
			}
			for _, c := range asList(object["choices"]) {
				if message, ok := c.(map[string]any)["message"].(map[string]any); ok {
					delete(message, "annotations") // the mock leaves them out of its streams
				}
			}
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: streamed\n%v\nplain\n%v", endpoint, a, b)
		}
		if !reflect.DeepEqual(out.Usage, plain.Usage) || out.Usage == nil {
			t.Errorf("%s: usage %v, plain %v", endpoint, out.Usage, plain.Usage)
		}
		if ttft := out.Attempts[0].TTFTMs; ttft == nil || *ttft <= 0 || *ttft > out.Attempts[0].LatencyMs {
			t.Errorf("%s: ttft %v", endpoint, ttft)
		}
		if len(h.chunks) < 4 {
			t.Errorf("%s: %d chunks", endpoint, len(h.chunks))
		}
		for _, c := range h.chunks {
			if endpoint != schema.Responses && strings.Contains(c.data, `"usage":{`) {
				t.Errorf("%s: the usage nobody asked for was handed on: %s", endpoint, c.data)
			}
		}
		if kinds := h.kinds(); !slices.Equal(kinds, []schema.EventKind{schema.EventFirstToken}) {
			t.Errorf("%s: events %v", endpoint, kinds)
		}
	}
}

func asList(v any) []any { list, _ := v.([]any); return list }

// Usage is asked for where it was not, and what was asked for is handed on.
func TestAskForUsage(t *testing.T) {
	for _, tt := range []struct {
		body, sent string
		handed     bool
	}{
		{`{"model":"m","stream":true}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`, false},
		{`{"model":"m","stream":true,"stream_options":null}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`, false},
		{`{"model":"m","stream":true,"stream_options":{"include_usage":false,"x":1}}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1}}`, false},
		{`{"model":"m","stream":true,"stream_options":{"include_usage": true}}`, `{"model":"m","stream":true,"stream_options":{"include_usage": true}}`, true},
		{`{"model":"m","stream":true,"stream_options":"odd"}`, `{"model":"m","stream":true,"stream_options":"odd"}`, true},
	} {
		var sent []byte
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, data(chunk(`{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}`, ``), chunk(``, `,"usage":`+counts), `[DONE]`))
		}))
		h := &heard{}
		out := streamRouter(t, srv.URL).Do(background, Request{Body: json.RawMessage(tt.body), Listener: h})
		srv.Close()
		if string(sent) != tt.sent || out.Usage == nil || (len(h.chunks) == 2) != tt.handed {
			t.Errorf("%s: sent %s, usage %v, %d chunks", tt.body, sent, out.Usage, len(h.chunks))
		}
	}
}

// A server that does not know stream_options is asked without, at the price of
// one call for all requests.
func TestStreamOptionsRefused(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("stream_options")) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}`)
			return
		}
		_, _ = io.WriteString(w, data(chunk(`{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}`, ``), `[DONE]`))
	}))
	defer srv.Close()
	r := streamRouter(t, srv.URL, func(cfg *Config) { cfg.NumRetries = new(int) })
	for range 2 {
		if out := r.Do(background, Request{Body: streamBody}); out.Status != schema.StatusSucceeded {
			t.Fatal(out.Error)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls, not 3", calls)
	}
}

// A stream that fails is tried again like any other call: before its first byte
// unnoticed by the listener, after it under a new number. Usage is the sum of
// what the upstream counted.
func TestStreamIsTriedAgain(t *testing.T) {
	answer := data(chunk(`{"index":0,"delta":{"content":"whole"},"finish_reason":"stop"}`, ``), chunk(``, `,"usage":`+counts), `[DONE]`)
	half := data(chunk(`{"index":0,"delta":{"content":"ha"},"finish_reason":null}`, `,"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}`))
	for _, tt := range []struct {
		name     string
		first    func(w http.ResponseWriter)
		chunks   []heardChunk // attempt and sequence
		attempts int
		usage    schema.Usage
	}{
		{"refused before the first byte", func(w http.ResponseWriter) { w.WriteHeader(503) },
			[]heardChunk{{attempt: 2}}, 2, schema.Usage{PromptTokens: 9, CompletionTokens: 4, TotalTokens: 13}},
		{"closed before the first byte", func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			[]heardChunk{{attempt: 2}}, 2, schema.Usage{PromptTokens: 9, CompletionTokens: 4, TotalTokens: 13}},
		{"closed in the middle", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, half)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, []heardChunk{{attempt: 1}, {attempt: 2}}, 2, schema.Usage{PromptTokens: 18, CompletionTokens: 5, TotalTokens: 23}},
		{"an error in the middle", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, half+data(`{"error":{"message":"died"}}`))
		}, []heardChunk{{attempt: 1}, {attempt: 2}}, 2, schema.Usage{PromptTokens: 18, CompletionTokens: 5, TotalTokens: 23}},
		{"no end", func(w http.ResponseWriter) { _, _ = io.WriteString(w, half) },
			[]heardChunk{{attempt: 1}, {attempt: 2}}, 2, schema.Usage{PromptTokens: 18, CompletionTokens: 5, TotalTokens: 23}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				calls++
				n := calls
				mu.Unlock()
				if n == 1 {
					tt.first(w)
					return
				}
				_, _ = io.WriteString(w, answer)
			}))
			defer srv.Close()
			h := &heard{}
			out := streamRouter(t, srv.URL).Do(background, Request{Body: streamBody, Listener: h, Events: true})
			if out.Status != schema.StatusSucceeded || len(out.Attempts) != tt.attempts || out.Usage == nil || *out.Usage != tt.usage {
				t.Fatalf("%v %v, %d attempts, usage %+v", out.Status, out.Error, len(out.Attempts), out.Usage)
			}
			var sum schema.Usage
			for _, a := range out.Attempts {
				if a.Usage != nil {
					sum = sum.Add(*a.Usage)
				}
			}
			if sum != tt.usage {
				t.Errorf("the attempts' usage is %+v", sum)
			}
			for i := range h.chunks {
				h.chunks[i].data = ""
			}
			if !slices.Equal(h.chunks, tt.chunks) {
				t.Errorf("chunks %v, want %v", h.chunks, tt.chunks)
			}
			if kinds := h.kinds(); !slices.Contains(kinds, schema.EventAttemptFailed) || kinds[len(kinds)-1] != schema.EventFirstToken {
				t.Errorf("events %v", kinds)
			}
			if !strings.Contains(string(out.Response.Body), `"whole"`) || strings.Contains(string(out.Response.Body), "ha\"") {
				t.Errorf("body %s", out.Response.Body)
			}
		})
	}
}

// A document instead of a stream that is no answer is no chunk either, and no
// first token: the listener hears of the attempt that made it good.
func TestNoAnswerIsNoChunk(t *testing.T) {
	srv := llm(t, faultyllm.Config{Answer: "whole"})
	for name, raw := range map[string]string{
		"LM Studio: 200 with an error object": `{"error":{"message":"Model unloaded."}}`,
		"LM Studio: an error that is a text":  `{"error":"Model unloaded."}`,
		"Gemini: errors in an array":          `[{"error":{"code":500,"message":"Internal error","status":"INTERNAL"}}]`,
		"a page of HTML":                      "<html><title>Sign in</title></html>",
		"no choices":                          `{"id":"c-1","choices":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			script, err := json.Marshal(map[string]any{"raw": raw, "times": 1, "key": name, "headers": map[string]string{"Content-Type": "application/json"}})
			if err != nil {
				t.Fatal(err)
			}
			req := ask1("g", name, string(script))
			req.Body = json.RawMessage(strings.Replace(string(req.Body), "{", `{"stream":true,`, 1))
			h := &heard{}
			req.Listener, req.Events = h, true
			r := start(t, &Config{Deployments: []Deployment{on(srv, "a", "g")}, CooldownTime: new(time.Duration)}, noWait)
			out := r.Do(background, req)
			if out.Error != nil || len(out.Attempts) != 2 {
				t.Fatalf("%v after %d attempts", out.Error, len(out.Attempts))
			}
			if out.Attempts[0].TTFTMs != nil || out.Attempts[0].Error == nil || out.Attempts[1].TTFTMs == nil {
				t.Errorf("attempts %+v", out.Attempts)
			}
			if len(h.chunks) == 0 {
				t.Error("no chunks")
			}
			for _, c := range h.chunks {
				if c.attempt != 2 {
					t.Errorf("a chunk of attempt %d: %s", c.attempt, c.data)
				}
			}
			if kinds := h.kinds(); len(kinds) == 0 || kinds[0] != schema.EventAttemptFailed || kinds[len(kinds)-1] != schema.EventFirstToken {
				t.Errorf("events %v", kinds)
			}
		})
	}
}

// The clocks of a stream end an attempt that another one makes good.
func TestStreamClocks(t *testing.T) {
	answer := data(chunk(`{"index":0,"delta":{"content":"whole"},"finish_reason":"stop"}`, ``), `[DONE]`)
	for _, tt := range []struct {
		name, begins, says string
		first, next        time.Duration
	}{
		{"no first token", ": PROCESSING\n\n" + data(chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, ``)), "no token within", 50 * time.Millisecond, 0},
		{"no further token", data(chunk(`{"index":0,"delta":{"content":"a"},"finish_reason":null}`, ``)), "no further token within", time.Minute, 50 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				calls++
				n := calls
				mu.Unlock()
				if n == 1 {
					_, _ = io.WriteString(w, tt.begins)
					w.(http.Flusher).Flush()
					<-r.Context().Done()
					return
				}
				_, _ = io.WriteString(w, answer)
			}))
			defer srv.Close()
			r := streamRouter(t, srv.URL, func(cfg *Config) { cfg.FirstToken, cfg.NextToken = tt.first, tt.next })
			out := r.Do(background, Request{Body: streamBody})
			if out.Status != schema.StatusSucceeded || len(out.Attempts) != 2 || out.Attempts[0].Error.Code != schema.CodeTimeout ||
				!strings.Contains(out.Attempts[0].Error.Message, tt.says) || out.Attempts[0].Error.Class != schema.ClassTransient {
				t.Errorf("%v %+v", out.Status, out.Attempts)
			}
		})
	}
}

// Cancel in mid-stream closes the upstream's connection, and what came is kept.
func TestCancelInMidStream(t *testing.T) {
	for endpoint, begun := range map[schema.Endpoint]string{
		"": data(chunk(`{"index":0,"delta":{"role":"assistant","content":"so "},"finish_reason":null}`, ``), chunk(`{"index":0,"delta":{"content":"far"},"finish_reason":null}`, ``)),
		schema.Responses: data(`{"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","output":[]}}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"so "}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"far"}`),
	} {
		gone := make(chan time.Time, 1)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, begun)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			gone <- time.Now()
		}))
		ctx, cancel := context.WithCancelCause(context.Background())
		h := &heard{notify: make(chan struct{}, 10)}
		done := make(chan Outcome, 1)
		r := streamRouter(t, srv.URL)
		go func() { done <- r.Do(ctx, Request{Endpoint: endpoint, Body: streamBody, Listener: h}) }()
		for range strings.Count(begun, "data:") {
			<-h.notify
		}
		at := time.Now()
		cancel(&schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "the job was cancelled"})
		out := <-done
		if took := (<-gone).Sub(at); took > time.Second { // 50 ms are asked; a loaded machine gets more
			t.Errorf("the upstream saw the end after %v", took)
		} else {
			t.Logf("the upstream saw the end after %v", took)
		}
		srv.Close()
		if out.Status != schema.StatusCancelled || out.Response == nil || !strings.Contains(string(out.Response.Body), `"so far"`) || !json.Valid(out.Response.Body) {
			t.Errorf("%v %+v", out.Status, out.Response)
		}
	}
}

// A stream longer than the bound on answers ends as such, and nothing is kept.
func TestStreamTooLarge(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = io.WriteString(w, data(chunk(`{"index":0,"delta":{"content":"`+strings.Repeat("x", 1000)+`"},"finish_reason":null}`, ``)))
		}
		_, _ = io.WriteString(w, data(`[DONE]`))
	}))
	defer srv.Close()
	out := streamRouter(t, srv.URL, func(cfg *Config) { cfg.MaxResponseBytes = 20_000 }).Do(background, Request{Body: streamBody})
	if out.Error == nil || out.Error.Code != codeTooLarge || len(out.Attempts) != 1 || string(out.Response.Body) != "null" {
		t.Errorf("%+v %v", out, out.Error)
	}
}
