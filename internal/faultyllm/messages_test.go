package faultyllm

import (
	"encoding/json"
	"strings"
	"testing"
)

const forcedBody = `{"model":"claude-a","max_tokens":50,"messages":[{"role":"user","content":[{"type":"text","text":"Oslo"}]}],` +
	`"tools":[{"name":"weather","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}`

func TestMessages(t *testing.T) {
	u := start(t, Config{APIKey: "sk-ant"})
	body := `{"model":"claude-a","max_tokens":50,"messages":[{"role":"user","content":"one two"}]`
	r := u.post("/messages", body+"}", "x-api-key", "sk-ant")
	equal(t, "status", r.status, 200)
	equal(t, "text", pick(t, r.body, "content", 0, "text"), any("You said: one two"))
	equal(t, "stop_reason", pick(t, r.body, "stop_reason"), any("end_turn"))
	equal(t, "output_tokens", pick(t, r.body, "usage", "output_tokens"), any(json.Number("4")))
	if !strings.HasPrefix(r.header.Get("Request-Id"), "req_") {
		t.Errorf("the call has no id: %v", r.header)
	}
	equal(t, "status without a key", u.post("/messages", body+"}").status, 401)

	var text strings.Builder
	evs := events(t, u.post("/messages", body+`,"stream":true}`, "x-api-key", "sk-ant"))
	for _, e := range evs {
		if pick(t, []byte(e), "type") == "content_block_delta" {
			text.WriteString(pick(t, []byte(e), "delta", "text").(string))
		}
	}
	equal(t, "streamed text", text.String(), "You said: one two")
	equal(t, "last event", pick(t, []byte(evs[len(evs)-1]), "type"), any("message_stop"))
}

func TestMessagesTool(t *testing.T) {
	u := start(t, Config{})
	r := u.post("/messages", forcedBody+"}")
	equal(t, "tool", pick(t, r.body, "content", 0, "name"), any("weather"))
	equal(t, "input", pick(t, r.body, "content", 0, "input", "answer"), any("You said: Oslo"))
	equal(t, "stop_reason", pick(t, r.body, "stop_reason"), any("tool_use"))
	var input strings.Builder
	for _, e := range events(t, u.post("/messages", forcedBody+`,"stream":true}`)) {
		if pick(t, []byte(e), "type") == "content_block_delta" {
			input.WriteString(pick(t, []byte(e), "delta", "partial_json").(string))
		}
	}
	equal(t, "streamed input", input.String(), `{"answer":"You said: Oslo"}`)
}

func TestMessagesRefuses(t *testing.T) {
	u := start(t, Config{})
	for name, test := range map[string]struct{ more, says string }{
		"no bound":         {`"messages":[{"role":"user","content":"a"}]`, "max_tokens: Field required"},
		"a bound as text":  {`"max_tokens":"5","messages":[{"role":"user","content":"a"}]`, "max_tokens"},
		"unknown field":    {`"max_tokens":5,"seed":1,"messages":[{"role":"user","content":"a"}]`, "seed: Extra inputs"},
		"no turns":         {`"max_tokens":5,"messages":[]`, "at least one message"},
		"nobody's turn":    {`"max_tokens":5,"messages":[{"role":"tool","content":"a"}]`, "messages.0.role"},
		"an empty turn":    {`"max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"user","content":""}]`, "messages.1"},
		"too hot":          {`"max_tokens":5,"temperature":1.5,"messages":[{"role":"user","content":"a"}]`, "temperature"},
		"a tool of nobody": {`"max_tokens":5,"tool_choice":{"type":"any"},"messages":[{"role":"user","content":"a"}]`, "no such tool"},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.post("/messages", `{"model":"claude-a",`+test.more+`}`)
			equal(t, "status", r.status, 400)
			equal(t, "type", pick(t, r.body, "error", "type"), any("invalid_request_error"))
			if says := pick(t, r.body, "error", "message").(string); !strings.Contains(says, test.says) {
				t.Errorf("it says %q, want %q", says, test.says)
			}
		})
	}
}

func TestMessagesFails(t *testing.T) {
	u := start(t, Config{})
	body := `{"model":"claude-a","max_tokens":50,"messages":[{"role":"user","content":"one two three four"}],"mock":{"fault":"`
	for fault, want := range map[Fault]struct {
		status  int
		typ, in string
	}{
		FaultRateLimit:     {429, "rate_limit_error", "Rate limit"},
		FaultOverloaded:    {529, "overloaded_error", "Overloaded"},
		FaultAuth:          {401, "authentication_error", "key"},
		FaultContextLength: {400, "invalid_request_error", "prompt is too long"},
		FaultQuota:         {429, "invalid_request_error", "credit balance"},
		FaultModelNotFound: {404, "not_found_error", "model"},
		FaultServerError:   {500, "api_error", "error"},
		FaultErrorIn200:    {200, "api_error", "failed"},
	} {
		r := u.post("/messages", body+string(fault)+`"}}`)
		equal(t, string(fault)+": status", r.status, want.status)
		equal(t, string(fault)+": type", pick(t, r.body, "error", "type"), any(want.typ))
		if says := pick(t, r.body, "error", "message").(string); !strings.Contains(says, want.in) {
			t.Errorf("%s says %q, want %q", fault, says, want.in)
		}
	}
	evs := events(t, u.post("/messages", body+`error_in_200"},"stream":true}`))
	equal(t, "last event", pick(t, []byte(evs[len(evs)-1]), "error", "type"), any("api_error"))
	evs = events(t, u.post("/messages", body+`truncated"},"stream":true}`))
	if last := pick(t, []byte(evs[len(evs)-1]), "type"); last != "content_block_delta" {
		t.Errorf("a truncated stream ends with %v", last)
	}
	equal(t, "stop_reason of nothing", pick(t, u.post("/messages", body+`no_choices"}}`).body, "stop_reason"), nil)
}
