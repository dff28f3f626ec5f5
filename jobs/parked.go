package jobs

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// Park stores that a request has to wait, so that it can give its slot and its
// place under the queue's cap back. The returned outcome is the word for the
// job's owner, which feeds it again at its ready time.
func (b *Broker) Park(ctx context.Context, w *Work, p *schema.Parked) (Outcome, error) {
	if err := b.putParked(ctx, w, p); err != nil {
		return Outcome{}, err
	}
	return Outcome{Index: w.Index, Status: schema.StatusParked, ReadyAt: p.ReadyAt}, nil
}

// ParkedOf returns what is known of a request's earlier attempts and starts, nil
// for nothing.
func (b *Broker) ParkedOf(ctx context.Context, queue, job string, index int) (*schema.Parked, error) {
	m, err := b.lastMsg(ctx, b.names.ParkedStream(), b.names.Parked(queue, job, index))
	if m == nil || err != nil {
		return nil, err
	}
	return schema.ParseParked(m.Data)
}

func (b *Broker) purgeParked(ctx context.Context, queue, job string) error {
	return b.purge(ctx, b.names.ParkedStream(), b.names.ParkedOf(queue, job))
}

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
		j.b.dropBody(ctx, fed.object)
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
	t := j.b.newTail(j.b.names.ParkedStream(), j.b.names.ParkedOf(j.rec.Queue, j.rec.ID), 0, false)
	return t.history(ctx, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		at, ok := j.b.names.Parse("parked", m.Subject())
		if !ok || at.Index >= j.rec.Total || j.tally.done.Has(at.Index) || present[at.Index] {
			return nil
		}
		p, err := schema.ParseParked(m.Data())
		if err != nil {
			return fmt.Errorf("%s: %w", m.Subject(), err)
		}
		j.window[at.Index] = fedRequest{at: time.Now()}
		j.park(at.Index, p.ReadyAt)
		return nil
	})
}

// readyHeader writes an outcome's ready time, and parseReady reads it.
func readyHeader(h headerSetter, t time.Time) {
	if !t.IsZero() {
		h.Set(schema.HeaderReady, t.UTC().Format(time.RFC3339Nano))
	}
}

func parseReady(h nats.Header) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, h.Get(schema.HeaderReady))
	return t
}
