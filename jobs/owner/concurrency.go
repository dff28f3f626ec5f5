package owner

import (
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// concurrency is how many requests a job may have fed and unstored: what the job says,
// or with [schema.AutoConcurrency] what it finds meta.
//
// It is found as the router finds a deployment's limit (additive increase,
// multiplicative decrease), from what an owner can see: a result that spent a
// good part of its time waiting for a place at a deployment, or a request that
// was parked, says that more are out than can be served.
type concurrency struct {
	auto        bool
	limit       float64
	congestedAt float64   // the limit when it was last too high; 0: not yet
	cut         time.Time // requests fed before say nothing about the limit since
}

const (
	autoStart   = 8
	autoCut     = 0.8
	autoPast    = 1.1 // how far over congestedAt it is another capacity
	autoWaiting = 0.2 // the share of its time that a result may have waited
)

func newConcurrency(n int) concurrency {
	switch n {
	case schema.AutoConcurrency:
		return concurrency{auto: true, limit: autoStart}
	case 0:
		n = schema.DefaultConcurrency
	}
	return concurrency{limit: float64(n)}
}

func (c *concurrency) now() int { return max(1, min(int(c.limit), schema.MaxConcurrency)) }

// most is what now can ever return.
func (c *concurrency) most() int {
	if c.auto {
		return schema.MaxConcurrency
	}
	return c.now()
}

// observe takes an outcome of a request that was fed at a time when the window
// was full or not.
func (c *concurrency) observe(meta store.ResultMeta, fed, now time.Time, full bool) {
	if !c.auto {
		return
	}
	waited := meta.Status == schema.StatusParked || meta.QueuedFor.Seconds() > autoWaiting*now.Sub(fed).Seconds()
	switch {
	case waited && fed.After(c.cut):
		c.cut, c.congestedAt = now, c.limit
		c.limit = max(1, c.limit*autoCut)
	case !waited && full && c.limit > c.congestedAt*autoPast+1:
		c.limit++ // one per result: twice as many per round trip
	case !waited && full:
		c.limit += 1 / c.limit
	}
}
