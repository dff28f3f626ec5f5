package fleet

import (
	"slices"
	"time"
)

// push queues an ask: in the place of its member's ticket, if it has one, and
// else at the end.
func (a *account) push(m *member, q ask) {
	a.learn(q.Limits)
	if t := m.tickets[a.name]; t != nil && q.Once {
		a.uncall(t)
		delete(m.tickets, a.name)
		t.ask, t.ticket = q, false
		m.asks[q.ID] = t
		a.once++
		return
	}
	w := &waiter{ask: q, member: m}
	m.asks[q.ID] = w
	a.queue = append(a.queue, w)
	if q.Once {
		a.once++
	}
}

// keep makes an ask that was refused its member's ticket.
func (a *account) keep(w *waiter, told time.Time) {
	delete(w.member.asks, w.ID)
	w.member.tickets[a.name] = w
	w.ticket, w.told = true, told
	a.once--
}

// leave takes a place out of the queue: it was answered, taken back, or not
// claimed in time.
func (a *account) leave(w *waiter) {
	if w.ticket {
		a.uncall(w)
		delete(w.member.tickets, a.name)
	} else {
		delete(w.member.asks, w.ID)
		if w.Once {
			a.once--
		}
	}
	w.gone = true
	a.gone++
}

// call keeps room for a ticket for as long as its member takes to claim it.
func (a *account) call(w *waiter, now time.Time) {
	w.called, w.until = true, now.Add(claimIn)
	if early := w.told.Sub(now); early > 0 && early < 5*claimIn { // it may come when it was told to
		w.until = w.told.Add(claimIn)
	}
	a.aside.calls++
	a.aside.tokens += w.cost()
}

func (a *account) uncall(w *waiter) {
	if w.called {
		w.called = false
		a.aside.calls--
		a.aside.tokens -= w.cost()
	}
}

// tidy drops those who left: at the front, and all when they are many.
func (a *account) tidy() {
	for len(a.queue) > 0 && a.queue[0].gone {
		a.queue[0] = nil
		a.queue = a.queue[1:]
		a.gone--
	}
	if a.gone < 16 || a.gone < len(a.queue)/2 {
		return
	}
	a.queue = slices.DeleteFunc(a.queue, func(w *waiter) bool { return w.gone })
	a.gone = 0
}

// when returns how long one who stands behind others in the queue is told to
// stay away: until its turn by the rates, or 0 where a call that ends makes room.
func (a *account) when(now time.Time, calls, tokens, n float64) time.Duration {
	if a.full() {
		// The others ahead will not have used the rate before there is room.
		if in := a.ready(now, a.aside.calls, a.aside.tokens, n).Sub(now); in > claimIn {
			return in
		}
		return 0
	}
	return max(a.ready(now, calls, tokens, n).Sub(now), time.Millisecond)
}
