package router

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pelton/internal/faultyllm"
)

func TestEstimate(t *testing.T) {
	words := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100) // ten tokens each
	for _, tt := range []struct {
		name, body string
		least, top int
	}{
		{"a chat", `{"model":"m","messages":[{"role":"user","content":"Hello, how are you today?"}]}`, 8, 20},
		{"with an answer allowed for", `{"model":"m","max_tokens":500,"messages":[{"role":"user","content":"Hello"}]}`, 502, 515},
		{"by its newer name", `{"model":"m","max_completion_tokens":500,"messages":[]}`, 500, 510},
		{"a long one", `{"model":"m","messages":[{"role":"user","content":"` + words + `"}]}`, 950, 1100},
		{"a very long one", `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat(words, 100) + `"}]}`, 90_000, 115_000},
		{"parts, and a picture", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 100_000) + `"}}]}]}`, 1000, 1100},
		{"embeddings", `{"model":"m","input":["Hello there","General"]}`, 3, 12},
		{"a prompt", `{"model":"m","prompt":"Once upon a time"}`, 4, 8},
		{"nothing", `{"model":"m"}`, 1, 1},
		{"no object", `[1]`, 1, 1},
	} {
		r := &size{body: []byte(tt.body)}
		if got := r.estimate(); got < tt.least || got > tt.top {
			t.Errorf("%s: %d, want %d to %d", tt.name, got, tt.least, tt.top)
		}
	}
}

// What is reserved before a call is settled with what it used after it.
func TestTokensAreSettled(t *testing.T) {
	srv := llm(t, faultyllm.Config{Answer: "ok"})
	for mock, most := range map[string]int64{"": 60, `{"status":500}`: 0, `{"status":400}`: 0} {
		l := &noting{Limiter: NewLimiter()}
		r := start(t, &Config{NumRetries: &retries0, Deployments: []Deployment{on(srv, "a", "g", func(d *Deployment) { d.TPM = 1e6 })}}, WithLimiter(l))
		req := ask1("g", "hello", mock)
		req.Body = []byte(strings.Replace(string(req.Body), "{", `{"max_tokens":1000,`, 1))
		out := r.Do(background, req)
		if l.asked < 1000 || l.used > most || mock == "" && (out.Usage == nil || l.used != out.Usage.TotalTokens) {
			t.Errorf("%s: reserved %d, used %d: %v", mock, l.asked, l.used, out.Error)
		}
	}
}

// noting is a limiter that notes the last call.
type noting struct {
	Limiter
	asked, used int64
}

func (n *noting) Admit(_ context.Context, _ string, _ Limits, tokens int) (Permit, error) {
	n.asked = int64(tokens)
	return n, nil
}

func (n *noting) Done(tokens int, _ bool) { n.used = int64(tokens) }

func BenchmarkEstimate(b *testing.B) {
	for _, length := range []int{100, 10_000, 100_000, 1_000_000} {
		body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some words 123, ", length/16) + `"}]}`)
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			for b.Loop() {
				(&size{body: body}).estimate()
			}
		})
	}
}
