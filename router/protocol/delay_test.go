package protocol

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		ms, after string
		want      time.Duration
	}{
		{"", "", 0},
		{"1500", "", 1500 * time.Millisecond},
		{"20.5", "7", 20500 * time.Microsecond},
		{"x", "7", 7 * time.Second},
		{"", "0.25", 250 * time.Millisecond},
		{"", " 3 ", 3 * time.Second},
		{"", "-5", 0},
		{"", "NaN", 0},
		{"", "+Inf", MaxRetryAfter},
		{"", "1e300", MaxRetryAfter},
		{"", "soon", 0},
		{"", "Fri, 01 May 2026 12:00:30 GMT", 30 * time.Second},
		{"", "Fri, 01 May 2026 11:00:00 GMT", 0},
		{"", "Fri, 01 May 2099 11:00:00 GMT", MaxRetryAfter},
	} {
		h := http.Header{}
		if tt.ms != "" {
			h.Set("retry-after-ms", tt.ms)
		}
		h.Set("Retry-After", tt.after)
		if got := RetryAfter(h, now); got != tt.want {
			t.Errorf("ms %q, after %q: %v, want %v", tt.ms, tt.after, got, tt.want)
		}
	}
}

// One reader for all forms.
func TestDelay(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) // 1777636800
	for text, want := range map[string]time.Duration{
		"3": 3 * time.Second, "0.5": 500 * time.Millisecond, " 2 ": 2 * time.Second, `"4"`: 4 * time.Second, "0": 0, "-3": 0,
		"1777636807": 7 * time.Second, "1777636807500": 7500 * time.Millisecond, "1777636700": 0,
		"3s": 3 * time.Second, "12ms": 12 * time.Millisecond, "6m0s": 6 * time.Minute, "1m26.4s": 86400 * time.Millisecond, "1h": time.Hour,
		"1d2h": 24 * time.Hour, // bounded
		"PT4S": 4 * time.Second, "PT1M30.5S": 90500 * time.Millisecond, "pt2h": 2 * time.Hour, "P1D": 24 * time.Hour, "PT0S": 0,
		"2026-05-01T12:00:04Z": 4 * time.Second, "2026-05-01T14:00:04+02:00": 4 * time.Second, "2026-05-01T12:00:04.250Z": 4250 * time.Millisecond,
		"2026-05-01T12:00:04": 4 * time.Second, "2026-05-01 12:00:04": 4 * time.Second, "2026-05-01T11:00:04Z": 0,
		"Fri, 01 May 2026 12:00:30 GMT": 30 * time.Second,
		"2, 2":                          2 * time.Second, "1, 7,3": 7 * time.Second, "2s, 5s": 5 * time.Second,
		"4 seconds": 4 * time.Second, "1 minute": time.Minute, "1 minute and 5 seconds": 65 * time.Second, "2 hours, 3 mins": 123 * time.Minute, "90 sec": 90 * time.Second,
	} {
		if got, ok := Delay(text, now); !ok || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "soon", "PT", "P", "NaN", "4 apples", "s", ",", "never, ever"} {
		if got, ok := Delay(text, now); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// How long an answer asks to wait, by all that it may say so with.
func TestWait(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		header string // NAME: VALUE, one a line
		body   string
		want   time.Duration
	}{
		"nothing":                       {"", `{"error":{"message":"slow down"}}`, 0},
		"Retry-After before all others": {"Retry-After: 2\nX-RateLimit-Reset: 60\nX-RateLimit-Remaining: 0", `{"error":{"message":"try again in 4s"}}`, 2 * time.Second},
		"an ISO duration":               {"Retry-After: PT4S", `{}`, 4 * time.Second},
		"twice":                         {"Retry-After: 2\nRetry-After: 3", `{}`, 3 * time.Second},
		"epoch seconds":                 {"X-RateLimit-Reset: 1777636805", `{}`, 5 * time.Second},
		"epoch milliseconds":            {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1777636805500", `{}`, 5500 * time.Millisecond},
		"seconds to go":                 {"X-RateLimit-Reset: 9", `{}`, 9 * time.Second},
		"after":                         {"X-RateLimit-Reset-After: 1.5", `{}`, 1500 * time.Millisecond},
		"a limit with room is not it":   {"X-RateLimit-Remaining-Requests: 5\nX-RateLimit-Reset-Requests: 40s\nX-RateLimit-Remaining-Tokens: 0\nX-RateLimit-Reset-Tokens: 3s", `{}`, 3 * time.Second},
		"resets alone":                  {"X-RateLimit-Reset-Requests: 3s\nX-RateLimit-Reset-Tokens: 7s", `{}`, 7 * time.Second},
		"RateLimit-Reset":               {"RateLimit-Limit: 10\nRateLimit-Remaining: 0\nRateLimit-Reset: 8", `{}`, 8 * time.Second},
		"RateLimit of a draft":          {"RateLimit: limit=10, remaining=0, reset=6", `{}`, 6 * time.Second},
		"RateLimit, policies":           {`RateLimit: "burst";r=0;t=5, "day";r=100;t=5000`, `{}`, 5 * time.Second},
		"RateLimit, one policy":         {`RateLimit: "default";r=0;t=4`, `{}`, 4 * time.Second},
		"behind LiteLLM":                {"llm_provider-retry-after: 7", `{}`, 7 * time.Second},
		"behind LiteLLM, a reset":       {"llm_provider-x-ratelimit-reset-requests: 7s\nx-ratelimit-remaining-tokens: 100", `{}`, 7 * time.Second},
		"in the message":                {"", `{"error":{"message":"Rate limit reached. Please try again in 4s. Visit …"}}`, 4 * time.Second},
		"in the message, milliseconds":  {"", `{"error":{"message":"Please try again in 340ms."}}`, 340 * time.Millisecond},
		"in the message, long":          {"", `{"error":{"message":"Please try again in 1m26.4s. Need more tokens?"}}`, 86400 * time.Millisecond},
		"Azure's message":               {"", `{"error":{"message":"Please retry after 26 seconds."}}`, 26 * time.Second},
		"LiteLLM's message":             {"", `{"error":{"message":"No deployments available for selected model, Try again in 7 seconds"}}`, 7 * time.Second},
		"Gemini's message":              {"", `{"error":{"message":"Please retry in 39.724684s."}}`, 39724684 * time.Microsecond},
		"a moment in the message":       {"", `{"error":{"message":"Your limit resets at 2026-05-01T12:00:09Z."}}`, 9 * time.Second},
		"RetryInfo":                     {"", `{"error":{"message":"x","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17s"}]}}`, 17 * time.Second},
		"headers in the body":           {"", `{"error":{"message":"x","metadata":{"headers":{"X-RateLimit-Remaining":"0","X-RateLimit-Reset":1777636803000}}}}`, 3 * time.Second},
		"no wait, but numbers":          {"", `{"error":{"message":"retry with 3 messages, or at most 5 h"}}`, 0},
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(tt.header, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		f, _ := ReadFault([]byte(tt.body))
		if inner, ok := strings.CutPrefix(tt.body, `{"error":`); ok {
			f = Fault{}
			f.Read([]byte(strings.TrimSuffix(inner, "}")))
		}
		if got := f.Wait(h, now); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func FuzzDelay(f *testing.F) {
	for _, text := range []string{"3", "1m2s", "PT4S", "2, 2", "Fri, 01 May 2026 12:00:30 GMT", "1 minute and 5 seconds", "1e300", "P1Y"} {
		f.Add(text)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := Delay(text, now); d < 0 || d > MaxRetryAfter || !ok && d != 0 {
			t.Errorf("%q: %v", text, d)
		}
		if d := Asked("please try again in "+text, now); d < 0 || d > MaxRetryAfter {
			t.Errorf("%q: %v", text, d)
		}
	})
}
