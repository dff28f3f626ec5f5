package router

import (
	"context"
	"strings"
	"testing"

	"pelton/internal/faultyllm"
)

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
