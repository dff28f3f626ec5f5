package fleet

import "time"

// pump answers a deployment's queue: grants from its head for as long as there
// is room, and then refuses those who do not wait.
func (c *coordinator) pump(a *account) {
	for w := a.head(); w != nil; w = a.head() {
		if !c.leads() {
			return
		}
		now := time.Now()
		at := a.ready(now, 0, 0, w.cost())
		if c.notBefore.After(at) {
			at = c.notBefore
		}
		if at.After(now) {
			c.again(a, at.Sub(now))
		}
		if at.After(now) || a.full() {
			c.refuse(a, now)
			return
		}
		if !c.covered(w.member, a) {
			return // goes on when the record is written
		}
		c.grant(a, w, now)
	}
}

func (c *coordinator) grant(a *account, w *waiter, now time.Time) {
	m := w.member
	c.answered(a, w)
	m.granted++
	c.hold(m, permitKey{c.epoch, m.granted}, a, w.cost())
	a.charge(now, w.cost())
	d := c.to(m)
	d.Answers = append(d.Answers, answer{Ask: w.ID, N: m.granted})
}

// refuse answers those in the queue who do not wait.
func (c *coordinator) refuse(a *account, now time.Time) {
	if len(a.queue)-a.gone == int(a.ahead.calls) {
		return // all wait
	}
	for _, w := range a.queue {
		if w.gone || !w.Once {
			continue
		}
		after := max(a.after(now, w.cost()), c.notBefore.Sub(now))
		d := c.to(w.member)
		d.Answers = append(d.Answers, answer{Ask: w.ID, After: micros(after)})
		w.gone = true // as leave does, but the queue is being walked
		a.gone++
		delete(w.member.asks, w.ID)
	}
	a.compact()
}

func (c *coordinator) answered(a *account, w *waiter) {
	a.leave(w)
	delete(w.member.asks, w.ID)
}

// again pumps a deployment's queue when its rates allow the next call.
func (c *coordinator) again(a *account, in time.Duration) {
	if a.timer != nil {
		a.timer.Reset(in)
		return
	}
	a.timer = time.AfterFunc(in, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.leads() {
			return
		}
		c.pump(a)
		c.flush()
	})
}
