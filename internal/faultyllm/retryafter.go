package faultyllm

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// RetryAfterForm is how the server writes the time to wait into the headers of
// a 429 or 503.
type RetryAfterForm string

const (
	// RetryAfterSeconds: "Retry-After: 1.5", with decimals only if needed.
	RetryAfterSeconds RetryAfterForm = "seconds"
	// RetryAfterMS: "retry-after-ms: 1500".
	RetryAfterMS RetryAfterForm = "ms"
	// RetryAfterDate: "Retry-After: Mon, 02 Jan 2006 15:04:05 GMT", rounded up
	// to the next whole second.
	RetryAfterDate RetryAfterForm = "date"
)

func (f RetryAfterForm) validate() error {
	switch f {
	case "", RetryAfterSeconds, RetryAfterMS, RetryAfterDate:
		return nil
	}
	return fmt.Errorf("retry_after_form %q is none of %s, %s, %s", f, RetryAfterSeconds, RetryAfterMS, RetryAfterDate)
}

func (f RetryAfterForm) set(h http.Header, wait time.Duration) {
	switch f {
	case RetryAfterMS:
		// Rounded up: a client that comes back a little early is refused again.
		h.Set("retry-after-ms", strconv.FormatInt(int64((wait+time.Millisecond-1)/time.Millisecond), 10))
	case RetryAfterDate:
		at := time.Now().Add(wait + time.Second - 1).UTC()
		h.Set("Retry-After", at.Format(http.TimeFormat))
	default:
		wait = (wait + time.Millisecond - 1).Truncate(time.Millisecond)
		h.Set("Retry-After", strconv.FormatFloat(wait.Seconds(), 'f', -1, 64))
	}
}
