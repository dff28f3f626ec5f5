package queuetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// bench is a queue with a worker whose slots the test holds.
type bench struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // that of one test
	q     queue.Queue
	hands chan *hand
	kill  context.CancelFunc

	ended   atomic.Bool
	mu      sync.Mutex
	stored  []int
	stopped bool
}

// hand is a slot that holds a request until it is freed.
type hand struct {
	queue.Lease
	item *queue.Item
	free func()
}

func job(id string) store.JobKey { return store.JobKey{Queue: Name, ID: id} }

// put puts requests of a job in, as its owner would.
func (b *bench) put(id string, indexes ...int) {
	b.t.Helper()
	for _, index := range indexes {
		b.putItem(&queue.Item{Job: id, Index: index})
	}
}

func (b *bench) putItem(it *queue.Item) {
	b.t.Helper()
	now := time.Now()
	it.Queue, it.Total, it.Timeout, it.FedAt = Name, 100, time.Minute, now
	it.QueuedAt, it.Deadline = now.UTC(), now.Add(time.Hour).UTC()
	if it.Body == nil {
		it.Body = fmt.Appendf(nil, `{"n":%d}`, it.Index)
	}
	lost := func(index int) {
		if !b.ended.Load() { // the answer to a put may come after all else is done
			b.t.Errorf("request %d was not put in", index)
		}
	}
	if err := b.q.Put(b.ctx, it, 8, 8, lost); err != nil {
		b.t.Fatal(err)
	}
}

// start begins to take requests into so many slots.
func (b *bench) start(slots int) {
	b.t.Helper()
	var hard context.Context
	hard, b.kill = context.WithCancel(context.Background())
	err := b.q.Start(hard, queue.Taking{
		Queues: map[string]int{Name: 64}, Slots: slots,
		Handle: func(l queue.Lease) {
			it := l.Item()
			if it == nil {
				return
			}
			freed := make(chan struct{})
			b.hands <- &hand{l, it, sync.OnceFunc(func() { close(freed) })}
			<-freed
		},
		Stored: func(_ store.JobKey, meta store.ResultMeta, _ bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.stored = append(b.stored, meta.Index)
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// stop stops, and frees what is held meanwhile.
func (b *bench) stop() {
	b.ended.Store(true)
	if b.kill == nil || b.stopped {
		return
	}
	b.stopped = true
	done := make(chan struct{})
	go func() {
		b.q.Stop()
		close(done)
	}()
	for {
		select {
		case h := <-b.hands:
			h.Return()
			h.free()
		case <-done:
			b.kill()
			return
		}
	}
}

// take waits for the next request in a slot.
func (b *bench) take() *hand {
	b.t.Helper()
	select {
	case h := <-b.hands:
		return h
	case <-b.ctx.Done():
		b.t.Fatal("no request came")
		return nil
	}
}

func (b *bench) finish(h *hand) {
	h.Done(store.ResultMeta{Index: h.item.Index, Status: schema.StatusSucceeded})
	h.free()
}

// await waits until so many requests of a job are pending, and returns which.
func (b *bench) await(id string, want ...int) {
	b.t.Helper()
	for {
		indexes, _, err := b.q.Pending(b.ctx, job(id))
		if err != nil {
			b.t.Fatalf("%v are pending, want %v: %v", indexes, want, err)
		}
		have := []int{}
		for index := range indexes {
			have = append(have, index)
		}
		slices.Sort(have)
		if slices.Equal(have, append([]int{}, want...)) {
			return
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("%v are pending, want %v", have, want)
		}
	}
}
