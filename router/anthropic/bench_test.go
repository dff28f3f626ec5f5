package anthropic

import (
	"net/http"
	"strings"
	"testing"

	"pelton/router/protocol"
	"pelton/schema"
)

// benchBody is a chat of about 2 KB.
var benchBody = []byte(`{"model":"claude-sonnet-4-6","messages":[{"role":"system","content":"` + strings.Repeat("You are terse. ", 20) +
	`"},{"role":"user","content":"` + strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20) +
	`"},{"role":"assistant","content":"` + strings.Repeat("Certainly. ", 30) + `"},{"role":"user","content":[{"type":"text","text":"` +
	strings.Repeat("And then? ", 30) + `"}]}],"max_tokens":1000,"temperature":0.2}`)

var benchAnswer = []byte(`{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[{"type":"text","text":"` +
	strings.Repeat("The lazy dog sleeps on. ", 80) + `"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":500,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":400}}`)

func BenchmarkEncode(b *testing.B) {
	p, err := New(protocol.Upstream{Key: "sk-test-key", Model: "claude-sonnet-4-6"})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(benchBody)))
	b.ReportAllocs()
	for b.Loop() {
		c := protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude-sonnet-4-6", Body: benchBody}
		if err := p.Encode(b.Context(), &c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	p, err := New(protocol.Upstream{Key: "sk-test-key", Model: "claude-sonnet-4-6"})
	if err != nil {
		b.Fatal(err)
	}
	c := protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude-sonnet-4-6", Body: benchBody}
	if err := p.Encode(b.Context(), &c); err != nil {
		b.Fatal(err)
	}
	reply := protocol.Reply{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: benchAnswer}
	b.SetBytes(int64(len(benchAnswer)))
	b.ReportAllocs()
	for b.Loop() {
		if made := p.Decode(&c, reply); made.Failed || made.Lacks != "" {
			b.Fatalf("%+v", made)
		}
	}
}
