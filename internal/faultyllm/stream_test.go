package faultyllm

import (
	"encoding/json"
	"strings"
	"testing"
)

// events splits a well-formed stream into the data of its events.
func events(t *testing.T, r reply) []string {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	equal(t, "content type", r.header.Get("Content-Type"), "text/event-stream; charset=utf-8")
	text, ok := strings.CutSuffix(string(r.body), "\n\n")
	if !ok {
		t.Fatalf("no blank line at the end of %q", r.body)
	}
	var out []string
	for block := range strings.SplitSeq(text, "\n\n") {
		name, data, ok := strings.Cut(block, "\n")
		if !ok {
			name, data = "", block
		}
		data, ok = strings.CutPrefix(data, "data: ")
		if !ok || strings.Contains(data, "\n") {
			t.Fatalf("malformed event %q", block)
		}
		if data != "[DONE]" && !json.Valid([]byte(data)) {
			t.Fatalf("no JSON in event %q", block)
		}
		if name != "" {
			equal(t, "event name", name, "event: "+pick(t, []byte(data), "type").(string))
		}
		out = append(out, data)
	}
	return out
}

func TestChatStream(t *testing.T) {
	for name, c := range map[string]Config{"at once": {}, "paced": {TokensPerSecond: 2000}} {
		t.Run(name, func(t *testing.T) {
			u := start(t, c)
			for _, usage := range []bool{false, true} {
				more := []string{`"stream":true`}
				if usage {
					more = append(more, `"stream_options":{"include_usage":true}`)
				}
				evs := events(t, u.ask(chatBody("one two  three", more...), 200))
				last := len(evs) - 1
				equal(t, "last event", evs[last], "[DONE]")
				if usage {
					last--
					equal(t, "choices of the usage chunk", len(pick(t, []byte(evs[last]), "choices").([]any)), 0)
					pick(t, []byte(evs[last]), "usage", "total_tokens")
					equal(t, "usage of another chunk", pick(t, []byte(evs[0]), "usage"), nil)
				}
				equal(t, "role", pick(t, []byte(evs[0]), "choices", 0, "delta", "role"), any("assistant"))
				equal(t, "finish_reason", pick(t, []byte(evs[last-1]), "choices", 0, "finish_reason"), any("stop"))
				var text strings.Builder
				for _, ev := range evs[1 : last-1] {
					text.WriteString(pick(t, []byte(ev), "choices", 0, "delta", "content").(string))
					equal(t, "id", pick(t, []byte(ev), "id"), pick(t, []byte(evs[0]), "id"))
					equal(t, "finish_reason", pick(t, []byte(ev), "choices", 0, "finish_reason"), nil)
				}
				equal(t, "text", text.String(), "You said: one two  three")
			}
		})
	}
}

func TestCompletionStream(t *testing.T) {
	u := start(t, Config{})
	evs := events(t, u.post("/completions", `{"model":"m","prompt":["a b","c"],"stream":true}`))
	texts, finished := map[string]string{}, 0
	for _, ev := range evs[:len(evs)-1] {
		i := pick(t, []byte(ev), "choices", 0, "index").(json.Number).String()
		texts[i] += pick(t, []byte(ev), "choices", 0, "text").(string)
		if pick(t, []byte(ev), "choices", 0, "finish_reason") == any("stop") {
			finished++
		}
	}
	equal(t, "first", texts["0"], "You said: a b")
	equal(t, "second", texts["1"], "You said: c")
	equal(t, "finished", finished, 2)
	equal(t, "last event", evs[len(evs)-1], "[DONE]")
}

func TestResponseStream(t *testing.T) {
	u := start(t, Config{})
	evs := events(t, u.post("/responses", `{"model":"m","input":"a b","stream":true}`))
	var text string
	for i, ev := range evs {
		n, _ := pick(t, []byte(ev), "sequence_number").(json.Number).Int64()
		equal(t, "sequence_number", int(n), i)
		if pick(t, []byte(ev), "type") == any("response.output_text.delta") {
			text += pick(t, []byte(ev), "delta").(string)
		}
	}
	equal(t, "text", text, "You said: a b")
	equal(t, "first", pick(t, []byte(evs[0]), "type"), any("response.created"))
	last := []byte(evs[len(evs)-1])
	equal(t, "last", pick(t, last, "type"), any("response.completed"))
	equal(t, "whole text", pick(t, last, "response", "output", 0, "content", 0, "text"), any("You said: a b"))
}

func TestStreamOfScriptedTokens(t *testing.T) {
	u := start(t, Config{})
	body := chatBody("x", `"stream":true`, `"mock":{"tokens":["a","b c","\n"]}`)
	evs := events(t, u.ask(body, 200))
	var got []string
	for _, ev := range evs[1 : len(evs)-2] {
		got = append(got, pick(t, []byte(ev), "choices", 0, "delta", "content").(string))
	}
	equal(t, "tokens", strings.Join(got, "|"), "a|b c|\n")
}

func TestEmbeddingsDoNotStream(t *testing.T) {
	u := start(t, Config{})
	r := u.post("/embeddings", `{"model":"m","input":"x","stream":true}`)
	equal(t, "content type", r.header.Get("Content-Type"), "application/json")
}

func TestMalformedStreams(t *testing.T) {
	for fault, check := range map[Fault]func(*testing.T, reply){
		FaultTruncated: func(t *testing.T, r reply) {
			evs := events(t, r)
			equal(t, "pieces", len(evs), 1+2) // the role and half of "You said: a b"
			equal(t, "finish_reason", pick(t, []byte(evs[2]), "choices", 0, "finish_reason"), nil)
		},
		FaultErrorIn200: func(t *testing.T, r reply) {
			evs := events(t, r)
			pick(t, []byte(evs[len(evs)-1]), "error", "message")
		},
		FaultNoChoices: func(t *testing.T, r reply) {
			equal(t, "body", string(r.body), "data: [DONE]\n\n")
		},
		FaultSlow: func(t *testing.T, r reply) {
			evs := events(t, r)
			equal(t, "last event", evs[len(evs)-1], "[DONE]")
		},
		FaultEmpty: func(t *testing.T, r reply) {
			equal(t, "length", len(r.body), 0)
		},
		FaultRateLimit: func(t *testing.T, r reply) {
			equal(t, "code", pick(t, r.body, "error", "code"), any("rate_limit_exceeded"))
		},
	} {
		t.Run(string(fault), func(t *testing.T) {
			u := start(t, Config{Faults: Rates{fault: 1}, SlowBytesPerSecond: 20000})
			check(t, u.post("/chat/completions", chatBody("a b", `"stream":true`)))
		})
	}
}
