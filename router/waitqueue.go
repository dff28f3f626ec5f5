package router

import (
	"container/list"
	"slices"
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
	line line
	e    *list.Element
}

// line is where requests wait for a deployment, or for one of its models.
type line struct {
	d     *deployment
	model *modelState // nil: for a place at the deployment
}

// queue is who stands in it. The deployment's lock guards it.
func (l line) queue() *list.List {
	if l.model != nil {
		return &l.model.waitQueue
	}
	return &l.d.waitQueue
}

func newWaiter() *waiter { return &waiter{wake: make(chan struct{}, 1)} }

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look again anyway
	}
}

// join stands in line, unless it does already. Of a deployment it stands in one
// line: who waits for a model holds up nobody who waits for a place.
func (w *waiter) join(l line) {
	for _, s := range w.tickets {
		if s.line == l {
			return
		}
	}
	w.leaveWhere(func(s ticket) bool { return s.line.d == l.d })
	l.d.mu.Lock()
	w.tickets = append(w.tickets, ticket{l, l.queue().PushBack(w)})
	l.d.mu.Unlock()
}

// leave leaves all lines.
func (w *waiter) leave() {
	w.leaveWhere(func(ticket) bool { return true })
}

func (w *waiter) leaveWhere(leaves func(ticket) bool) {
	w.tickets = slices.DeleteFunc(w.tickets, func(s ticket) bool {
		if !leaves(s) {
			return false
		}
		d, queue := s.line.d, s.line.queue()
		d.mu.Lock()
		defer d.mu.Unlock()
		first := queue.Front() == s.e
		queue.Remove(s.e)
		if first {
			s.line.wakeNext()
		}
		return true
	})
}

// wakeNext makes the first in line look again, for a place and for the model. The
// lock is held.
func (l line) wakeNext() {
	for _, queue := range [...]*list.List{&l.d.waitQueue, l.queue()} {
		if front := queue.Front(); front != nil {
			front.Value.(*waiter).signal()
		}
	}
}

// ahead is the place of w in the line of the deployment, counted from 1, and how many
// calls at once that takes; 0: there is no limit. The lock is held.
func (l line) ahead(w *waiter) (place float64, parallel int) {
	d := l.d
	place, parallel = 1, d.MaxParallel
	for e := d.waitQueue.Front(); e != nil && e.Value != any(w); e = e.Next() {
		place++
	}
	if d.adapt.On() {
		parallel = d.adapt.Allowed()
	}
	return place, parallel
}

// pressure returns how long a call at the deployment takes, 0 where nothing is known,
// and how many rounds of calls are ahead of w in its line: 1 is the one under way.
func (l line) pressure(w *waiter) (usual time.Duration, rounds float64) {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	ahead, parallel := l.ahead(w)
	return l.d.meanLatency(), ahead / float64(max(parallel, 1))
}

// expected guesses how long w will stand in the line of the deployment, at its end if
// it does not yet; 0 where nothing is known.
func (l line) expected(w *waiter) time.Duration {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	ahead, parallel := l.ahead(w)
	var wait time.Duration
	if d.RPM > 0 {
		wait = time.Duration(ahead * float64(time.Minute) / float64(d.RPM))
	}
	if parallel > 0 {
		wait = max(wait, time.Duration(ahead*float64(d.meanLatency())/float64(parallel)))
	}
	return wait
}
