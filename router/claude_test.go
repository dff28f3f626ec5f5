package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

func claudeAt(id, group, url string) Deployment {
	return Deployment{ID: id, Group: group, Model: "claude-sonnet-4-6", BaseURL: url, APIKey: NewSecret(testKey), Protocol: protocolAnthropic}
}

// completion is what counts of an answer.
type completion struct {
	Object  string
	Model   string
	Choices []struct {
		Message struct {
			Role, Content string
			ToolCalls     []struct {
				Type     string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Total      int64 `json:"total_tokens"`
	}
}

func completionOf(t *testing.T, out Outcome) (c completion) {
	t.Helper()
	if out.Error != nil {
		t.Fatal(out.Error)
	}
	if err := json.Unmarshal(out.Response.Body, &c); err != nil || len(c.Choices) != 1 {
		t.Fatalf("%v: %s", err, out.Response.Body)
	}
	return c
}

const claudeTools = `"tools":[{"type":"function","function":{"name":"look.up","parameters":{"type":"object","properties":{}}}}],"tool_choice":"required",`

// The same request, whole and streamed, short and so long that the server is
// asked for a stream: the answer is the same, and OpenAI's.
func TestClaude(t *testing.T) {
	up := llm(t, faultyllm.Config{APIKey: testKey})
	r := start(t, &Config{Deployments: []Deployment{claudeAt("a", "m", up.Root())}}, noWait)
	const messages = `"messages":[{"role":"developer","content":"Be brief"},{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"},{"role":"user","content":[{"type":"text","text":"A \"b\" é"}]}]}`
	for name, more := range map[string]string{
		"short": `"max_tokens":50,`, "long": ``, "tools": `"max_tokens":50,` + claudeTools, "tools, long": claudeTools,
		"schema": `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"x":{"type":"string","maxLength":5}}}}},`,
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"model":"m",` + more + messages
			whole := r.Do(background, Request{Body: json.RawMessage(body)})
			h := &heard{}
			streamed := r.Do(background, Request{Body: json.RawMessage(`{"stream":true,"stream_options":{"include_usage":true},` + body[1:]), Listener: h})
			w, s := completionOf(t, whole), completionOf(t, streamed)
			if fmt.Sprintf("%+v", w) != fmt.Sprintf("%+v", s) {
				t.Errorf("whole    %+v\nstreamed %+v", w, s)
			}
			if w.Object != "chat.completion" || w.Model != "claude-sonnet-4-6" || w.Usage.Total == 0 || w.Usage.Total != w.Usage.Prompt+w.Usage.Completion {
				t.Errorf("%s", whole.Response.Body)
			}
			if whole.Usage == nil || whole.Usage.TotalTokens != w.Usage.Total {
				t.Errorf("usage %+v, in the body %+v", whole.Usage, w.Usage)
			}
			message, reason := w.Choices[0].Message, w.Choices[0].FinishReason
			if strings.Contains(more, "tools") {
				if calls := message.ToolCalls; len(calls) != 1 || calls[0].Function.Name != "look.up" || calls[0].Function.Arguments != `{"answer":"You said: A \"b\" é"}` || reason != "tool_calls" {
					t.Errorf("%s", whole.Response.Body)
				}
			} else if message.Content != `You said: A "b" é` || reason != "stop" {
				t.Errorf("%s", whole.Response.Body)
			}
			if len(h.chunks) < 3 {
				t.Errorf("%d chunks", len(h.chunks))
			}
		})
	}
}

// A group of both protocols serves every request once, whatever fails; what one
// of them cannot serve at all goes to the other group.
func TestClaudeBesideOpenAI(t *testing.T) {
	up := llm(t, faultyllm.Config{Faults: map[faultyllm.Fault]float64{
		faultyllm.FaultOverloaded: 0.05, faultyllm.FaultTruncated: 0.05, faultyllm.FaultErrorIn200: 0.05, faultyllm.FaultReset: 0.05, faultyllm.FaultNoChoices: 0.05,
	}, Seed: 3})
	tries := 20
	r := start(t, &Config{NumRetries: &tries, Deployments: []Deployment{
		claudeAt("a", "m", up.Root()), {ID: "o", Group: "m", Model: "gpt", BaseURL: up.URL(), APIKey: NewSecret(testKey)},
	}, AllowedFails: &tries}, noWait)
	var wg sync.WaitGroup
	var mu sync.Mutex
	served := map[string]int{}
	for i := range 100 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"number %d"}],"stream":%v}`, i, i%2 == 0)
			out := r.Do(background, Request{Body: json.RawMessage(body)})
			if out.Error != nil || !strings.Contains(string(out.Response.Body), fmt.Sprintf("You said: number %d\"", i)) {
				t.Errorf("%d: %v", i, out.Error)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			served[out.Attempts[len(out.Attempts)-1].Deployment]++
		})
	}
	wg.Wait()
	if served["a"] == 0 || served["o"] == 0 {
		t.Errorf("served by %v", served)
	}
}

func TestClaudeFallsBack(t *testing.T) {
	busy := llm(t, faultyllm.Config{Faults: map[faultyllm.Fault]float64{faultyllm.FaultOverloaded: 1}})
	up := llm(t, faultyllm.Config{})
	none := 0
	cfg := &Config{NumRetries: &none, Fallbacks: map[string][]string{"m": {"n"}, "n": {"m"}}, Deployments: []Deployment{
		claudeAt("a", "m", busy.Root()), {ID: "o", Group: "n", Model: "gpt", BaseURL: up.URL(), APIKey: NewSecret(testKey)},
	}}
	out := start(t, cfg, noWait).Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`)})
	if out.Error != nil || len(out.Attempts) != 2 || out.Attempts[0].Error.Class != schema.ClassTransient || out.Attempts[0].StatusCode != 529 || out.Attempts[1].Deployment != "o" {
		t.Errorf("%v %+v", out.Error, out.Attempts)
	}
	cfg.Deployments[0].BaseURL, cfg.Deployments[1].BaseURL = up.Root(), busy.URL()
	out = start(t, cfg, noWait).Do(background, Request{Body: json.RawMessage(`{"model":"n","messages":[{"role":"user","content":"Hi"}],"stream":true}`)})
	if out.Error != nil || len(out.Attempts) != 2 || out.Attempts[1].Deployment != "a" {
		t.Errorf("%v %+v", out.Error, out.Attempts)
	}
}

// What Messages has no place for costs no call, and other endpoints are not served.
func TestClaudeRefuses(t *testing.T) {
	up := llm(t, faultyllm.Config{})
	d := claudeAt("a", "m", up.Root())
	r := start(t, &Config{Deployments: []Deployment{d}}, noWait)
	body := json.RawMessage(`{"model":"m","seed":3,"messages":[{"role":"user","content":"Hi"}]}`)
	out := r.Do(background, Request{Body: body})
	if out.Error == nil || out.Error.Class != schema.ClassRequestFatal || out.Error.Param != "seed" || up.Stats().Calls != 0 {
		t.Errorf("%+v after %d calls", out.Error, up.Stats().Calls)
	}
	if out := r.Do(background, Request{Endpoint: schema.Embeddings, Body: json.RawMessage(`{"model":"m","input":"Hi"}`)}); out.Error == nil || up.Stats().Calls != 0 {
		t.Errorf("%+v after %d calls", out.Error, up.Stats().Calls)
	}
	d.DropParams = true
	if out := start(t, &Config{Deployments: []Deployment{d}}, noWait).Do(background, Request{Body: body}); out.Error != nil {
		t.Error(out.Error)
	}
}

// The longest answer is learnt from what the server says, at no attempt's cost.
func TestClaudeLearnsTheBound(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		var body struct {
			Max int `json:"max_tokens"`
		}
		_ = json.Unmarshal(raw, &body)
		mu.Lock()
		asked = append(asked, fmt.Sprint(body.Max))
		mu.Unlock()
		switch {
		case body.Max > 32000:
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: %d > 32000, which is the maximum allowed number of output tokens for claude"}}`, body.Max)
		case body.Max > 9000 && strings.Contains(string(raw), "much"):
			w.WriteHeader(400)
			fmt.Fprintf(w, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"input length and `max_tokens` exceed context limit: 191000 + %d > 200000\"}}", body.Max)
		default:
			_, _ = io.WriteString(w, `{"id":"m","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`)
		}
	}))
	t.Cleanup(srv.Close)
	r := start(t, &Config{Deployments: []Deployment{claudeAt("a", "m", srv.URL)}}, noWait)
	for _, text := range []string{"Hi", "Ho", "much"} {
		out := r.Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}`)})
		if out.Error != nil {
			t.Errorf("%s: %v", text, out.Error)
		}
	}
	if got := strings.Join(asked, " "); got != "128000 32000 32000 32000 9000" {
		t.Errorf("asked for %s", got)
	}
}

// A key is in no result, error or line of the log, whatever the server repeats.
func TestClaudeKeepsItsKey(t *testing.T) {
	for name, protocol := range map[string]string{"anthropic": protocolAnthropic, "azure": protocolAnthropicAzure, "bedrock": protocolAnthropicBedrock} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				key := req.Header.Get("x-api-key") + req.Header.Get("Authorization")
				w.WriteHeader(401)
				fmt.Fprintf(w, `{"type":"error","error":{"type":"authentication_error","message":"invalid key %s"}}`, key)
			}))
			t.Cleanup(srv.Close)
			d := claudeAt("a", "m", srv.URL)
			d.Protocol = protocol
			var log bytes.Buffer
			r := start(t, &Config{Deployments: []Deployment{d}}, noWait, WithLogger(zerolog.New(&log)))
			for _, streamed := range []bool{false, true} {
				body := fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":"Hi"}]}`, streamed)
				out := r.Do(background, Request{Body: json.RawMessage(body)})
				raw, err := json.Marshal(out)
				if err != nil || out.Error == nil {
					t.Fatal(err, out.Error)
				}
				for what, text := range map[string]string{"result": string(raw), "error": out.Error.Error(), "log": log.String(), "deployment": fmt.Sprintf("%+v", d)} {
					if strings.Contains(text, testKey) {
						t.Errorf("the %s has the key: %s", what, text)
					}
				}
			}
			if log.Len() == 0 {
				t.Error("nothing was logged")
			}
		})
	}
}
