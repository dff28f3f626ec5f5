// Package tally keeps what calls were like: how long they take, how they ended, how
// many there were. Its types are not safe for concurrent use but where they say so.
package tally

import (
	"math"
	"sync"
	"time"

	"pelton/schema"
)

// Bounds of what is learned: see [Outcomes] and [CallTimes].
const (
	Recent     = time.Minute // for how long an outcome says something about now
	LeastBound = time.Minute // however quick the calls are

	maxRecent  = 20 // how many of the last outcomes count,
	minVolume  = 5  // how many there must be,
	longRow    = 8  // and how many in a row are no chance
	knownCalls = 5  // from which on something is known of their times
	boundShare = 3  // of what the slowest took
	staleCalls = time.Hour
)

// Mean is an exponentially weighted one: each value weighs a tenth. The zero value has
// seen nothing.
type Mean struct {
	Value float64
	Last  time.Time // zero: nothing was seen
}

// stale is how long a mean says something about now.
const stale = 5 * time.Minute

// Known reports whether it says something about now.
func (m *Mean) Known(now time.Time) bool { return !m.Last.IsZero() && now.Sub(m.Last) <= stale }

// Add takes a value into account.
func (m *Mean) Add(now time.Time, value float64) {
	if m.Last.IsZero() || now.Sub(m.Last) > stale {
		m.Value = value
	} else {
		m.Value += (value - m.Value) / 10
	}
	m.Last = now
}

// PerMinute counts what happened in the last minute: what is left of the minute
// before counts in proportion.
type PerMinute struct {
	start        time.Time
	this, before int64
}

// Add notes n more.
func (p *PerMinute) Add(now time.Time, n int64) {
	p.turn(now)
	p.this += n
}

func (p *PerMinute) turn(now time.Time) {
	switch age := now.Sub(p.start); {
	case age < time.Minute:
	case age < 2*time.Minute:
		p.start, p.before, p.this = p.start.Add(time.Minute), p.this, 0
	default:
		p.start, p.before, p.this = now, 0, 0
	}
}

// Count returns how many there were.
func (p *PerMinute) Count(now time.Time) int64 {
	p.turn(now)
	left := 1 - float64(now.Sub(p.start))/float64(time.Minute)
	return p.this + int64(math.Round(left*float64(p.before)))
}

// Outcomes remembers how the last calls ended, for a minute after the last.
type Outcomes struct {
	failed  uint32 // a bit for each, the latest lowest
	n       int
	Last    time.Time
	Row     int       // failures since the last success
	success time.Time // the last one; zero: none yet
}

// Add notes how a call ended.
func (o *Outcomes) Add(now time.Time, failed bool) {
	if now.Sub(o.Last) > Recent {
		*o = Outcomes{}
	}
	o.Last = now
	o.failed <<= 1
	if o.Row++; failed {
		o.failed |= 1
	} else {
		o.Row, o.success = 0, now
	}
	o.failed &= 1<<maxRecent - 1
	o.n = min(o.n+1, maxRecent)
}

// Bad reports whether enough calls have failed: more than half of the last, or
// all of the latest, where that is too many or too long to be chance. usual is
// how long an answer takes.
func (o *Outcomes) Bad(now time.Time, usual time.Duration) bool {
	switch {
	case o.n < minVolume:
		return false
	case o.rate() > 0.5, o.Row >= longRow:
		return true
	}
	return o.Row >= minVolume && now.Sub(o.success) > 2*usual
}

// rate returns the share of failures.
func (o *Outcomes) rate() float64 {
	if o.n == 0 {
		return 0
	}
	failed := 0
	for bits := o.failed; bits != 0; bits &= bits - 1 {
		failed++
	}
	return float64(failed) / float64(o.n)
}

// Minute counts what happened within a minute of the first.
type Minute struct {
	n     int
	since time.Time
}

// Add notes one more, and returns how many there were.
func (m *Minute) Add(now time.Time) int {
	if now.Sub(m.since) > time.Minute {
		m.n, m.since = 0, now
	}
	m.n++
	return m.n
}

// CallTimes is how long a group's calls take that are answered. It is safe for
// concurrent use.
type CallTimes struct {
	mu      sync.Mutex
	n       int
	slowest time.Duration // forgotten slowly: half of it in 700 calls
	last    time.Time
}

// Add notes how long a call took.
func (t *CallTimes) Add(now time.Time, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last) > staleCalls {
		t.n, t.slowest = 0, 0
	}
	t.n, t.last = t.n+1, now
	t.slowest = max(took, t.slowest-t.slowest/1000)
}

// Bound is how long a call may take; known is false where too few have been seen.
func (t *CallTimes) Bound(now time.Time) (limit time.Duration, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n < knownCalls || now.Sub(t.last) > staleCalls {
		return schema.DefaultTimeout, false
	}
	return max(LeastBound, boundShare*t.slowest), true
}
