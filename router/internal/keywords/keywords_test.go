package keywords

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"m","messages":[]}`:                                    `{"model":"m","messages":[]}`,
		`{"model":"m" , "metadata":{"user":"u"},"seed": 1}`:              `{"model":"m" , "metadata":{"user":"u"},"seed": 1}`, // not a byte changes
		`{"num_retries":3,"model":"m","cache":{"no-cache":true}}`:        `{"model":"m"}`,
		`{"timeout":null,"model":"m","\u0074imeout":2,"fallbacks":null}`: `{"model":"m"}`,
		`{"model":"m","metadata":{"tags":["a"],"user":"ü"}}`:             `{"model":"m","metadata":{"user":"ü"}}`,
		`{"model":"m","metadata":{"tags":"a"}}`:                          `{"model":"m","metadata":{"tags":"a"}}`,
		`{"tags":["a"]}`:                                                 `{}`,
		`[1]`:                                                            `[1]`,
	} {
		rest, _, err := Take([]byte(body))
		if err != nil || string(rest) != want {
			t.Errorf("%s: %s, want %s: %v", body, rest, want, err)
		}
	}
	_, k, err := Take([]byte(`{"tags":["a","b"],"metadata":{"tags":["b","c"]},"num_retries":0,"timeout":1.5,"additional_drop_params":["x"],
		"fallbacks":["h",{"model":"i","seed":1}],"context_window_fallbacks":[{"g":["j"]},{"*":["k"]}],"content_policy_fallbacks":[]}`))
	if err != nil || fmt.Sprint(k.Tags) != "[a b c]" || k.NumRetries == nil || *k.NumRetries != 0 || k.Timeout != 1500*time.Millisecond || fmt.Sprint(k.Drop) != "[x]" {
		t.Errorf("%+v %v", k, err)
	}
	if list := k.Fallbacks.Of("g"); len(list) != 2 || list[1].Model != "i" || string(list[1].Fields) != `{"seed":1}` {
		t.Errorf("%+v", list)
	}
	if g, other := k.ContextWindow.Of("x", "g"), k.ContextWindow.Of("x"); len(g) != 1 || g[0].Model != "j" || len(other) != 1 || other[0].Model != "k" || len(k.ContentPolicy.Of("g")) != 0 {
		t.Errorf("%+v %+v", g, other)
	}
	for _, body := range []string{
		`{"num_retries":-1}`, `{"num_retries":"many"}`, `{"timeout":0}`, `{"timeout":"soon"}`, `{"tags":"a"}`, `{"fallbacks":"h"}`, `{"fallbacks":[1]}`,
		`{"fallbacks":[{"g":"h"}]}`, `{"guardrails":[]}`, `{"api_key":"k"}`, `{"mock_response":"x"}`, `{"metadata":{"tags":[1]}}`,
	} {
		if _, _, err := Take([]byte(body)); err == nil || !strings.Contains(body, strings.SplitN(err.Error(), ":", 2)[0]) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestDrop(t *testing.T) {
	body := `{"a":1, "b":[{"c":{"d":2,"e":<>}},{"c":3}],"f":12345678901234567890}`
	body = strings.Replace(body, "<>", `"<&>"`, 1)
	for paths, want := range map[string]string{
		"x": body, "b[*].x.y": body, "b[9].c": body, "b[*]": body,
		"a":         `{"b":[{"c":{"d":2,"e":"<&>"}},{"c":3}],"f":12345678901234567890}`,
		"b[*].c.d":  `{"a":1,"b":[{"c":{"e":"<&>"}},{"c":3}],"f":12345678901234567890}`,
		"a b[1].c":  `{"b":[{"c":{"d":2,"e":"<&>"}},{}],"f":12345678901234567890}`,
		"f a b.0.c": `{"b":[{},{"c":3}]}`,
	} {
		if got := string(Drop([]byte(body), strings.Fields(paths))); got != want {
			t.Errorf("%s: %s, want %s", paths, got, want)
		}
	}
}

// Whatever a body is, what is left of it is JSON, and holds no keyword.
func FuzzTake(f *testing.F) {
	f.Add(`{"model":"m","timeout":3,"metadata":{"tags":["a"]},"fallbacks":[{"g":["h"]}]}`)
	f.Add(`{"\u0074ags":[],"cache":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		rest, _, err := Take([]byte(body))
		if err != nil || !json.Valid([]byte(body)) {
			return
		}
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &members) != nil {
			return
		}
		if err := json.Unmarshal(rest, &members); err != nil {
			t.Fatalf("%s: %s: %v", body, rest, err)
		}
		clear(members)
		_ = json.Unmarshal(rest, &members)
		for name := range members {
			if name != "metadata" && Known([]byte(name)) {
				t.Fatalf("%s is left in %s", name, rest)
			}
		}
	})
}
