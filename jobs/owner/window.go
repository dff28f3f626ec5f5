package owner

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"

	"pelton/internal/bitset"
	"pelton/jobs/store"
	"pelton/schema"
)

// window is what is out of a job's requests: which were fed and have no result
// yet, which of these wait until a time, and which come next. It reads no clock
// and knows no queue: times come in. One goroutine uses it.
type window struct {
	total    int
	out      map[int]outstanding // fed and without a result, the parked ones included
	waiting  int                 // how many of out are parked
	parked   parkHeap            // may hold a request twice, or one that has its result
	requeued []int               // to be fed once more: lost on the way, or ready after a wait
	cursor   int                 // next has come so far in the input
	finished bitset.Set          // these have a result
	closed   bool                // nothing is fed any more

	// A request that may have been begun before is looked up by its worker first.
	maybeBegun      bitset.Set // this owner has fed them before
	maybeBegunBelow int        // an earlier owner may have fed every index below
	queueForgot     bool       // which of those it had fed, the queue does not know any more
}

// outstanding is a request between its feeding and its result.
type outstanding struct {
	at     time.Time
	object string // its body's object, to be dropped with it
	parked bool   // it is in no worker's hands, but waits
	ready  time.Time
	wait   store.Wait // what for
}

func newWindow(total int) window { return window{total: total, out: map[int]outstanding{}} }

// room is how many requests may be fed now: with those that are out no more than
// bound, with those in the queue or in workers' hands no more than share, and
// prefetch beyond both.
func (w *window) room(bound, share, prefetch int) int {
	return min(bound, share+w.waiting) + prefetch - len(w.out)
}

// next takes the request that is to be fed next: one that was fed before, else the
// next of the input. It takes none that is out or has its result.
func (w *window) next() (index int, ok bool) {
	for len(w.requeued) > 0 {
		index := w.requeued[len(w.requeued)-1]
		w.requeued = w.requeued[:len(w.requeued)-1]
		if !w.finished.Has(index) {
			return index, true
		}
	}
	for w.cursor < w.total {
		index := w.cursor
		w.cursor++
		if !w.isOut(index) && !w.finished.Has(index) {
			return index, true
		}
	}
	return 0, false
}

// put notes that a request is fed; object names where its body lies, empty for in
// its message.
func (w *window) put(index int, at time.Time, object string) {
	w.out[index] = outstanding{at: at, object: object}
}

// restore notes that an earlier owner has fed a request.
func (w *window) restore(index int, now time.Time) {
	if index < w.total && !w.finished.Has(index) {
		w.out[index] = outstanding{at: now}
	}
}

// inherit notes that an earlier owner may have fed any request below an index, and
// whether the queue has forgotten which.
func (w *window) inherit(below int, queueForgot bool) {
	w.maybeBegunBelow, w.queueForgot = below, queueForgot
}

// done notes that a request has its result, and returns the object of its body.
// first is false for one of which this was known.
func (w *window) done(index int) (object string, first bool) {
	if !w.finished.Add(index) {
		return "", false
	}
	object = w.out[index].object
	w.remove(index)
	return object, true
}

func (w *window) remove(index int) {
	if w.out[index].parked {
		w.waiting--
	}
	delete(w.out, index)
}

// park notes that a request that is out waits until ready. It keeps its place.
func (w *window) park(index int, ready time.Time, wait store.Wait) {
	r, ok := w.out[index]
	if !ok {
		return
	}
	if !r.parked {
		r.parked = true
		w.waiting++
	}
	r.ready, r.wait = ready, wait
	w.out[index] = r
	heap.Push(&w.parked, waiter{ready, index})
}

// unpark puts the requests that are ready back in line, and returns the objects of
// their bodies, which are fed anew. In a closed window they stay parked.
func (w *window) unpark(now time.Time) (objects []string) {
	if w.closed {
		w.parked = nil
	}
	for len(w.parked) > 0 && !w.parked[0].ready.After(now) {
		index := heap.Pop(&w.parked).(waiter).index
		r, ok := w.out[index]
		if !ok || !r.parked || r.ready.After(now) {
			continue // it has its result, or its wait was told twice
		}
		if r.object != "" {
			objects = append(objects, r.object)
		}
		w.putBack(index)
	}
	return objects
}

// waits tells what the parked requests wait for, by model; nil: none is parked.
func (w *window) waits() (list []schema.Waiting) {
	if w.waiting == 0 {
		return nil
	}
	for _, r := range w.out {
		if !r.parked || isHeld(r.wait) {
			continue
		}
		at := slices.IndexFunc(list, func(x schema.Waiting) bool { return x.Model == r.wait.Model })
		if at < 0 {
			list = append(list, schema.Waiting{Model: r.wait.Model, Until: r.ready, Cause: r.wait.Cause, Reason: r.wait.Reason})
			at = len(list) - 1
		}
		if x := &list[at]; r.ready.Before(x.Until) {
			x.Until, x.Cause, x.Reason = r.ready, r.wait.Cause, r.wait.Reason
		}
		list[at].Count++
	}
	slices.SortFunc(list, func(a, b schema.Waiting) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Model, b.Model))
	})
	return list[:min(len(list), schema.MaxWaiting)]
}

// nextReady is when the next parked request is ready; false: none is parked.
func (w *window) nextReady() (time.Time, bool) {
	if len(w.parked) == 0 {
		return time.Time{}, false
	}
	return w.parked[0].ready, true
}

// requeue puts a request that did not reach the queue, or vanished from it, back in
// line. It reports false for one that is not in the queue: it is parked, or has its
// result; and for all in a closed window, where each is waited for.
func (w *window) requeue(index int) bool {
	if r, ok := w.out[index]; !ok || r.parked || w.closed {
		return false
	}
	w.putBack(index)
	return true
}

func (w *window) putBack(index int) {
	w.remove(index)
	w.maybeBegun.Add(index)
	w.requeued = append(w.requeued, index)
}

// close ends the feeding. Of the requests that are out, neverBegun were taken back.
// From now on every other request that may ever have reached a worker is out, so
// that it gets a result: an index without one has never been begun.
func (w *window) close(neverBegun []int, now time.Time) {
	w.closed = true
	for _, index := range neverBegun {
		w.remove(index)
	}
	enter := func(index int) {
		if !w.isOut(index) && !w.finished.Has(index) {
			w.out[index] = outstanding{at: now}
		}
	}
	for _, index := range w.requeued {
		enter(index)
	}
	w.requeued = nil
	for index := w.cursor; w.queueForgot && index < min(w.maybeBegunBelow, w.total); index++ {
		enter(index)
	}
}

// begunBefore reports whether a request that is to be fed may have been begun before.
func (w *window) begunBefore(index int) bool {
	return index < w.maybeBegunBelow || w.maybeBegun.Has(index)
}

// older lists the requests in the queue or in workers' hands that were fed before a
// time.
func (w *window) older(than time.Time) (list []int) {
	for index, r := range w.out {
		if !r.parked && r.at.Before(than) {
			list = append(list, index)
		}
	}
	return list
}

// unfinished lists the requests that are out, or only those of them that are parked.
func (w *window) unfinished(onlyParked bool) (list []int) {
	for index, r := range w.out {
		if r.parked || !onlyParked {
			list = append(list, index)
		}
	}
	return list
}

// fedAt is when a request that is out was fed.
func (w *window) fedAt(index int) (at time.Time, ok bool) {
	r, ok := w.out[index]
	return r.at, ok
}

func (w *window) isOut(index int) bool    { _, ok := w.out[index]; return ok }
func (w *window) isParked(index int) bool { return w.out[index].parked }
func (w *window) has(index int) bool      { return w.isOut(index) || w.finished.Has(index) }

func (w *window) empty() bool         { return len(w.out) == 0 }
func (w *window) full(bound int) bool { return len(w.out) >= bound }

// inQueue is how many requests are in the queue or in workers' hands.
func (w *window) inQueue() int { return len(w.out) - w.waiting }

// parkHeap holds the parked requests of a job, the next to be ready first.
type parkHeap []waiter

type waiter struct {
	ready time.Time
	index int
}

func (h parkHeap) Len() int           { return len(h) }
func (h parkHeap) Less(i, j int) bool { return h[i].ready.Before(h[j].ready) }
func (h parkHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *parkHeap) Push(x any)        { *h = append(*h, x.(waiter)) }
func (h *parkHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
