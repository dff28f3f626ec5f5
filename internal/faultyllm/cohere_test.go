package faultyllm

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

const cohereBody = `{"model":"command","messages":[{"role":"user","content":"one two"}]`

func (u *upstream) cohere(path, body string, header ...string) reply {
	return u.do(context.Background(), "POST", u.Root()+"/v2/"+path, body, header...)
}

func TestCohere(t *testing.T) {
	u := start(t, Config{APIKey: "co"})
	key := []string{"Authorization", "Bearer co"}
	r := u.cohere("chat", cohereBody+"}", key...)
	equal(t, "status", r.status, 200)
	equal(t, "text", pick(t, r.body, "message", "content", 0, "text"), any("You said: one two"))
	equal(t, "finish_reason", pick(t, r.body, "finish_reason"), any("COMPLETE"))
	equal(t, "output_tokens", pick(t, r.body, "usage", "billed_units", "output_tokens"), any(json.Number("4")))
	equal(t, "status without a key", u.cohere("chat", cohereBody+"}").status, 401)

	var text strings.Builder
	evs := events(t, u.cohere("chat", cohereBody+`,"stream":true}`, key...))
	for _, e := range evs {
		if pick(t, []byte(e), "type") == "content-delta" {
			text.WriteString(pick(t, []byte(e), "delta", "message", "content", "text").(string))
		}
	}
	equal(t, "streamed text", text.String(), "You said: one two")
	equal(t, "last event", pick(t, []byte(evs[len(evs)-1]), "delta", "finish_reason"), any("COMPLETE"))

	const tool = `,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"REQUIRED"`
	r = u.cohere("chat", cohereBody+tool+"}", key...)
	equal(t, "arguments", pick(t, r.body, "message", "tool_calls", 0, "function", "arguments"), any(`{"answer":"You said: one two"}`))
	evs = events(t, u.cohere("chat", cohereBody+tool+`,"stream":true}`, key...))
	equal(t, "the call's beginning", pick(t, []byte(evs[1]), "delta", "message", "tool_calls", "function", "name"), any("f"))

	r = u.cohere("embed", `{"model":"e","texts":["a","b"],"output_dimension":3}`, key...)
	equal(t, "vectors", len(pick(t, r.body, "embeddings", "float").([]any)), 2)
	equal(t, "dimensions", len(pick(t, r.body, "embeddings", "float", 0).([]any)), 3)
	r = u.do(context.Background(), "GET", u.Root()+"/v1/models?page_size=1000", "", key...)
	equal(t, "models", pick(t, r.body, "models", 0, "name"), any("mock"))
}

func TestCohereFails(t *testing.T) {
	u := start(t, Config{})
	for fault, want := range map[Fault]struct {
		status int
		says   string
	}{
		FaultRateLimit: {429, "Rate limit"}, FaultOverloaded: {503, "Overloaded"}, FaultAuth: {401, "invalid api token"},
		FaultContextLength: {400, "too many tokens"}, FaultContentFilter: {498, "deny-listed"}, FaultQuota: {429, "month"}, FaultErrorIn200: {200, "failed"},
	} {
		r := u.cohere("chat", cohereBody+`,"mock":{"fault":"`+string(fault)+`"}}`)
		equal(t, string(fault)+": status", r.status, want.status)
		if says := pick(t, r.body, "message").(string); !strings.Contains(says, want.says) {
			t.Errorf("%s says %q", fault, says)
		}
	}
	evs := events(t, u.cohere("chat", cohereBody+`,"stream":true,"mock":{"fault":"error_in_200"}}`))
	equal(t, "last event", pick(t, []byte(evs[len(evs)-1]), "delta", "finish_reason"), any("ERROR"))
	equal(t, "an answer of nothing", pick(t, u.cohere("chat", cohereBody+`,"mock":{"fault":"no_choices"}}`).body, "message", "role"), any("assistant"))
	for body, says := range map[string]string{
		`{"model":"m","messages":[]}`:                                 "at least 1 token",
		`{"model":"m","messages":[{"role":"x","content":"a"}]}`:       "not a valid role",
		cohereBody + `,"tool_choice":"auto"}`:                         "REQUIRED or NONE",
		cohereBody + `,"tool_choice":"REQUIRED"}`:                     "needs tools",
		cohereBody + `,"tools":[{"function":{"name":"f"}}]}`:          "must have parameters",
		cohereBody + `,"tools":[],"response_format":{"type":"text"}}`: "response_format",
	} {
		r := u.cohere("chat", body)
		if message := pick(t, r.body, "message").(string); r.status != 400 || !strings.Contains(message, says) {
			t.Errorf("%s: %d %s", body, r.status, message)
		}
	}
}
