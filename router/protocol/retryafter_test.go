package protocol

import (
	"net/http"
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
