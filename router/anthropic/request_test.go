package anthropic

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"pelton/router/internal/golden"
	"pelton/router/protocol"
	"pelton/schema"
)

// encoded is what goes out for a body; drop leaves out what has no place.
func encoded(t *testing.T, model, body string, drop bool) (string, *protocol.Call, error) {
	t.Helper()
	p, err := New(protocol.Upstream{Key: "sk-canary", Model: model, DropParams: drop})
	if err != nil {
		t.Fatal(err)
	}
	c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: model, Body: []byte(body)}
	if err := p.Encode(t.Context(), c); err != nil {
		return "", c, err
	}
	raw, err := io.ReadAll(c.Req.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), c, nil
}

const (
	hi      = `"messages":[{"role":"user","content":"Hi"}]`
	hiSent  = `"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
	weather = `{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{}}}}`
)

func messages(list string) string { return `{"max_tokens":9,"messages":[` + list + `]}` }

const user, assistant = `{"role":"user","content":[`, `{"role":"assistant","content":[`

// requests are what bodies become. The wanted body lacks what all have: model and
// max_tokens.
var requests = map[string]struct{ model, body, want string }{
	"developer turn": {"", messages(`{"role":"developer","content":"Be brief"},{"role":"user","content":"Hi"}`),
		`"system":[{"type":"text","text":"Be brief"}],` + hiSent},
	"system behind a user's turn, old model": {"claude-sonnet-4-6", messages(`{"role":"user","content":"Hi"},{"role":"system","content":"S"},{"role":"assistant","content":"Yes"}`),
		`"messages":[` + user + `{"type":"text","text":"Hi"},{"type":"text","text":"S"}]},` + assistant + `{"type":"text","text":"Yes"}]}]`},
	"system behind a user's turn, new model": {"claude-opus-5-5", messages(`{"role":"user","content":"Hi"},{"role":"system","content":"S"},{"role":"user","content":"So?"}`),
		`"messages":[` + user + `{"type":"text","text":"Hi"},{"type":"text","text":"So?"}]},{"role":"system","content":[{"type":"text","text":"S"}]}]`},
	"system between two assistants' turns": {"claude-opus-5-5", messages(`{"role":"user","content":"Hi"},{"role":"assistant","content":"A"},{"role":"system","content":"S"},{"role":"assistant","content":"B"},{"role":"user","content":"C"}`),
		`"messages":[` + user + `{"type":"text","text":"Hi"}]},` + assistant + `{"type":"text","text":"A"}]},` + user + `{"type":"text","text":"S"}]},` +
			assistant + `{"type":"text","text":"B"}]},` + user + `{"type":"text","text":"C"}]}]`},
	"system at the end": {"claude-opus-5-5", messages(`{"role":"user","content":"Hi"},{"role":"assistant","content":"A"},{"role":"system","content":"S"}`),
		`"messages":[` + user + `{"type":"text","text":"Hi"}]},` + assistant + `{"type":"text","text":"A"}]},` + user + `{"type":"text","text":"S"}]}]`},
	"system between a call and its result": {"claude-sonnet-4-6",
		`{"max_tokens":9,"tools":[` + weather + `],"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{}"}}]},
			{"role":"system","content":"S"},{"role":"tool","tool_call_id":"c1","content":"3"}]}`,
		`"messages":[` + user + `{"type":"text","text":"Hi"}]},` + assistant + `{"type":"tool_use","id":"c1","name":"weather","input":{}}]},` +
			user + `{"type":"tool_result","tool_use_id":"c1","content":"3"},{"type":"text","text":"S"}]}],"tools":[{"name":"weather","input_schema":{"type":"object","properties":{}},"type":"custom"}]`},
	"escapes stay as they are": {"", messages(`{"role":"user","content":"a\"\\\u00e9\n\ud83d\ude00"}`),
		`"messages":[{"role":"user","content":[{"type":"text","text":"a\"\\\u00e9\n\ud83d\ude00"}]}]`},
	"prefill": {"", messages(`{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"So \\ \n\t "}]}`),
		`"messages":[` + user + `{"type":"text","text":"Hi"}]},` + assistant + `{"type":"text","text":"So \\"}]}]`},
	"thoughts of an earlier turn": {"", messages(`{"role":"user","content":"Hi"},{"role":"assistant","reasoning_content":"Hmm","content":"A","thinking_blocks":[{"type":"thinking","thinking":"Hmm","signature":"c2ln","index":0},{"type":"redacted_thinking","data":"eHl6"},{"type":"thinking","thinking":"no signature"}]},{"role":"user","content":"B"}`),
		`"messages":[` + user + `{"type":"text","text":"Hi"}]},` + assistant + `{"type":"thinking","thinking":"Hmm","signature":"c2ln"},{"type":"redacted_thinking","data":"eHl6"},{"type":"text","text":"A"}]},` + user + `{"type":"text","text":"B"}]}]`},
	"document": {"", messages(`{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}},{"type":"file","file":{"file_data":"data:text/plain;base64,SGk="}},{"type":"file","file":{"file_id":"file_1"}},{"type":"file","file":{"file_data":"https://example.com/a.pdf"},"cache_control":{"type":"ephemeral"}}]}`),
		`"messages":[` + user + `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Hi"}},{"type":"document","source":{"type":"file","file_id":"file_1"}},{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"},"cache_control":{"type":"ephemeral"}}]}]`},
	"picture with escaped slashes": {"", messages(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/jpeg;base64,\/9j\/"}}]}`),
		`"messages":[` + user + `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/"}}]}]`},
	"Anthropic's own part": {"", messages(`{"role":"user","content":[{"type":"search_result","source":"s","title":"t","content":[]}]}`),
		`"messages":[` + user + `{"type":"search_result","source":"s","title":"t","content":[]}]}]`},
	"parallel results are one turn": {"", `{"max_tokens":9,"tools":[` + weather + `],"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":""}},{"id":"b","type":"function","function":{"name":"weather","arguments":" {\"x\": \"\\u00e9\\\"\"} "}}]},
		{"role":"tool","tool_call_id":"a","content":""},{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"4"}],"cache_control":{"type":"ephemeral"}}]}`,
		`"messages":[` + user + `{"type":"text","text":"Hi"}]},` + assistant + `{"type":"tool_use","id":"a","name":"weather","input":{}},{"type":"tool_use","id":"b","name":"weather","input":{"x":"\u00e9\""}}]},` +
			user + `{"type":"tool_result","tool_use_id":"a","content":""},{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"4"}],"cache_control":{"type":"ephemeral"}}]}],
		"tools":[{"name":"weather","input_schema":{"type":"object","properties":{}},"type":"custom"}]`},
	"one tool forced, one call":   {"", `{"max_tokens":9,"tools":[` + weather + `],"tool_choice":"required","parallel_tool_calls":false,` + hi + `}`, hiSent + `,"tools":[{"name":"weather","input_schema":{"type":"object","properties":{}},"type":"custom"}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}`},
	"names that do not fit":       {"", `{"max_tokens":9,"tools":[{"type":"function","function":{"name":"a.b"}},{"type":"function","function":{"name":"a_b"}}],"tool_choice":{"type":"function","function":{"name":"a.b"}},` + hi + `}`, hiSent + `,"tools":[{"name":"a_b_908bf50c","input_schema":{"type":"object","properties":{}},"type":"custom"},{"name":"a_b","input_schema":{"type":"object","properties":{}},"type":"custom"}],"tool_choice":{"type":"tool","name":"a_b_908bf50c"}`},
	"Anthropic's own tool":        {"", `{"max_tokens":9,"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"any"},` + hi + `}`, hiSent + `,"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"any"}`},
	"schema without a type":       {"", `{"max_tokens":9,"tools":[{"type":"function","function":{"name":"a","parameters":{"properties":{"x":{}}}}},{"type":"function","function":{"name":"b","parameters":{}}}],` + hi + `}`, hiSent + `,"tools":[{"name":"a","input_schema":{"type":"object","properties":{"x":{}}},"type":"custom"},{"name":"b","input_schema":{"type":"object","properties":{}},"type":"custom"}]`},
	"what asks for nothing":       {"", `{"max_tokens":9,"n":1,"seed":null,"presence_penalty":0,"frequency_penalty":0.0,"logprobs":false,"top_logprobs":0,"logit_bias":{},"store":false,"verbosity":"medium","modalities":["text"],"tools":[],"tool_choice":"auto","metadata":{},"response_format":{"type":"text"},"stop":null,` + hi + `}`, hiSent},
	"both bounds":                 {"", `{"max_tokens":5,"max_completion_tokens":9,` + hi + `}`, hiSent},
	"tier":                        {"", `{"max_tokens":9,"service_tier":"default",` + hi + `}`, `"service_tier":"standard_only",` + hiSent},
	"who asks":                    {"", `{"max_tokens":9,"user":"a","safety_identifier":"b",` + hi + `}`, `"metadata":{"user_id":"b"},` + hiSent},
	"who asks is a person":        {"", `{"max_tokens":9,"user":"ann@example.com",` + hi + `}`, hiSent},
	"effort with a budget":        {"claude-haiku-4-5", `{"max_tokens":2000,"reasoning_effort":"high",` + hi + `}`, `"thinking":{"type":"enabled","budget_tokens":1999},` + hiSent},
	"no thoughts":                 {"claude-opus-5", `{"max_tokens":9,"reasoning_effort":"none",` + hi + `}`, `"thinking":{"type":"disabled"},` + hiSent},
	"effort besides a form":       {"claude-opus-4-6", `{"max_tokens":9,"reasoning_effort":"minimal","output_config":{"effort":"high"},"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"array","minItems":2,"items":{"oneOf":[{"type":"object"},{"type":"string","format":"regex","pattern":"^\"a","description":"D"}]}}}},` + hi + `}`, `"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"array","items":{"anyOf":[{"type":"object","additionalProperties":false},{"type":"string","description":"D\n\n{format: \"regex\", pattern: \"^\\\"a\"}"}]},"description":"{minItems: 2}"}}},` + hiSent},
	"sampling of a model without": {"claude-opus-5-5", `{"max_tokens":9,"temperature":1,"top_p":1.0,` + hi + `}`, hiSent},
	"Anthropic's own parameters":  {"", `{"max_tokens":9,"top_k":5,"container":"c","system":"S",` + hi + `}`, `"container":"c","top_k":5,"system":"S",` + hiSent},
}

func TestRequests(t *testing.T) {
	for name, test := range requests {
		t.Run(name, func(t *testing.T) {
			if test.model == "" {
				test.model = "claude-sonnet-4-6"
			}
			got, _, err := encoded(t, test.model, test.body, false)
			if err != nil {
				t.Fatal(err)
			}
			var g, w object
			if err := json.Unmarshal([]byte(got), &g); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			if err := json.Unmarshal([]byte(`{`+test.want+`}`), &w); err != nil {
				t.Fatal(err)
			}
			if g["model"] != test.model {
				t.Errorf("model is %v", g["model"])
			}
			if bound := 9.0; g["max_tokens"] != bound && g["max_tokens"] != 2000.0 {
				t.Errorf("max_tokens is %v", g["max_tokens"])
			}
			delete(g, "model")
			delete(g, "max_tokens")
			if !golden.Same(g, w) {
				t.Errorf("sent\n%s\nwant\n{%s}", got, test.want)
			}
		})
	}
}

// TestRefusals holds what is refused, by the parameter's name, and what
// drop_params leaves out of it.
func TestRefusals(t *testing.T) {
	form := `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":%}}`
	of := func(schema string) string { return strings.Replace(form, "%", schema, 1) }
	for name, test := range map[string]struct {
		model, more, param string
		dropped            bool
	}{
		"seed":               {"", `"seed":7`, "seed", true},
		"presence":           {"", `"presence_penalty":0.5`, "presence_penalty", true},
		"frequency":          {"", `"frequency_penalty":-0.5`, "frequency_penalty", true},
		"logprobs":           {"", `"logprobs":true`, "logprobs", true},
		"bias":               {"", `"logit_bias":{"5":-100}`, "logit_bias", true},
		"store":              {"", `"store":true`, "store", true},
		"metadata":           {"", `"metadata":{"team":"a"}`, "metadata", true},
		"prediction":         {"", `"prediction":{"type":"content","content":"a"}`, "prediction", true},
		"search":             {"", `"web_search_options":{"a":1}`, "web_search_options", true},
		"sound":              {"", `"modalities":["text","audio"]`, "modalities", true},
		"verbosity":          {"", `"verbosity":"low"`, "verbosity", true},
		"tier":               {"", `"service_tier":"flex"`, "service_tier", true},
		"hot":                {"", `"temperature":1.5`, "temperature", true},
		"sampling":           {"claude-opus-4-7", `"top_p":0.5`, "top_p", true},
		"effort":             {"claude-opus-4-6", `"reasoning_effort":"xhigh"`, "reasoning_effort", true},
		"effort, too little": {"claude-haiku-4-5", `"reasoning_effort":"low"`, "reasoning_effort", true},
		"no thoughts":        {"claude-opus-5-5", `"reasoning_effort":"none"`, "reasoning_effort", true},
		"cold thoughts":      {"claude-opus-4-6", `"reasoning_effort":"low","temperature":0`, "temperature", true},
		"json":               {"", `"response_format":{"type":"json_object"}`, "response_format", true},
		"strict, old model":  {"claude-sonnet-4-0", `"tools":[{"type":"function","function":{"name":"a","strict":true}}]`, "tools[0].function.strict", true},
		"n":                  {"", `"n":2`, "n", false},
		"functions":          {"", `"functions":[{"name":"a"}]`, "functions", false},
		"open object":        {"", of(`{"type":"object","additionalProperties":{"type":"string"}}`), "response_format", false},
		"no schema":          {"", `"response_format":{"type":"json_schema","json_schema":{"name":"a"}}`, "response_format", false},
		"form and tools":     {"claude-sonnet-4-0", of(`{"type":"object"}`) + `,"tools":[` + weather + `]`, "response_format", false},
		"choice of nothing":  {"", `"tool_choice":"required"`, "tool_choice", false},
		"choice of what":     {"", `"tools":[` + weather + `],"tool_choice":"maybe"`, "tool_choice", false},
		"custom tool":        {"", `"tools":[{"type":"custom","custom":{"name":"a"}}]`, "tools[0].type", false},
	} {
		t.Run(name, func(t *testing.T) {
			if test.model == "" {
				test.model = "claude-sonnet-4-6"
			}
			body := `{"max_tokens":1000,` + test.more + `,` + hi + `}`
			refused(t, test.model, body, test.param, false)
			if !test.dropped {
				refused(t, test.model, body, test.param, true)
				return
			}
			got, _, err := encoded(t, test.model, body, true)
			if err != nil {
				t.Fatalf("with drop_params: %v", err)
			}
			name := test.param[strings.LastIndex(test.param, ".")+1:]
			if strings.Contains(got, `"`+name+`"`) {
				t.Errorf("%s went out all the same: %s", name, got)
			}
		})
	}
	for name, test := range map[string]struct{ body, param string }{
		"no object":        {`[]`, ""},
		"no messages":      {`{}`, "messages"},
		"messages":         {`{"messages":{}}`, "messages"},
		"empty list":       {`{"messages":[]}`, "messages"},
		"empty text":       {messages(`{"role":"user","content":"a"},{"role":"user","content":""}`), "messages[1].content"},
		"no text":          {messages(`{"role":"user"}`), "messages[0].content"},
		"role":             {messages(`{"role":"judge","content":"a"}`), "messages[0].role"},
		"number":           {messages(`{"role":"user","content":5}`), "messages[0].content"},
		"text of a number": {messages(`{"role":"user","content":[{"type":"text","text":5}]}`), "messages[0].content[0].text"},
		"sound":            {messages(`{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_audio","input_audio":{}}]}`), "messages[0].content[1].type"},
		"picture":          {messages(`{"role":"user","content":[{"type":"image_url","image_url":{}}]}`), "messages[0].content[0].image_url.url"},
		"film":             {messages(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:video/mp4;base64,AA"}}]}`), "messages[0].content[0].image_url.url"},
		"arguments":        {messages(`{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"a","arguments":"[1]"}}]}`), "messages[1].tool_calls[0].function.arguments"},
		"nameless call":    {messages(`{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","function":{}}]}`), "messages[1].tool_calls[0].function.name"},
		"result of what":   {messages(`{"role":"user","content":"a"},{"role":"tool","content":"3"}`), "messages[1].tool_call_id"},
		"system twice":     {`{"system":"a","messages":[{"role":"system","content":"b"},{"role":"user","content":"a"}]}`, "system"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, "claude-sonnet-4-6", test.body, test.param, true) })
	}
}

func refused(t *testing.T, model, body, param string, drop bool) {
	t.Helper()
	got, _, err := encoded(t, model, body, drop)
	var e *schema.Error
	if !errors.As(err, &e) || e.Class != schema.ClassRequestFatal || e.Param != param || !strings.Contains(e.Message, param) {
		t.Errorf("drop %v: got %v (%s), want a refusal of %q", drop, err, got, param)
	}
}

func TestModels(t *testing.T) {
	for name, want := range map[string]model{
		"claude-3-haiku-20240307":                   {limit: 4096, sampling: true},
		"anthropic.claude-3-5-sonnet-20241022-v2:0": {limit: 8192, sampling: true},
		"claude-3-7-sonnet@20250219":                {limit: 64000, sampling: true},
		"claude-opus-4-20250514":                    {limit: 32000, sampling: true},
		"claude-opus-4-1-20250805":                  {limit: 32000, sampling: true, schema: true},
		"claude-haiku-4-5@20251001":                 {limit: 64000, sampling: true, schema: true},
		"us.anthropic.claude-opus-4-6-v1":           {limit: 128000, sampling: true, schema: true, adaptive: true},
		"claude-opus-4-8":                           {limit: 128000, schema: true, adaptive: true, xhigh: true, midSystem: true},
		"claude-sonnet-5":                           {limit: 128000, schema: true, adaptive: true, xhigh: true, midSystem: true, thinks: true},
		"claude-opus-5-5-fast":                      {limit: 128000, schema: true, adaptive: true, xhigh: true, midSystem: true, thinks: true, always: true},
		"claude-haiku-5-5":                          {limit: 128000, schema: true, adaptive: true, xhigh: true, midSystem: true, thinks: true},
		"claude-mythos-preview":                     {limit: 128000, schema: true, adaptive: true, xhigh: true, thinks: true, always: true},
		"my-model":                                  unknownModel,
		"claude-instant":                            unknownModel,
	} {
		if got := modelOf(name); got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
}
