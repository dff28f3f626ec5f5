package router

import (
	"container/list"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// health is how a deployment does in this process.
type health struct {
	inFlight atomic.Int64
	reserved atomic.Int64 // tokens that the calls in flight are estimated to use

	mu        sync.Mutex
	breaker   breaker                // of all its calls, or, where it takes many models, of its connections
	models    map[string]*modelState // of one that takes many, by what the "*" stands for
	outages   map[string]*outage     // by scope
	loud      bool                   // a cooldown has begun that the log is to tell of
	suspects  map[string]time.Time   // scopes of which one request has said that they are not there
	quotas    map[string]*quota      // by model: signs that one is used up
	waitQueue list.List              // of *waiter
	adapt     adaptive
	lastGood  string // what the "*" stood for of the last answer
	latency   mean   // of answers, in seconds
	perToken  mean   // of the same per token of output
	errors    mean   // share of failures
	used      perMinute
	calls     perMinute
	busy      time.Time // the limiter has no place before this
}

// mean is an exponentially weighted one: each value weighs a tenth.
type mean struct {
	value float64
	last  time.Time // zero: nothing was seen
}

// stale is how long a mean says something about now.
const stale = 5 * time.Minute

func (m *mean) add(now time.Time, value float64) {
	if m.last.IsZero() || now.Sub(m.last) > stale {
		m.value = value
	} else {
		m.value += (value - m.value) / 10
	}
	m.last = now
}

// perMinute counts what happened in the last minute: what is left of the minute
// before counts in proportion.
type perMinute struct {
	start        time.Time
	this, before int64
}

func (p *perMinute) add(now time.Time, n int64) {
	p.turn(now)
	p.this += n
}

func (p *perMinute) turn(now time.Time) {
	switch age := now.Sub(p.start); {
	case age < time.Minute:
	case age < 2*time.Minute:
		p.start, p.before, p.this = p.start.Add(time.Minute), p.this, 0
	default:
		p.start, p.before, p.this = now, 0, 0
	}
}

func (p *perMinute) count(now time.Time) int64 {
	p.turn(now)
	left := 1 - float64(now.Sub(p.start))/float64(time.Minute)
	return p.this + int64(math.Round(left*float64(p.before)))
}

// usedTokens is the tokens of the last minute and of the calls in flight.
func (d *deployment) usedTokens(now time.Time) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used.count(now) + d.reserved.Load()
}

// pace is the seconds per token of output, and whether anything recent is known.
func (d *deployment) pace(now time.Time) (float64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.perToken.value, !d.perToken.last.IsZero() && now.Sub(d.perToken.last) <= stale
}

// meanLatency is how long answers take; 0: nothing is known. The lock is held.
func (d *deployment) meanLatency() time.Duration {
	return time.Duration(d.latency.value * float64(time.Second))
}
