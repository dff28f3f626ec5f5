package router

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"pelton/router/internal/adaptive"
	"pelton/router/internal/tally"
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
	adapt     adaptive.Limit
	lastGood  string     // what the "*" stood for of the last answer
	latency   tally.Mean // of answers, in seconds
	perToken  tally.Mean // of the same per token of output
	errors    tally.Mean // share of failures
	used      tally.PerMinute
	calls     tally.PerMinute
	busy      time.Time // the limiter has no place before this
}

// usedTokens is the tokens of the last minute and of the calls in flight.
func (d *deployment) usedTokens(now time.Time) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used.Count(now) + d.reserved.Load()
}

// pace is the seconds per token of output, and whether anything recent is known.
func (d *deployment) pace(now time.Time) (float64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.perToken.Value, d.perToken.Known(now)
}

// meanLatency is how long answers take; 0: nothing is known. The lock is held.
func (d *deployment) meanLatency() time.Duration {
	return time.Duration(d.latency.Value * float64(time.Second))
}
