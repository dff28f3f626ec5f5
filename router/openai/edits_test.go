package openai

import (
	"io"
	"testing"

	"pelton/router/protocol"
	"pelton/schema"
)

// What a server calls otherwise is renamed; what it lacks goes only if parameters may
// be left out; other endpoints, and a body that has neither, stay as they are.
func TestEdits(t *testing.T) {
	settings := map[string]string{"renames": "max_completion_tokens max_tokens", "lacks": "stop n"}
	for _, tt := range []struct {
		name, body, want string
		drop             bool
		endpoint         schema.Endpoint
	}{
		{"renamed", `{"model":"m", "max_completion_tokens": 5,"stop":["a"]}`, `{"model":"m","max_tokens":5,"stop":["a"]}`, false, schema.ChatCompletions},
		{"both names", `{"max_tokens":1,"max_completion_tokens":5}`, `{"max_tokens":5}`, false, schema.ChatCompletions},
		{"left out", `{"n":2,"model":"m","stop":{"x":"}"},"a":[1]}`, `{"model":"m","a":[1]}`, true, schema.ChatCompletions},
		{"an escaped name", `{"sto\u0070":"a","\u00e9\"":1}`, `{"é\"":1}`, true, schema.ChatCompletions},
		{"nothing to do", `{"max_tokens": 1, "model": "m"}`, `{"max_tokens": 1, "model": "m"}`, true, schema.ChatCompletions},
		{"inside of a value", `{"a":{"stop":1}}`, `{"a":{"stop":1}}`, true, schema.ChatCompletions},
		{"another endpoint", `{"max_completion_tokens":5}`, `{"max_completion_tokens":5}`, true, schema.Responses},
	} {
		p, err := New(protocol.Upstream{BaseURL: "http://127.0.0.1/v1", Model: "m", Settings: settings, DropParams: tt.drop})
		if err != nil {
			t.Fatal(err)
		}
		c := protocol.Call{Endpoint: tt.endpoint, Model: "m", Body: []byte(tt.body)}
		if err := p.Encode(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c.Req.Body); err != nil || string(got) != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.name, got, err, tt.want)
		}
		if string(c.Body) != tt.body {
			t.Errorf("%s: the call's body became %s", tt.name, c.Body)
		}
	}
}
