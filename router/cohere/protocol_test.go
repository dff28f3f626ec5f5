package cohere

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

func made(t *testing.T, u protocol.Upstream) *Protocol {
	t.Helper()
	p, err := New(u)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Protocol)
}

// encoded is what a body becomes.
func encoded(t *testing.T, p *Protocol, endpoint schema.Endpoint, body string) (sent string, c *protocol.Call, err error) {
	t.Helper()
	var model struct {
		Model  string
		Stream bool
	}
	_ = json.Unmarshal([]byte(body), &model)
	c = &protocol.Call{Endpoint: endpoint, Model: model.Model, Body: json.RawMessage(body), Streamed: model.Stream}
	if err := p.Encode(t.Context(), c); err != nil {
		return "", c, err
	}
	raw, err := io.ReadAll(c.Req.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(raw) {
		t.Fatalf("no JSON: %s", raw)
	}
	return string(raw), c, nil
}

const user = `"messages":[{"role":"user","content":"Hi"}]`

// What is sent of each parameter that the recorded cases do not have.
func TestRequests(t *testing.T) {
	const tool = `{"type":"function","function":{"name":"a","parameters":{},"strict":true}}`
	const tools = `"tools":[{"type":"function","function":{"name":"a","parameters":{}}},{"type":"function","function":{"name":"b","parameters":{}}}]`
	for name, test := range map[string]struct{ model, body, want string }{
		"effort":         {"command-a-reasoning-1", user + `,"reasoning_effort":"high"`, user + `,"thinking":{"type":"enabled","token_budget":4096}`},
		"no effort":      {"command-a-reasoning-1", user + `,"reasoning_effort":"none"`, user + `,"thinking":{"type":"disabled"}`},
		"budget":         {"m", user + `,"thinking":{"type":"enabled","budget_tokens":9}`, user + `,"thinking":{"type":"enabled","token_budget":9}`},
		"own":            {"m", `"safety_mode":"OFF","documents":["x"],"k":3,` + user, `"safety_mode":"OFF","documents":["x"],"k":3,` + user},
		"nothing":        {"m", user + `,"n":1,"store":false,"metadata":{},"logit_bias":{},"service_tier":"auto","verbosity":"medium","parallel_tool_calls":true,"seed":null,"user":"u","tools":[],"logprobs":false,"top_logprobs":0`, user},
		"old bound":      {"m", user + `,"max_tokens":5,"max_completion_tokens":6`, user + `,"max_tokens":6`},
		"strict":         {"m", user + `,"tools":[` + tool + `]`, user + `,"tools":[{"type":"function","function":{"name":"a","parameters":{}}}],"strict_tools":true`},
		"allowed":        {"m", user + `,` + tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"b"}}]}}`, user + `,"tools":[{"type":"function","function":{"name":"b","parameters":{}}}]`},
		"required":       {"m", user + `,` + tools + `,"tool_choice":"required"`, user + `,` + tools + `,"tool_choice":"REQUIRED"`},
		"old call":       {"m", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},{"role":"function","name":"f","content":"1"}]`, `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"function_call_0","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"function_call_0","content":"1"}]`},
		"plan":           {"m", `"messages":[{"role":"assistant","reasoning_content":"I will","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":null}]`, `"messages":[{"role":"assistant","tool_plan":"I will","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":""}]`},
		"thoughts":       {"command-a-reasoning-1", `"messages":[{"role":"assistant","content":"Yes","thinking_blocks":[{"type":"thinking","thinking":"Hm"}],"reasoning_content":"Hm"}]`, `"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm"},{"type":"text","text":"Yes"}]}]`},
		"other thoughts": {"m", `"messages":[{"role":"assistant","content":"Yes","reasoning_content":"Hm"}]`, `"messages":[{"role":"assistant","content":"Yes"}]`},
		"picture":        {"m", `"messages":[{"role":"user","content":[{"type":"image_url","image_url":"https://x/y.png"}]}]`, `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]`},
		"two results": {"m", `"messages":[{"role":"tool","tool_call_id":"1","content":[{"type":"image_url","image_url":{"url":"data:a"}}]},{"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:b"}}]},{"role":"assistant","content":"ok"}]`,
			`"messages":[{"role":"tool","tool_call_id":"1","content":""},{"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"x"}]},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:a"}},{"type":"image_url","image_url":{"url":"data:b"}}]},{"role":"assistant","content":"ok"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := encoded(t, made(t, protocol.Upstream{}), schema.ChatCompletions, `{"model":"`+test.model+`",`+test.body+`}`)
			if want := `{"model":"` + test.model + `",` + test.want + `}`; err != nil || !sameJSON(got, want) {
				t.Errorf("%v: sent\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// What has no place is refused by name, and left out with drop_params where that
// changes no more than the answer's form.
func TestRefusals(t *testing.T) {
	const tool = `{"type":"function","function":{"name":"a","strict":true}}`
	for _, test := range []struct {
		param, body string
		drops       bool
	}{
		{"n", user + `,"n":2`, false},
		{"logit_bias", user + `,"logit_bias":{"1":2}`, true},
		{"top_logprobs", user + `,"logprobs":true,"top_logprobs":2`, true},
		{"parallel_tool_calls", user + `,"parallel_tool_calls":false`, true},
		{"reasoning_effort", user + `,"reasoning_effort":"low"`, true},
		{"service_tier", user + `,"service_tier":"flex"`, true},
		{"modalities", user + `,"modalities":["audio"]`, true},
		{"functions", user + `,"functions":[{}]`, false},
		{"response_format", user + `,"response_format":{"type":"json_object"},"tools":[` + tool + `]`, false},
		{"response_format", user + `,"response_format":{"type":"xml"}`, false},
		{"response_format", user + `,"response_format":{"type":"json_schema"}`, false},
		{"response_format", user + `,"response_format":{}`, false},
		{"tools[1].function.strict", user + `,"tools":[` + tool + `,{"type":"function","function":{"name":"b"}}]`, true},
		{"tools[0].type", user + `,"tools":[{"type":"web_search"}]`, false},
		{"tools[0].function.name", user + `,"tools":[{"type":"function","function":{}}]`, false},
		{"tool_choice", user + `,"tool_choice":"required"`, false},
		{"tool_choice", user + `,"tools":[` + tool + `],"tool_choice":{"type":"function","function":{"name":"x"}}`, false},
		{"tool_choice", user + `,"tools":[` + tool + `],"tool_choice":"any"`, false},
		{"messages", `"x":1`, false},
		{"messages", `"messages":{}`, false},
		{"messages", `"messages":[]`, false},
		{"messages[0].role", `"messages":[{"role":"x","content":""}]`, false},
		{"messages[0].content", `"messages":[{"role":"user"}]`, false},
		{"messages[0].content[0].type", `"messages":[{"role":"user","content":[{"type":"file","file":{}}]}]`, false},
		{"messages[0].tool_calls[0].id", `"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"a","arguments":"{}"}}]}]`, false},
		{"messages[0].tool_calls[0].function.arguments", `"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"a","arguments":"[]"}}]}]`, false},
		{"messages[0].tool_call_id", `"messages":[{"role":"tool","content":"1"}]`, false},
	} {
		t.Run(test.param, func(t *testing.T) {
			for _, drop := range []bool{false, true} {
				sent, _, err := encoded(t, made(t, protocol.Upstream{DropParams: drop}), schema.ChatCompletions, `{"model":"m",`+test.body+`}`)
				var e *schema.Error
				switch refused := errors.As(err, &e); {
				case refused == (drop && test.drops):
					t.Errorf("drop %v: %v, %s", drop, err, sent)
				case refused && (e.Param != test.param || e.Class != schema.ClassRequestFatal):
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// The base URL may end anywhere before or in the path of a chat.
func TestAddress(t *testing.T) {
	for base, want := range map[string]string{
		"": "https://api.cohere.com/v2/chat", "http://x:1": "http://x:1/v2/chat", "http://x/p/v2/": "http://x/p/v2/chat",
		"http://x/v2/chat": "http://x/v2/chat", "http://x/v2/embed?a=b": "http://x/v2/chat?a=b",
		"https://api.cohere.ai/v1/chat": "https://api.cohere.ai/v2/chat",
	} {
		p := made(t, protocol.Upstream{BaseURL: base, Key: "k", Headers: map[string]string{"X-A": "b"}})
		_, c, err := encoded(t, p, schema.ChatCompletions, `{"model":"m",`+user+`}`)
		if err != nil || c.Req.URL.String() != want || c.Req.Header.Get("Authorization") != "Bearer k" || c.Req.Header.Get("X-A") != "b" {
			t.Errorf("%q: %s %v, %v", base, c.Req.URL, c.Req.Header, err)
		}
	}
	list := &protocol.Call{Endpoint: protocol.ListModels}
	p := made(t, protocol.Upstream{BaseURL: "http://x/v2?a=b"})
	if err := p.Encode(t.Context(), list); err != nil || list.Req.Method != http.MethodGet || list.Req.URL.String() != "http://x/v1/models?page_size=1000&a=b" {
		t.Errorf("%v: %v", list.Req.URL, err)
	}
	if got := p.Models([]byte(`{"models":[{"name":"a"},{"name":"b"}]}`)); fmt.Sprint(got) != "[a b]" {
		t.Errorf("models %v", got)
	}
}

func TestEmbeddings(t *testing.T) {
	p := made(t, protocol.Upstream{})
	sent, c, err := encoded(t, p, schema.Embeddings, `{"model":"embed-v4.0","input":["a","b"],"dimensions":2,"encoding_format":"base64","user":"u"}`)
	if want := `{"model":"embed-v4.0","texts":["a","b"],"output_dimension":2,"input_type":"search_document","embedding_types":["float"]}`; err != nil || !sameJSON(sent, want) || c.Req.URL.Path != "/v2/embed" {
		t.Fatalf("%v: %s", err, sent)
	}
	const answer = `{"id":"e","embeddings":{"float":[[1,-0.5],[0,2]]},"texts":["a","b"],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":2}}}`
	a := p.Decode(c, protocol.Reply{Status: 200, Header: http.Header{}, Body: []byte(answer)})
	const want = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAL8="},{"object":"embedding","index":1,"embedding":"AAAAAAAAAEA="}],"model":"embed-v4.0","usage":{"prompt_tokens":2,"total_tokens":2}}`
	if string(a.Body) != want || a.Failed || a.Lacks != "" || a.Usage.Input != 2 || !a.Usage.Billed {
		t.Errorf("%s %+v", a.Body, a)
	}
	if a := p.Decode(c, protocol.Reply{Status: 200, Header: http.Header{}, Body: []byte(`{"embeddings":{}}`)}); a.Lacks == "" {
		t.Errorf("nothing lacks: %+v", a)
	}
	for _, body := range []string{`{"model":"m"}`, `{"model":"m","input":[1,2]}`, `{"model":"m","input":[]}`} {
		if _, _, err := encoded(t, p, schema.Embeddings, body); err == nil {
			t.Errorf("%s is sent", body)
		}
	}
	if sent, _, err := encoded(t, p, schema.Embeddings, `{"model":"m","input":"a","input_type":"search_query","embedding_types":["int8"]}`); err != nil || !sameJSON(sent, `{"model":"m","texts":["a"],"input_type":"search_query","embedding_types":["int8"]}`) {
		t.Errorf("%v: %s", err, sent)
	}
}

const events = `event: message-start
data: {"id":"c1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}

data: {"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I \u00e9"}}}

data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi "}}},"logprobs":{"text":"Hi ","token_ids":[1,2],"logprobs":[-0.5,-0.25]}}

data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"you"}}},"logprobs":{"text":"you","token_ids":[3],"logprobs":[-1]}}

data: {"type":"content-end","index":0}

data: {"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"text":"Hi","sources":[{"type":"document","id":"d","document":{"title":"T"}},{"type":"tool","id":"t","tool_output":{}}]}}}}

data: {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","type":"function","function":{"name":"f","arguments":""}}}}}

data: {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"x\":"}}}}}

data: {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"1}"}}}}}

data: {"type":"tool-call-end","index":0}

data: {"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"b","type":"function","function":{"name":"g","arguments":""}}}}}

data: {"type":"tool-call-end","index":1}

data: {"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":3,"output_tokens":3},"tokens":{"input_tokens":70,"output_tokens":4}}}}

`

const whole = `{"id":"c1","finish_reason":"TOOL_CALL","message":{"role":"assistant","content":[{"type":"text","text":"Hi you"}],"tool_plan":"I \u00e9",
"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":""}}],
"citations":[{"start":0,"end":2,"text":"Hi","sources":[{"type":"document","id":"d","document":{"title":"T"}},{"type":"tool","id":"t","tool_output":{}}]}]},
"logprobs":[{"text":"Hi ","token_ids":[1,2],"logprobs":[-0.5,-0.25]},{"text":"you","token_ids":[3],"logprobs":[-1]}],
"usage":{"billed_units":{"input_tokens":3,"output_tokens":3},"tokens":{"input_tokens":70,"output_tokens":4}}}`

var at = time.Unix(7, 0)

func read(p *Protocol, wire string, usage bool, limit int64) (chunks []string, a protocol.Answer, err error) {
	c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: "m", Streamed: true, Note: &note{usage: usage}}
	s, document := p.Stream(c, protocol.Reply{Status: 200, Header: http.Header{}, At: at}, strings.NewReader(wire), limit)
	if s == nil {
		raw, err := io.ReadAll(document)
		return nil, p.Decode(c, protocol.Reply{Status: 200, Header: http.Header{}, Body: raw}), err
	}
	for {
		chunk, err := s.Next()
		if err != nil {
			return chunks, s.Answer(), err
		}
		if len(chunk) > 0 {
			chunks = append(chunks, string(chunk))
		}
	}
}

// The answer of a stream is the answer without one, and its chunks are OpenAI's.
func TestStream(t *testing.T) {
	p := made(t, protocol.Upstream{})
	chunks, got, err := read(p, events, true, 1<<20)
	want := p.Decode(&protocol.Call{Endpoint: schema.ChatCompletions, Model: "m"}, protocol.Reply{Status: 200, Header: http.Header{}, At: at, Body: []byte(whole)})
	if err != io.EOF || got.Cut != "" || got.Failed || got.Usage != want.Usage || !sameJSON(string(got.Body), string(want.Body)) {
		t.Errorf("%v %+v\nstreamed %s\nwhole    %s", err, got, got.Body, want.Body)
	}
	const probable = `"logprobs":{"content":[{"token":"Hi ","logprob":-0.75,"bytes":null,"top_logprobs":[]}]}`
	all := strings.Join(chunks, "\n")
	for _, part := range []string{
		probable, `"reasoning_content":"I \u00e9"`, `"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]`, `"finish_reason":"tool_calls"`,
		`"choices":[],"usage":{"prompt_tokens":70,"completion_tokens":4,"total_tokens":74`, `"citation":{"start":0`,
	} {
		if !strings.Contains(all, part) {
			t.Errorf("the chunks lack %s:\n%s", part, all)
		}
	}
	for _, chunk := range chunks {
		if !json.Valid([]byte(chunk)) || !strings.HasPrefix(chunk, `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[`) {
			t.Errorf("chunk %s", chunk)
		}
	}
	for _, part := range []string{probable[:20], `"reasoning_content":"I \u00e9"`, `"title":"T","url":"source:d"`, `"billed_units":{"input_tokens":3`} {
		if !strings.Contains(string(want.Body), part) {
			t.Errorf("the answer lacks %s: %s", part, want.Body)
		}
	}
}

// However a stream is cut, it is no success, and what came is JSON.
func TestStreamIsCut(t *testing.T) {
	p := made(t, protocol.Upstream{})
	end := strings.Index(events, "data: {\"type\":\"message-end\"")
	for n := range len(events) - 3 {
		_, a, err := read(p, events[:n], true, 1<<20)
		if !a.Failed && (err == nil || a.Cut == "") {
			t.Fatalf("cut at %d of %d: %v %+v", n, end, err, a)
		}
		if a.JSON && !json.Valid(a.Body) {
			t.Fatalf("cut at %d: %s", n, a.Body)
		}
	}
	if _, _, err := read(p, events, true, 100); !errors.Is(err, protocol.ErrTooLarge) {
		t.Errorf("beyond the bound: %v", err)
	}
}

// An error within a stream fails it, in any of its forms.
func TestStreamFails(t *testing.T) {
	p := made(t, protocol.Upstream{})
	begin := events[:strings.Index(events, "data: {\"type\":\"tool-call-start\"")]
	for wire, class := range map[string]schema.Class{
		begin + `data: {"type":"message-end","delta":{"error":"too many tokens: cannot exceed 5","finish_reason":"ERROR"}}` + "\n\n": schema.ClassContextWindow,
		begin + "event: error\ndata: {\"message\":\"internal\"}\n\n":                                                                 schema.ClassTransient,
		begin + `data: {"message":"rate limited"}` + "\n\n":                                                                          schema.ClassTransient,
		begin + "data: oops\n\n": schema.ClassTransient,
	} {
		_, a, err := read(p, wire, false, 1<<20)
		if !errors.Is(err, protocol.ErrFailed) || !a.Failed || protocol.ClassOf(200, &a.Fault) != class {
			t.Errorf("%q: %v %+v", wire[len(begin):], err, a)
		}
	}
	if _, a, err := read(p, begin+`data: {"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}`+"\n\n", false, 1<<20); err != io.EOF || !strings.Contains(a.Cut, "TIMEOUT") {
		t.Errorf("%v %+v", err, a)
	}
	if _, a, _ := read(p, `{"message":"no"}`, false, 1<<20); !a.Failed {
		t.Errorf("a document: %+v", a)
	}
}

// What failures mean, by status and message.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		status  int
		message string
		want    schema.Class
	}{
		{400, "too many tokens: total number of tokens in the prompt cannot exceed 128000", schema.ClassContextWindow},
		{429, "You are using a Trial key, which is limited to 1000 API calls / month.", schema.ClassUpstreamFatal},
		{429, "You are using a Trial key, which is limited to 10 API calls / minute.", schema.ClassRateLimited},
		{498, "response contains a deny-listed token", schema.ClassContentPolicy},
		{501, "not implemented", schema.ClassUpstreamFatal},
		{500, "internal server error", schema.ClassTransient},
	} {
		raw, _ := json.Marshal(map[string]string{"message": test.message})
		a := made(t, protocol.Upstream{}).Decode(&protocol.Call{Endpoint: schema.ChatCompletions}, protocol.Reply{Status: test.status, Header: http.Header{}, Body: raw})
		if got := protocol.ClassOf(test.status, &a.Fault); got != test.want || a.Fault.Message != test.message {
			t.Errorf("%d %s: %s, want %s", test.status, test.message, got, test.want)
		}
	}
}
