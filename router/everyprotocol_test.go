package router

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"pelton/internal/faultyllm"
)

// everyProtocol is a deployment of each protocol in group "m", at the root of a server.
func everyProtocol(url func(id string) string) []Deployment {
	one := func(id, protocol, model, path string, settings map[string]Secret) Deployment {
		return Deployment{
			ID: id, Group: "m", Model: model, BaseURL: url(id) + path, APIKey: NewSecret(testKey), Protocol: protocol, Settings: settings,
			Prices: Prices{Input: ptr(1e-6), Output: ptr(3e-6)},
		}
	}
	signed := one("bedrock", protocolBedrock, "us.amazon.nova-lite-v1:0", "", map[string]Secret{
		"aws_region_name": NewSecret("us-east-1"), "aws_access_key_id": NewSecret(testKey), "aws_secret_access_key": NewSecret(awsSecret),
	})
	signed.APIKey = Secret{}
	return []Deployment{
		one("openai", "", "gpt", "/v1", nil), one("anthropic", protocolAnthropic, "claude-sonnet-4-6", "", nil),
		one("gemini", protocolGemini, "gemini-3.5-flash", "", nil), signed, one("cohere", protocolCohere, "command-a-03-2025", "", nil),
	}
}

// Tools, pictures and schemas go through each protocol, streamed and not, and what
// comes back is the same but for ids, models and counts.
func TestEveryProtocol(t *testing.T) {
	const (
		tools   = `"tools":[{"type":"function","function":{"name":"look_up","description":"Looks up","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}}}]`
		picture = `"messages":[{"role":"system","content":"Be brief"},{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]`
		plain   = `"messages":[{"role":"user","content":"Oslo é"}]`
		history = `"messages":[{"role":"user","content":"Oslo?"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look_up","arguments":"{\"q\":\"Oslo\"}"}}]},{"role":"tool","tool_call_id":"call_1","content":"{\"found\":1}"},{"role":"user","content":"And now?"}]`
		schema  = `"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}}`
	)
	const call = `tool_calls [{"function":{"arguments":"{\"answer\":\"You said: Oslo é\"}","name":"look_up"},"type":"function"}]`
	for name, test := range map[string]struct{ body, answer, want string }{
		"text":    {`"max_tokens":50,"temperature":0.5,"stop":["END"],` + plain, "", `stop "You said: Oslo é"`},
		"picture": {`"max_tokens":50,` + picture, "", `stop "You said: What is it?"`},
		"tool":    {`"max_tokens":50,"tool_choice":"required",` + tools + `,` + plain, "", call},
		"named":   {`"max_tokens":50,"tool_choice":{"type":"function","function":{"name":"look_up"}},` + tools + `,` + plain, "", call},
		"history": {`"max_tokens":50,` + tools + `,` + history, "", `stop "You said: And now?"`},
		"schema":  {`"max_tokens":50,` + schema + `,` + plain, `{"city":"Oslo"}`, `stop "{\"city\":\"Oslo\"}"`},
	} {
		up := llm(t, faultyllm.Config{APIKey: testKey, Answer: test.answer, Models: []string{
			"gpt", "claude-sonnet-4-6", "gemini-3.5-flash", "us.amazon.nova-lite-v1:0", "command-a-03-2025", "mistral.mistral-large-3-675b-instruct",
		}})
		for _, d := range everyProtocol(func(string) string { return up.Root() }) {
			if d.ID == "bedrock" && name == "schema" { // structured answers are a matter of the model's there
				d.Model = "mistral.mistral-large-3-675b-instruct"
			}
			r := start(t, &Config{Deployments: []Deployment{d}}, noWait)
			for _, streamed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", name, d.ID, streamed), func(t *testing.T) {
					body := fmt.Sprintf(`{"model":"m","stream":%v,%s}`, streamed, test.body)
					h := &heard{}
					out := r.Do(background, Request{Body: json.RawMessage(body), Listener: h})
					if out.Error != nil {
						t.Fatal(out.Error)
					}
					got := answerOf(t, out.Response.Body)
					if got != test.want {
						t.Errorf("got  %s\nwant %s\nof %s", got, test.want, out.Response.Body)
					}
					if streamed && len(h.chunks) < 2 {
						t.Errorf("%d chunks", len(h.chunks))
					}
					if out.Usage == nil || out.Usage.TotalTokens == 0 || out.Usage.TotalTokens != out.Usage.PromptTokens+out.Usage.CompletionTokens {
						t.Errorf("usage %+v", out.Usage)
					}
				})
			}
		}
	}
}

// answerOf is what an answer says, without its ids: the calls, or the reason of the
// end and the text. Members that OpenAI's form must have are checked.
func answerOf(t *testing.T, raw []byte) string {
	t.Helper()
	var a struct {
		ID, Object, Model string
		Created           *int64
		Choices           []struct {
			Index        *int
			Message      map[string]any
			FinishReason string `json:"finish_reason"`
		}
		Usage map[string]any
	}
	if err := json.Unmarshal(raw, &a); err != nil || len(a.Choices) != 1 {
		t.Fatalf("%v: %s", err, raw)
	}
	c := a.Choices[0]
	if a.ID == "" || a.Object != "chat.completion" || a.Model == "" || a.Created == nil || c.Index == nil || *c.Index != 0 || c.Message["role"] != "assistant" {
		t.Errorf("the answer is not OpenAI's: %s", raw)
	}
	for _, name := range []string{"prompt_tokens", "completion_tokens", "total_tokens"} {
		if _, ok := a.Usage[name].(float64); !ok {
			t.Errorf("usage lacks %s: %s", name, raw)
		}
	}
	text := func(value any) string {
		var out bytes.Buffer
		in := json.NewEncoder(&out)
		in.SetEscapeHTML(false)
		_ = in.Encode(value)
		return strings.TrimSpace(out.String())
	}
	calls, ok := c.Message["tool_calls"].([]any)
	if !ok {
		return c.FinishReason + " " + text(c.Message["content"])
	}
	if c.Message["content"] != nil {
		t.Errorf("a call with a text: %s", raw)
	}
	for _, call := range calls {
		if id, _ := call.(map[string]any)["id"].(string); id == "" {
			t.Errorf("a call without an id: %s", raw)
		}
		delete(call.(map[string]any), "id")
	}
	return c.FinishReason + " " + text(calls)
}

// bill is what a server charges: for each answer that it gave whole.
type bill struct {
	mu            sync.Mutex
	answers       int
	input, output int64
}

// charging is a server that keeps the bill of what handler answers.
func charging(t *testing.T, b *bill, handler http.Handler) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &recorder{ResponseWriter: w}
		defer func() {
			if seen.status != 0 && seen.status != http.StatusOK {
				return
			}
			if input, output, whole := charge(seen.body.Bytes(), w.Header().Get("Content-Type")); whole {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.answers, b.input, b.output = b.answers+1, b.input+input, b.output+output
			}
		}()
		handler.ServeHTTP(seen, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// recorder keeps a copy of what is written.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }
func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}
func (r *recorder) Flush() { r.ResponseWriter.(http.Flusher).Flush() }
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return r.ResponseWriter.(http.Hijacker).Hijack()
}

// charge reads what an answer costs in its server's own words. whole is false for
// one that did not come to its end.
func charge(body []byte, kind string) (input, output int64, whole bool) {
	var all []map[string]any
	add := func(raw []byte) {
		var one map[string]any
		if json.Unmarshal(raw, &one) == nil {
			all = append(all, one)
		}
	}
	switch {
	case strings.HasPrefix(kind, "text/event-stream"):
		for line := range bytes.Lines(body) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				add(data)
			}
		}
	case strings.HasPrefix(kind, "application/vnd.amazon.eventstream"):
		decoder, from := eventstream.NewDecoder(), bytes.NewReader(body)
		for {
			m, err := decoder.Decode(from, nil)
			if err != nil {
				break
			}
			add(m.Payload)
		}
	default:
		add(body)
	}
	var walk func(value any)
	walk = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				n, isNumber := inner.(float64)
				text, _ := inner.(string)
				switch {
				case key == "tokens": // of Cohere's: counted, not billed
				case isNumber && (key == "prompt_tokens" || key == "input_tokens" || key == "promptTokenCount" || key == "inputTokens"):
					input = max(input, int64(n))
				case isNumber && (key == "completion_tokens" || key == "output_tokens" || key == "candidatesTokenCount" || key == "outputTokens"):
					output = max(output, int64(n))
				case text != "" && (key == "finish_reason" || key == "finishReason" || key == "stop_reason" || key == "stopReason"):
					whole = text != "ERROR"
				default:
					walk(inner)
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	for _, one := range all {
		walk(one)
	}
	return input, output, whole
}

// A thousand requests over a group of five protocols, of whose calls a fifth fail in
// every way: one answer each, and what is counted and paid is what was charged.
func TestThousandOverEveryProtocol(t *testing.T) {
	deployments, bills, servers := chargedDeployments(t)
	retries, fails := 20, 1_000_000
	r := start(t, &Config{Deployments: deployments, NumRetries: &retries, AllowedFails: &fails, CooldownTime: new(time.Duration)})
	type paid struct {
		answers, failed int
		input, output   int64
		cost            float64
	}
	sums := map[string]*paid{}
	for id := range bills {
		sums[id] = &paid{}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range 1000 {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			want := fmt.Sprintf("request %d of many", i)
			out := r.Do(background, Request{Index: i, Body: fmt.Appendf(nil, `{"model":"m","stream":%v,"max_tokens":50,"messages":[{"role":"user","content":"%s"}]}`, i%2 == 1, want)})
			wantConsistent(t, out)
			if out.Error != nil {
				t.Errorf("request %d: %v", i, out.Error)
				return
			}
			if got := answerOf(t, out.Response.Body); got != `stop "You said: `+want+`"` {
				t.Errorf("request %d: %s", i, got)
			}
			mu.Lock()
			defer mu.Unlock()
			for n, a := range out.Attempts {
				p := sums[a.Deployment]
				if n < len(out.Attempts)-1 {
					p.failed++
					continue
				}
				p.answers++
				if a.Usage == nil || a.Cost == nil {
					t.Errorf("request %d: usage %v, cost %v", i, a.Usage, a.Cost)
					return
				}
				p.input, p.output, p.cost = p.input+a.Usage.PromptTokens, p.output+a.Usage.CompletionTokens, p.cost+*a.Cost
			}
		})
	}
	all.Wait()
	for _, srv := range servers { // until all is charged
		srv.Close()
	}
	for id, p := range sums {
		b := bills[id]
		input := p.input
		if id == "cohere" { // counts more than it bills
			input -= int64(p.answers) * 67
		}
		if p.answers != b.answers || input != b.input || p.output != b.output {
			t.Errorf("%s: counted %+v, charged %d answers, %d and %d tokens", id, *p, b.answers, b.input, b.output)
		}
		if charged := float64(b.input)*1e-6 + float64(b.output)*3e-6; math.Abs(charged-p.cost) > 1e-9 {
			t.Errorf("%s: paid %g, charged %g", id, p.cost, charged)
		}
		if p.answers < 50 || p.failed < 10 {
			t.Errorf("%s was hardly asked: %+v", id, *p)
		}
	}
}

// chargedDeployments are those of every protocol, at servers of whose calls a fifth
// fail, and the bill of each.
func chargedDeployments(t *testing.T) ([]Deployment, map[string]*bill, []*httptest.Server) {
	t.Helper()
	faults := faultyllm.Rates{}
	for _, fault := range []faultyllm.Fault{
		faultyllm.FaultRateLimit, faultyllm.FaultServerError, faultyllm.FaultUnavailable, faultyllm.FaultOverloaded, faultyllm.FaultReset,
		faultyllm.FaultTruncated, faultyllm.FaultErrorIn200, faultyllm.FaultClose, faultyllm.FaultBadGateway, faultyllm.FaultTimeout,
	} {
		faults[fault] = 0.02
	}
	bills := map[string]*bill{}
	var servers []*httptest.Server
	deployments := everyProtocol(func(id string) string {
		up, err := faultyllm.New(faultyllm.Config{APIKey: testKey, Faults: faults, Seed: uint64(len(bills) + 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = up.Close() })
		bills[id] = &bill{}
		srv := charging(t, bills[id], up)
		servers = append(servers, srv)
		return srv.URL
	})
	return deployments, bills, servers
}
