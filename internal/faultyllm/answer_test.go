package faultyllm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestChatEchoesTheLastUserMessage(t *testing.T) {
	u := start(t, Config{EchoRunes: 5})
	for _, tc := range []struct{ name, messages, want string }{
		{"short", `[{"role":"user","content":"hi"}]`, "You said: hi"},
		{"cut by runes", `[{"role":"user","content":"äöüßéx"}]`, "You said: äöüßé…"},
		{"not cut", `[{"role":"user","content":"äöüßé"}]`, "You said: äöüßé"},
		{"escapes", `[{"role":"user","content":"\u00e4\n\"\ud83d\ude00"}]`, "You said: ä\n\"😀"},
		{"the last of several", `[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"content":"c","role":"user"},{"role":"tool","content":"d"}]`, "You said: c"},
		{"parts", `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"b"}]}]`, "You said: ab"},
		{"none", `[{"role":"system","content":"a"}]`, "You said nothing."},
		{"odd", `[1, {"role":"user","content":null}]`, "You said nothing."},
		{"no list", `{}`, "You said nothing."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := u.ask(`{"model":"m","messages":`+tc.messages+`}`, 200)
			equal(t, "answer", pick(t, r.body, "choices", 0, "message", "content"), any(tc.want))
			equal(t, "finish_reason", pick(t, r.body, "choices", 0, "finish_reason"), any("stop"))
			equal(t, "model", pick(t, r.body, "model"), any("m"))
			equal(t, "object", pick(t, r.body, "object"), any("chat.completion"))
			pick(t, r.body, "created").(json.Number).Int64()
			if !strings.HasPrefix(pick(t, r.body, "system_fingerprint").(string), "fp_") {
				t.Errorf("no fingerprint in %s", r.body)
			}
			p, _ := pick(t, r.body, "usage", "prompt_tokens").(json.Number).Int64()
			c, _ := pick(t, r.body, "usage", "completion_tokens").(json.Number).Int64()
			sum, _ := pick(t, r.body, "usage", "total_tokens").(json.Number).Int64()
			if p <= 0 || c <= 0 || p+c != sum {
				t.Errorf("usage does not add up in %s", r.body)
			}
			equal(t, "content type", r.header.Get("Content-Type"), "application/json")
			if r.header.Get("X-Request-Id") == "" {
				t.Error("no x-request-id")
			}
		})
	}
}

func TestAnswersRepeatButIDsDoNot(t *testing.T) {
	u := start(t, Config{})
	a, b := u.ask(chatBody("x"), 200), u.ask(chatBody("x"), 200)
	equal(t, "answer", pick(t, a.body, "choices", 0, "message", "content"), pick(t, b.body, "choices", 0, "message", "content"))
	if pick(t, a.body, "id") == pick(t, b.body, "id") {
		t.Error("two calls have the same id")
	}
	v := start(t, Config{})
	c := v.ask(chatBody("x"), 200)
	equal(t, "id of the first call on another server", pick(t, c.body, "id"), pick(t, a.body, "id"))
}

func TestFixedAnswer(t *testing.T) {
	u := start(t, Config{Answer: `a "b"`})
	r := u.ask(chatBody("x"), 200)
	equal(t, "answer", pick(t, r.body, "choices", 0, "message", "content"), any(`a "b"`))
}

func TestCompletions(t *testing.T) {
	u := start(t, Config{})
	r := u.post("/completions", `{"model":"m","prompt":"once"}`)
	equal(t, "text", pick(t, r.body, "choices", 0, "text"), any("You said: once"))
	r = u.post("/completions", `{"model":"m","prompt":["a","b"]}`)
	equal(t, "first", pick(t, r.body, "choices", 0, "text"), any("You said: a"))
	equal(t, "second", pick(t, r.body, "choices", 1, "text"), any("You said: b"))
	equal(t, "its index", pick(t, r.body, "choices", 1, "index"), any(json.Number("1")))
}

func TestResponses(t *testing.T) {
	u := start(t, Config{})
	for _, input := range []string{`"hi"`, `[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]`} {
		r := u.post("/responses", `{"model":"m","input":`+input+`}`)
		equal(t, "text", pick(t, r.body, "output", 0, "content", 0, "text"), any("You said: hi"))
		equal(t, "status", pick(t, r.body, "status"), any("completed"))
		pick(t, r.body, "usage", "input_tokens")
	}
}

func TestEmbeddings(t *testing.T) {
	u := start(t, Config{})
	vector := func(r reply, i int) (out []float64) {
		t.Helper()
		for _, v := range pick(t, r.body, "data", i, "embedding").([]any) {
			f, err := v.(json.Number).Float64()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, f)
		}
		return out
	}
	one := vector(u.post("/embeddings", `{"model":"m","input":"ä"}`), 0)
	equal(t, "length", len(one), DefaultDimensions)
	var norm float64
	for _, v := range one {
		norm += v * v
	}
	if math.Abs(norm-1) > 1e-5 {
		t.Errorf("norm² is %v", norm)
	}

	r := u.post("/embeddings", `{"model":"m","input":["\u00e4","b"],"dimensions":3}`)
	equal(t, "inputs", len(pick(t, r.body, "data").([]any)), 2)
	equal(t, "length", len(vector(r, 1)), 3)
	equal(t, "index", pick(t, r.body, "data", 1, "index"), any(json.Number("1")))
	if a, b := vector(r, 0), vector(r, 1); a[0] == b[0] {
		t.Error("two inputs have the same vector")
	}
	same := vector(u.post("/embeddings", `{"model":"m","input":["x","\u00e4"]}`), 1)
	equal(t, "the same input elsewhere", same[0], one[0])

	for input, n := range map[string]int{`[1,2,3]`: 1, `[[1,2],[3]]`: 2} {
		r := u.post("/embeddings", `{"model":"m","input":`+input+`}`)
		equal(t, "inputs of "+input, len(pick(t, r.body, "data").([]any)), n)
	}

	r = u.post("/embeddings", `{"model":"m","input":"ä","encoding_format":"base64"}`)
	raw, err := base64.StdEncoding.DecodeString(pick(t, r.body, "data", 0, "embedding").(string))
	if err != nil || len(raw) != 4*DefaultDimensions {
		t.Errorf("base64: %d bytes, %v", len(raw), err)
	}

	for _, d := range []string{"0", "-1", "1.5", `"x"`, "99999999"} {
		r := u.post("/embeddings", `{"model":"m","input":"ä","dimensions":`+d+`}`)
		equal(t, "status of dimensions "+d, r.status, 400)
	}
}

func TestModerations(t *testing.T) {
	u := start(t, Config{})
	r := u.post("/moderations", `{"model":"m","input":["a","b"]}`)
	equal(t, "results", len(pick(t, r.body, "results").([]any)), 2)
	equal(t, "flagged", pick(t, r.body, "results", 0, "flagged"), any(false))
}

func TestModels(t *testing.T) {
	get := func(u *upstream, path string) reply {
		return u.do(context.Background(), "GET", u.Root()+path, "")
	}
	u := start(t, Config{Models: []string{"a", "org/b"}, APIKey: "k"})
	equal(t, "without a key", get(u, "/v1/models").status, 401)
	if err := u.Update(func(c *Config) { c.APIKey = "" }); err != nil {
		t.Fatal(err)
	}
	equal(t, "second model", pick(t, get(u, "/v1/models").body, "data", 1, "id"), any("org/b"))
	equal(t, "one model", pick(t, get(u, "/v1/models/org/b").body, "id"), any("org/b"))
	equal(t, "unknown model", get(u, "/v1/models/c").status, 404)
	u.SetOutage(true)
	equal(t, "in an outage", get(u, "/v1/models").status, 503)
	equal(t, "healthz in an outage", get(u, "/healthz").status, 200)
	equal(t, "calls", u.Stats().Calls, 0)

	v := start(t, Config{})
	equal(t, "any model", pick(t, get(v, "/v1/models/x").body, "id"), any("x"))
	equal(t, "listed", len(pick(t, get(v, "/v1/models").body, "data").([]any)), 1)
}

func TestWrongPaths(t *testing.T) {
	u := start(t, Config{})
	for _, path := range []string{"/chat/completions", "/embeddings", "/models", "/v1/v1/chat/completions", "/"} {
		r := u.do(context.Background(), "POST", u.Root()+path, chatBody("x"))
		equal(t, path, r.status, 404)
		equal(t, path, pick(t, r.body, "error", "message"), any("Invalid URL (POST "+path+")"))
		equal(t, path, pick(t, r.body, "error", "type"), any("invalid_request_error"))
	}
	r := u.do(context.Background(), "GET", u.URL()+"/chat/completions", "")
	equal(t, "GET", r.status, 405)
	equal(t, "misrouted", u.Stats().Misrouted, 6)
	equal(t, "calls", u.Stats().Calls, 0)
}
