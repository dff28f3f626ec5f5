package faultyllm

import (
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	u := start(t, Config{Faults: Rates{FaultServerError: 1}}) // which scripts that decide must beat
	content := func(r reply) any { return pick(t, r.body, "choices", 0, "message", "content") }

	body := chatBody("x", `"mock":{"status":429,"retry_after":1.5,"times":2,"code":"slow_down","message":"slow","type":"t","latency_ms":0}`)
	for range 2 {
		r := u.ask(body, 429)
		equal(t, "retry-after", r.header.Get("Retry-After"), "1.5")
		equal(t, "code", pick(t, r.body, "error", "code"), any("slow_down"))
		equal(t, "message", pick(t, r.body, "error", "message"), any("slow"))
		equal(t, "type", pick(t, r.body, "error", "type"), any("t"))
	}
	equal(t, "answer after two times", content(u.ask(body, 200)), any("You said: x"))
	u.ask(body, 200)

	r := u.ask(chatBody("x", `"mock":{"status":200,"answer":"mine","headers":{"x-a":"b","Content-Type":"text/x"}}`), 200)
	equal(t, "answer", content(r), any("mine"))
	equal(t, "header", r.header.Get("X-A"), "b")
	equal(t, "content type", r.header.Get("Content-Type"), "text/x")

	r = u.ask(chatBody("x", `"mock":{"status":200,"tokens":["a","b"]}`), 200)
	equal(t, "answer", content(r), any("ab"))

	raw := chatBody("x", `"mock":{"raw":"{nonsense","status":500,"times":1}`)
	equal(t, "raw", string(u.ask(raw, 500).body), "{nonsense")
	u.ask(raw, 200)
	equal(t, "raw without a status", string(u.ask(chatBody("x", `"mock":{"raw":""}`), 200).body), "")
	r = u.ask(chatBody("x", `"stream":true`, `"mock":{"raw":"data: [DONE]\n\n"}`), 200)
	equal(t, "raw stream", string(r.body), "data: [DONE]\n\n")
	equal(t, "its type", r.header.Get("Content-Type"), "text/event-stream; charset=utf-8")

	equal(t, "another status for a fault", u.ask(chatBody("x", `"mock":{"fault":"bad_gateway","status":504}`), 504).header.Get("Content-Type"), "text/html; charset=utf-8")

	// An answer alone does not decide.
	u.ask(chatBody("x", `"mock":{"answer":"mine"}`), 500)
}

func TestScriptByHeader(t *testing.T) {
	u := start(t, Config{})
	u.ask(chatBody("x"), 418, "X-Mock", `{"status":418}`)
	u.ask(chatBody("x", `"mock":{"status":500,"code":"c"}`), 418, "X-Mock", `{"status":418}`)
	r := u.ask(chatBody("y", `"mock":{"status":500,"code":"c"}`), 418, "X-Mock", `{"status":418}`)
	equal(t, "code of the body", pick(t, r.body, "error", "code"), any("c"))
	u.ask(chatBody("x"), 400, "X-Mock", `nonsense`)
}

func TestScriptProblems(t *testing.T) {
	u := start(t, Config{})
	for mock, want := range map[string]string{
		`{"statsu":429}`:                 `"statsu"`,
		`{"status":"x"}`:                 "status",
		`{"status":99}`:                  "status",
		`{"fault":"nope"}`:               `"nope"`,
		`{"times":2}`:                    "times",
		`{"times":-1,"status":500}`:      "times",
		`{"retry_after":-1}`:             "retry_after",
		`{"latency_ms":-1}`:              "latency_ms",
		`{"answer":"a","tokens":["b"]}`:  "exclude",
		`{"headers":{"a b":"c"}}`:        "a b",
		`[]`:                             "object",
		`"reset"`:                        "object",
		`{"status":98,"fault":"nope2"}`:  "nope2",
		`{"headers":{"a":1}}`:            "headers",
		`{"tokens":"not a list"}`:        "tokens",
		`{"latency_ms":1e99,"times":-3}`: "times",
	} {
		r := u.ask(chatBody("x", `"mock":`+mock), 400)
		if got := pick(t, r.body, "error", "message").(string); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not name %q", mock, got, want)
		}
		equal(t, "param", pick(t, r.body, "error", "param"), any("mock"))
	}
}
