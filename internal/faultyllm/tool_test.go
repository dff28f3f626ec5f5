package faultyllm

import (
	"net/http"
	"strings"
	"testing"
)

// A tool that must be called is called, by OpenAI's protocol and by Google's too.
func TestForcedTools(t *testing.T) {
	u := start(t, Config{})
	const chat = `{"model":"m","messages":[{"role":"user","content":"Oslo"}],"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],"tool_choice":`
	for choice, tool := range map[string]string{`"required"`: "a", `{"type":"function","function":{"name":"b"}}`: "b"} {
		r := u.post("/chat/completions", chat+choice+"}")
		equal(t, "tool", pick(t, r.body, "choices", 0, "message", "tool_calls", 0, "function", "name"), any(tool))
		equal(t, "arguments", pick(t, r.body, "choices", 0, "message", "tool_calls", 0, "function", "arguments"), any(`{"answer":"You said: Oslo"}`))
		equal(t, "finish_reason", pick(t, r.body, "choices", 0, "finish_reason"), any("tool_calls"))
		var arguments strings.Builder
		for _, e := range events(t, u.post("/chat/completions", chat+choice+`,"stream":true}`)) {
			if strings.Contains(e, "arguments") {
				arguments.WriteString(pick(t, []byte(e), "choices", 0, "delta", "tool_calls", 0, "function", "arguments").(string))
			}
		}
		equal(t, "streamed arguments", arguments.String(), `{"answer":"You said: Oslo"}`)
	}
	equal(t, "of its own will", pick(t, u.post("/chat/completions", chat+`"auto"}`).body, "choices", 0, "message", "content"), any("You said: Oslo"))

	const google = `{"contents":[{"role":"user","parts":[{"text":"Oslo"}]}],"tools":[{"functionDeclarations":[{"name":"a"},{"name":"b"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"`
	for more, tool := range map[string]string{`}}}`: "a", `,"allowedFunctionNames":["b"]}}}`: "b"} {
		for _, method := range []string{"generateContent", "streamGenerateContent?alt=sse"} {
			status, got := askGoogle(t, u, http.MethodPost, "/v1beta/models/m:"+method, google+more)
			if want := `"functionCall":{"name":"` + tool + `","args":{"answer":"You said: Oslo"}}`; status != 200 || strings.Count(got, want) != 1 {
				t.Errorf("%d %s", status, got)
			}
		}
	}
}
