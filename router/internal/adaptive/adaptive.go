// Package adaptive finds how many calls at once a server takes.
package adaptive

import "time"

// Limit is how many calls at once a server takes, as far as is known: it adds until
// calls are lost, and then takes away a part (AIMD). The zero value is off, and limits
// nothing. It is not safe for concurrent use.
//
// A loss is an answer of 429, 503 or 529, or no answer in time: not a long
// latency, which follows the length of the output. The limit grows only by
// calls during which it was reached, for the others say nothing about it. It doubles
// each round trip until the first loss, and again where it has grown past what
// it was lost at, which it comes near slowly: then the capacity is another. A loss cuts once per
// round trip: only by calls that began after the last cut.
type Limit struct {
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
	start = 4
	past  = 1.05 // how far over lostAt it is another capacity
	wary  = 4    // how much slower it grows around lostAt
)

// cuts are what is left after the first cut, and those right after it.
var cuts = []float64{0.9, 0.8, 0.65, 0.5}

// New returns a limit that is on, and never above ceiling.
func New(ceiling int) Limit {
	return Limit{on: true, ceiling: ceiling, limit: float64(min(start, ceiling)), reason: "begins slowly"}
}

// On reports whether anything is limited.
func (a *Limit) On() bool { return a.on }

// Allowed is how many calls at once there may be, 1 at least.
func (a *Limit) Allowed() int { return max(1, int(a.limit)) }

// Reason is why it is as many, in words.
func (a *Limit) Reason() string { return a.reason }

// Began notes that so many calls are in flight now.
func (a *Limit) Began(now time.Time, inFlight int) {
	if a.on && inFlight >= a.Allowed() {
		a.reached = now
	}
}

// Answered learns from a call that began then and was answered.
func (a *Limit) Answered(began time.Time) {
	if !a.on {
		return
	}
	a.answers++
	if !a.reached.Before(began) {
		a.grow()
	}
}

// Lost learns from a call that began then and came to nothing for want of room; err
// says what the server said.
func (a *Limit) Lost(now, began time.Time, err error) {
	if a.on && began.After(a.cut) {
		a.lose(now)
		a.reason = "cut after: " + err.Error()
	}
}

// lose cuts the limit, by more where one cut was not enough.
func (a *Limit) lose(now time.Time) {
	if a.answers >= a.Allowed() {
		a.row = 0
	}
	a.cut, a.lostAt = now, a.limit
	a.limit = max(1, a.limit*cuts[min(a.row, len(cuts)-1)])
	a.answers = 0
	a.row++
}

func (a *Limit) grow() {
	step := 1 / a.limit // one per round trip
	switch {
	case a.lostAt == 0 || a.limit > a.lostAt*past+1:
		step = 1 // one per answer: twice as many per round trip
	case a.limit > a.lostAt-1:
		step /= wary // where it was lost last time
	}
	a.limit = min(a.limit+step, float64(a.ceiling))
}
