package fleet

import "time"

// pump goes through a deployment's queue for as long as there is room: it grants
// to those who wait for an answer, and calls those who were refused before. Then
// it refuses those who would not wait.
func (c *coordinator) pump(a *account) {
	var due time.Time // when to look again
	later := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	defer func() {
		a.tidy()
		if !due.IsZero() {
			c.again(a, time.Until(due))
		}
	}()
	for _, w := range a.queue {
		if !c.leads() {
			return
		}
		now := time.Now()
		switch {
		case w.gone:
			continue
		case w.called && reached(now, w.until): // it no longer wants to
			a.leave(w)
			continue
		case w.called:
			later(w.until)
			continue
		}
		at := a.ready(now, a.aside.calls, a.aside.tokens, w.cost())
		if c.notBefore.After(at) {
			at = c.notBefore
		}
		if at.After(now) || a.full() {
			if at.After(now) {
				later(at)
			}
			c.refuse(a, now)
			return
		}
		switch {
		case w.ticket:
			a.call(w, now)
			later(w.until)
			if w.told.IsZero() || w.told.After(now.Add(claimIn/10)) { // else it comes by itself
				d := c.to(w.member)
				d.Room = append(d.Room, a.name)
			}
		case !c.covered(w.member, a):
			return // goes on when the record is written
		default:
			c.grant(a, w, now)
		}
	}
}

func (c *coordinator) grant(a *account, w *waiter, now time.Time) {
	m := w.member
	a.leave(w)
	m.granted++
	c.hold(m, permitKey{c.epoch, m.granted}, a, w.cost())
	a.charge(now, w.cost())
	d := c.to(m)
	d.Answers = append(d.Answers, answer{Ask: w.ID, N: m.granted})
}

// refuse answers those in the queue who would not wait, and leaves each member
// one ticket.
func (c *coordinator) refuse(a *account, now time.Time) {
	if a.once == 0 {
		return
	}
	var calls, tokens float64 // ahead
	for _, w := range a.queue {
		if w.gone {
			continue
		}
		if !w.ticket && w.Once {
			in := max(a.when(now, calls, tokens, w.cost()), c.notBefore.Sub(now))
			d := c.to(w.member)
			d.Answers = append(d.Answers, answer{Ask: w.ID, After: micros(in)})
			if w.member.tickets[a.name] != nil {
				a.leave(w)
				continue
			}
			var told time.Time
			if in > 0 {
				told = now.Add(in)
			}
			a.keep(w, told)
		}
		calls++
		tokens += w.cost()
	}
}

// again pumps a deployment's queue after a while.
func (c *coordinator) again(a *account, in time.Duration) {
	in = max(in, 0)
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
