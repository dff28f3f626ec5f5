package gemini

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"pelton/router/protocol"
)

// chat2KB is a chat of two kilobytes: an instruction, three turns, parameters.
var chat2KB = `{"model":"gemini-3.5-flash","temperature":0.5,"max_tokens":500,"messages":[{"role":"system","content":"` + strings.Repeat("Be brief. ", 20) + `"},` +
	`{"role":"user","content":"` + strings.Repeat("What is the capital of Norway? ", 30) + `"},{"role":"assistant","content":"` + strings.Repeat("It is Oslo, I think. ", 20) + `"},` +
	`{"role":"user","content":"` + strings.Repeat("Are you sure? ", 20) + `"}]}`

var answer2KB = `{"candidates":[{"content":{"parts":[{"text":"` + strings.Repeat("The capital of Norway is Oslo. ", 60) + `"}],"role":"model"},"finishReason":"STOP","index":0}],` +
	`"usageMetadata":{"promptTokenCount":400,"candidatesTokenCount":300,"totalTokenCount":700,"promptTokensDetails":[{"modality":"TEXT","tokenCount":400}]},"modelVersion":"gemini-3.5-flash","responseId":"resp1"}`

// BenchmarkEncode is what a request of 2 KB costs.
func BenchmarkEncode(b *testing.B) {
	p := protocolFor(b, protocol.Upstream{Model: "gemini-3.5-flash", Key: "k"})
	c := chatCall(chat2KB, false)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Encode(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode is what an answer of 2 KB costs.
func BenchmarkDecode(b *testing.B) {
	p := protocolFor(b, protocol.Upstream{Model: "gemini-3.5-flash", Key: "k"})
	c := chatCall(chat2KB, false)
	reply := protocol.Reply{Status: 200, Header: http.Header{}, Body: []byte(answer2KB), At: noon}
	b.ReportAllocs()
	for b.Loop() {
		if a := p.Decode(c, reply); a.Failed || a.Lacks != "" {
			b.Fatal(a)
		}
	}
}

// BenchmarkStream is what an answer of 100 events costs.
func BenchmarkStream(b *testing.B) {
	var all strings.Builder
	for range 99 {
		all.WriteString("data: " + `{"candidates":[{"content":{"parts":[{"text":"The capital of Norway "}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":400,"totalTokenCount":700},"modelVersion":"gemini-3.5-flash","responseId":"resp1"}` + "\r\n\r\n")
	}
	all.WriteString("data: " + `{"candidates":[{"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":400,"candidatesTokenCount":300,"totalTokenCount":700}}` + "\r\n\r\n")
	p := protocolFor(b, protocol.Upstream{Model: "gemini-3.5-flash", Key: "k"})
	c := chatCall(chat2KB, true)
	b.ReportAllocs()
	for b.Loop() {
		s, _ := p.Stream(c, protocol.Reply{Status: 200, Header: http.Header{}, At: noon}, strings.NewReader(all.String()), 1<<20)
		for {
			if _, err := s.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		if a := s.Answer(); a.Failed || a.Cut != "" {
			b.Fatal(a)
		}
	}
}
