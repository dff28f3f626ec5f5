package router

import (
	"container/list"
	"time"
)

// waiter is a request that waits inside Do. It may stand in the lines of
// several deployments at once.
//
// Only the first in a line asks its deployment for a place, and whoever leaves
// a line from its front wakes the next: so places go in the order of arrival,
// and a crowd costs one question per place, not one each.
type waiter struct {
	wake    chan struct{}
	tickets []ticket
}

type ticket struct {
	d *deployment
	e *list.Element
}

func newWaiter() *waiter { return &waiter{wake: make(chan struct{}, 1)} }

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look again anyway
	}
}

// join stands in line for d, unless it does already.
func (w *waiter) join(d *deployment) {
	for _, s := range w.tickets {
		if s.d == d {
			return
		}
	}
	d.mu.Lock()
	w.tickets = append(w.tickets, ticket{d, d.waitQueue.PushBack(w)})
	d.mu.Unlock()
}

// leave leaves all lines.
func (w *waiter) leave() {
	for _, s := range w.tickets {
		s.d.mu.Lock()
		first := s.d.waitQueue.Front() == s.e
		s.d.waitQueue.Remove(s.e)
		if first {
			s.d.wakeNext()
		}
		s.d.mu.Unlock()
	}
	w.tickets = w.tickets[:0]
}

// wakeNext makes the first in line look again. The lock is held.
func (d *deployment) wakeNext() {
	if front := d.waitQueue.Front(); front != nil {
		front.Value.(*waiter).signal()
	}
}

// expected guesses how long w will stand in the line of d, at its end if it
// does not yet; 0 where nothing is known.
func (d *deployment) expected(w *waiter) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	ahead := 1.0
	for e := d.waitQueue.Front(); e != nil && e.Value != any(w); e = e.Next() {
		ahead++
	}
	var wait time.Duration
	if d.RPM > 0 {
		wait = time.Duration(ahead * float64(time.Minute) / float64(d.RPM))
	}
	parallel := d.MaxParallel
	if d.adapt.on {
		parallel = d.adapt.allowed()
	}
	if parallel > 0 {
		wait = max(wait, time.Duration(ahead*float64(d.meanLatency())/float64(parallel)))
	}
	return wait
}
