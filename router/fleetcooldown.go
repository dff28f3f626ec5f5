package router

import (
	"time"

	"pelton/router/protocol"
)

// Cooldown is that a deployment is left alone for a while.
type Cooldown struct {
	Deployment string
	Model      string // what the "*" of its model stands for, where only that is; empty: all
	Until      time.Time
	Fatal      bool // it can serve nobody: a bad key, no quota, no such model
	Reason     string
}

// WithCooldownSink sets who is told of each cooldown that begins or grows here,
// so that other processes can be: sink is called in the middle of a request and
// must not block. What comes from others is passed to [Router.ApplyCooldown].
func WithCooldownSink(sink func(Cooldown)) Option {
	return func(s *settings) { s.sink = sink }
}

// ApplyCooldown leaves a deployment alone because another process says so; of
// its word and our own the later time counts. It is not told to the sink. A
// deployment that is not configured here, or a time that has passed, is nothing.
func (r *Router) ApplyCooldown(c Cooldown) {
	d := r.byID[c.Deployment]
	now := time.Now()
	if d == nil || !c.Until.After(now) {
		return
	}
	until := now.Add(min(c.Until.Sub(now), protocol.MaxRetryAfter))
	d.mu.Lock()
	defer d.mu.Unlock()
	if !c.Fatal {
		b := &d.breaker
		if c.Model != "" {
			m := d.modelOf(c.Model)
			if m == nil { // of another configuration
				return
			}
			b = &m.breaker
		}
		b.block(until, d.rules.time > 0, c.Reason)
		if until.After(b.announced) {
			b.announced = until
		}
		return
	}
	if d.outages == nil {
		d.outages = map[string]*outage{}
	}
	o := d.outages[scopeAll]
	if o == nil {
		o = &outage{}
		d.outages[scopeAll] = o
	}
	if until.After(o.until) {
		o.until, o.reason = until, c.Reason
	}
}

// Wake makes who waits for a place at a deployment ask for one again: room was
// made by somebody else than this process.
func (r *Router) Wake(deployment string) {
	if d := r.byID[deployment]; d != nil {
		d.mu.Lock()
		d.busy = time.Time{}
		line{d: d}.wakeNext()
		d.mu.Unlock()
	}
}

// publishCooldown gives c to the sink.
func (r *Router) publishCooldown(c *Cooldown) {
	if c != nil && r.sink != nil {
		r.sink(*c)
	}
}
