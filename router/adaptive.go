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
// calls during which it was reached, for the others say nothing about it. It doubles
// each round trip until the first loss, and again where it has grown past what
// it was lost at, which it comes near slowly: then the capacity is another. A loss cuts once per
// round trip: only by calls that began after the last cut.
type adaptive struct {
	on      bool
	ceiling int
	limit   float64
	lostAt  float64 // the limit at the last loss; 0: none yet
	cut     time.Time
	reached time.Time // when the limit last was
	answers int       // successes since the last cut
	row     int       // cuts without a whole round of successes in between
	reason  string    // of the last change for the worse, or how it began
}

const (
	adaptStart = 4
	adaptPast  = 1.05 // how far over lostAt it is another capacity
	adaptWary  = 4    // how much slower it grows around lostAt
)

// adaptCuts are what is left after the first cut, and those right after it.
var adaptCuts = []float64{0.9, 0.8, 0.65, 0.5}

func newAdaptive(ceiling int) adaptive {
	return adaptive{on: true, ceiling: ceiling, limit: float64(min(adaptStart, ceiling)), reason: "begins slowly"}
}

func (a *adaptive) allowed() int { return max(1, int(a.limit)) }

// began notes that so many calls are in flight now.
func (a *adaptive) began(now time.Time, inFlight int) {
	if a.on && inFlight >= a.allowed() {
		a.reached = now
	}
}

// ended learns from a call.
func (a *adaptive) ended(now time.Time, e callEnd) {
	switch {
	case !a.on || e.aborted:
	case e.err == nil:
		a.answers++
		if !a.reached.Before(e.began) {
			a.grow()
		}
	case e.loss() && e.began.After(a.cut):
		a.lose(now)
		a.reason = "cut after: " + e.err.Error()
	}
}

// lose cuts the limit, by more where one cut was not enough.
func (a *adaptive) lose(now time.Time) {
	if a.answers >= a.allowed() {
		a.row = 0
	}
	a.cut, a.lostAt = now, a.limit
	a.limit = max(1, a.limit*adaptCuts[min(a.row, len(adaptCuts)-1)])
	a.answers = 0
	a.row++
}

func (a *adaptive) grow() {
	step := 1 / a.limit // one per round trip
	switch {
	case a.lostAt == 0 || a.limit > a.lostAt*adaptPast+1:
		step = 1 // one per answer: twice as many per round trip
	case a.limit > a.lostAt-1:
		step /= adaptWary // where it was lost last time
	}
	a.limit = min(a.limit+step, float64(a.ceiling))
}

// loss reports whether a failure says that there were too many calls.
func (e callEnd) loss() bool {
	switch e.err.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
		return e.err.Class != schema.ClassUpstreamFatal
	}
	return e.err.Class == schema.ClassTransient && e.err.Code == schema.CodeTimeout
}
