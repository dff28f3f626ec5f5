package router

import (
	"net/http"
	"time"

	"pelton/schema"
)

// adaptive finds how many calls at once a deployment takes: it adds until calls
// are lost, and then takes away a part (AIMD). The deployment's lock guards it.
//
// A loss is an answer of 429, 503 or 529, or no answer in time: not a long
// latency, which follows the length of the output. The limit grows only by
// calls that found it reached, for the others say nothing about it. It doubles
// each round trip until the first loss, and again from there on where it grows
// past what it was lost at: then the capacity is another. A loss cuts once per
// round trip: only by calls that began after the last cut.
type adaptive struct {
	on      bool
	ceiling int
	limit   float64
	lostAt  float64 // the limit at the last loss; 0: none yet
	cut     time.Time
	reason  string // of the last change for the worse, or how it began
}

const (
	adaptStart = 4
	adaptCut   = 0.9
	adaptPast  = 1.1 // how far over lostAt it is another capacity
)

func newAdaptive(ceiling int) adaptive {
	return adaptive{on: true, ceiling: ceiling, limit: float64(min(adaptStart, ceiling)), reason: "begins slowly"}
}

func (a *adaptive) allowed() int { return max(1, int(a.limit)) }

// ended learns from a call; full is whether the limit was reached with it.
func (a *adaptive) ended(now time.Time, full bool, e ended) {
	switch {
	case !a.on || e.aborted:
	case e.err == nil:
		if full {
			a.grow()
		}
	case e.loss() && !e.began.Before(a.cut):
		a.cut, a.lostAt = now, a.limit
		a.limit = max(1, a.limit*adaptCut)
		a.reason = "cut after: " + e.err.Error()
	}
}

func (a *adaptive) grow() {
	step := 1 / a.limit // one per round trip
	if a.lostAt == 0 || a.limit > a.lostAt*adaptPast+1 {
		step = 1 // one per answer: twice as many per round trip
	}
	a.limit = min(a.limit+step, float64(a.ceiling))
}

// loss reports whether a failure says that there were too many calls.
func (e ended) loss() bool {
	switch e.err.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
		return e.err.Class != schema.ClassUpstreamFatal
	}
	return e.err.Class == schema.ClassTransient && e.err.Code == schema.CodeTimeout
}
