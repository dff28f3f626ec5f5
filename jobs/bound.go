package jobs

import (
	"time"

	"pelton/schema"
)

// bound is how many requests a job may have fed and unstored: what the job says,
// or with [schema.AutoConcurrency] what it finds out.
//
// It is found as the router finds a deployment's limit (additive increase,
// multiplicative decrease), from what an owner can see: a result that spent a
// good part of its time waiting for a place at a deployment, or a request that
// was parked, says that more are out than can be served.
type bound struct {
	auto    bool
	limit   float64
	crowded float64   // the limit when it was last too high; 0: not yet
	cut     time.Time // requests fed before say nothing about the limit since
}

const (
	autoStart   = 8
	autoCut     = 0.8
	autoPast    = 1.1 // how far over crowded it is another capacity
	autoWaiting = 0.2 // the share of its time that a result may have waited
)

func newBound(concurrency int) bound {
	switch concurrency {
	case schema.AutoConcurrency:
		return bound{auto: true, limit: autoStart}
	case 0:
		concurrency = schema.DefaultConcurrency
	}
	return bound{limit: float64(concurrency)}
}

func (b *bound) now() int { return max(1, min(int(b.limit), schema.MaxConcurrency)) }

// most is what now can ever return.
func (b *bound) most() int {
	if b.auto {
		return schema.MaxConcurrency
	}
	return b.now()
}

// learn takes an outcome of a request that was fed at a time when the window
// was full or not.
func (b *bound) learn(out ResultMeta, fed, now time.Time, full bool) {
	if !b.auto {
		return
	}
	waited := out.Status == schema.StatusParked || out.QueuedFor.Seconds() > autoWaiting*now.Sub(fed).Seconds()
	switch {
	case waited && fed.After(b.cut):
		b.cut, b.crowded = now, b.limit
		b.limit = max(1, b.limit*autoCut)
	case !waited && full && b.limit > b.crowded*autoPast+1:
		b.limit++ // one per result: twice as many per round trip
	case !waited && full:
		b.limit += 1 / b.limit
	}
}
