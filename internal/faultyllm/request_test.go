package faultyllm

import (
	"encoding/json"
	"testing"
)

// FuzzRequest holds what a body is taken for against encoding/json.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `""`, `0`, `null`, "", `{"a":1,}`, `{"a"}`, `{a:1}`, ` {} `, `{} 1`, `{"a" : [1, {"b":"\u00e4\n"}], "c":false}`,
		`{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"\u006d","messages":[1,{"role":"user","content":[2,{"text":"a\"b"},{"text":3}]},null]}`, `{"messages":["a",["b"],{}],"stream_options":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var q request
		var object map[string]json.RawMessage
		want := json.Unmarshal(data, &object) == nil && object != nil
		if got := q.parse(data, "messages"); got != want {
			t.Fatalf("%q: taken for an object: %v, want %v", data, got, want)
		} else if got {
			q.lastUser(nil)
			q.items(nil)
			q.modelName()
		}
	})
}
