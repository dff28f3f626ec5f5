package protocol

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds a server's word on when to come back.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter returns how long the headers ask to wait: retry-after-ms, else
// Retry-After as seconds, whole or not, or as an HTTP date. 0 means that they
// do not say, or nothing that makes sense.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, ok := number(h.Get("Retry-After-Ms")); ok {
		return scaled(ms, time.Millisecond)
	}
	value := strings.TrimSpace(h.Get("Retry-After"))
	if s, ok := number(value); ok {
		return scaled(s, time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), MaxRetryAfter)
	}
	return 0
}

func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return f, err == nil && !math.IsNaN(f)
}

func scaled(n float64, unit time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(MaxRetryAfter)))
}

// Exhausted returns when a limit that the headers report as used up has room
// again, the later of requests and tokens; zero where none is.
func Exhausted(h http.Header, now time.Time) time.Time {
	var until time.Time
	for _, name := range limitHeaders {
		left := h[name.remaining]
		if len(left) == 0 || len(h[name.reset]) == 0 {
			continue
		}
		if n, ok := number(left[0]); !ok || n != 0 { // -1 is Azure's "unknown"
			continue
		}
		if at := resetTime(h[name.reset][0], now); at.After(until) {
			until = at
		}
	}
	return until
}

// limitHeaders are the names that upstreams give to what is left: OpenAI's,
// which most took over, and Anthropic's own.
var limitHeaders = []struct{ remaining, reset string }{
	{"X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
	{"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	{"Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
	{"Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
	{"Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset"},
	{"Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset"},
}

// resetTime reads when a limit begins anew: a time to come as Go writes it
// (OpenAI), a number of seconds (Azure), or a moment (Anthropic). Zero means
// that it does not say.
func resetTime(text string, now time.Time) time.Time {
	text = strings.TrimSpace(text)
	if s, ok := number(text); ok {
		if s > 1e9 { // a Unix time, in seconds or milliseconds
			if s > 1e12 {
				s /= 1000
			}
			s -= float64(now.Unix())
		}
		if d := scaled(s, time.Second); d > 0 {
			return now.Add(d)
		}
		return time.Time{}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(min(d, MaxRetryAfter))
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.After(now) {
		return now.Add(min(at.Sub(now), MaxRetryAfter))
	}
	return time.Time{}
}
