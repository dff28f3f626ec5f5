package jobs

import (
	"container/heap"
	"context"
	"time"

	"pelton/schema"
)

// parkList are the parked requests of a job, the next to be ready first.
type parkList []waiter

type waiter struct {
	at    time.Time
	index int
}

func (w parkList) Len() int           { return len(w) }
func (w parkList) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w parkList) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *parkList) Push(x any)        { *w = append(*w, x.(waiter)) }
func (w *parkList) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	*w = (*w)[:last]
	return x
}

// park notes that a request of the window waits. It stays in the window: parked
// plus fed never exceeds the job's concurrency.
func (j *owned) park(index int, readyAt time.Time) {
	fed, ok := j.window[index]
	if !ok || j.tally.done.Has(index) {
		return
	}
	if !fed.parked {
		fed.parked = true
		j.parked++
		j.window[index] = fed
	}
	heap.Push(&j.waiting, waiter{readyAt, index})
	j.setParkTimer()
}

// unpark takes the requests that are ready off the list, to be fed again.
func (j *owned) unpark(ctx context.Context, now time.Time) {
	for len(j.waiting) > 0 && !j.waiting[0].at.After(now) {
		index := heap.Pop(&j.waiting).(waiter).index
		fed, ok := j.window[index]
		if !ok || !fed.parked {
			continue // it has its result, or was heard of twice
		}
		j.b.Objects.DeleteBody(ctx, fed.object)
		j.forget(index, fed)
		j.again = append(j.again, index)
		j.returning.Add(index)
	}
	j.want()
	j.setParkTimer()
}

// setParkTimer makes the loop look again when the next request is ready.
func (j *owned) setParkTimer() {
	if len(j.waiting) == 0 {
		j.ready = nil
		return
	}
	j.ready = time.After(time.Until(j.waiting[0].at))
}

// readParked learns of the requests that an earlier owner knew to wait.
func (j *owned) readParked(ctx context.Context, present map[int]bool) error {
	of := func(index int) bool { return index < j.rec.Total && !j.tally.done.Has(index) && !present[index] }
	return j.b.Parked.Each(ctx, j.rec.Queue, j.rec.ID, of, func(index int, p *schema.Parked) {
		j.window[index] = fedRequest{at: time.Now()}
		j.park(index, p.ReadyAt)
	})
}
