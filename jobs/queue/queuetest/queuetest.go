// Package queuetest is the suite that every queue of pelton/jobs/queue passes.
// Whoever changes a queue extends it.
package queuetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// Name is the queue that the suite uses. It has a cap of at least 8.
const Name = "default"

// Exercise runs the suite. open returns an empty queue that ends with its test.
func Exercise(t *testing.T, open func(t *testing.T) queue.Queue) {
	for name, run := range map[string]func(t *testing.T, b *bench){
		"a request comes as it was put in":            asPutIn,
		"a large body comes whole":                    largeBody,
		"what may have been begun is not fresh":       notFresh,
		"a request is held once":                      heldOnce,
		"pending is what waits and what is in slots":  pendingIsAll,
		"held is what is begun, until it is done":     heldIsBegun,
		"what is done is told, and gone":              doneIsTold,
		"what is discarded is gone without a word":    discarded,
		"what is returned comes again, or is missed":  returned,
		"what is purged does not come":                purged,
		"each is given out or withdrawn":              withdrawn,
		"a job that was purged may be fed again":      fedAgain,
		"jobs of one queue share the slots":           shared,
		"no more are out than there are slots":        slotsHold,
		"a stop waits for what is in slots":           stopWaits,
		"a hard stop ends the leases":                 hardStop,
		"nothing is reclaimed that is held as it was": nothingReclaimed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			t.Cleanup(cancel)
			b := &bench{t: t, ctx: ctx, q: open(t), hands: make(chan *hand, 64)}
			run(t, b)
			b.stop()
		})
	}
}

func asPutIn(t *testing.T, b *bench) {
	want := &queue.Item{
		Job: "a", Index: 7, CustomID: "ö % \n", Endpoint: schema.Embeddings, Include: true,
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tags: []string{"free", "eu"}, Body: []byte(`{"model": "m" }`),
	}
	// What a queue held when it was started need not be fresh: the first is not asked.
	b.put("a", 0)
	b.start(1)
	b.finish(b.take())
	b.putItem(want)
	h := b.take()
	defer b.finish(h)
	if !h.Fresh() {
		t.Error("a request that was never given out is not fresh")
	}
	if h.Context().Err() != nil {
		t.Error("its context has ended")
	}
	if diff := cmp.Diff(want, h.item, cmpopts.IgnoreUnexported(queue.Item{}), cmpopts.EquateApproxTime(time.Millisecond)); diff != "" {
		t.Error(diff)
	}
}

func largeBody(t *testing.T, b *bench) {
	body := append(append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 3<<20)...), `"}`...)
	b.putItem(&queue.Item{Job: "a", Body: body})
	b.start(1)
	h := b.take()
	defer b.finish(h)
	if !bytes.Equal(h.item.Body, body) {
		t.Errorf("%d of %d bytes", len(h.item.Body), len(body))
	}
}

func notFresh(t *testing.T, b *bench) {
	b.putItem(&queue.Item{Job: "a", MaybeBegun: true})
	b.start(1)
	h := b.take()
	defer b.finish(h)
	if h.Fresh() || !h.item.MaybeBegun {
		t.Error("a request that may have been begun is fresh")
	}
}

func heldOnce(t *testing.T, b *bench) {
	b.put("a", 0, 0, 0)
	b.start(4)
	h := b.take()
	b.put("a", 0) // while it is in a slot
	b.put("a", 1)
	other := b.take()
	if other.item.Index != 1 {
		t.Errorf("request %d came twice", other.item.Index)
	}
	b.finish(h)
	b.finish(other)
	b.await("a")
}

func pendingIsAll(t *testing.T, b *bench) {
	b.await("a")
	b.put("a", 0, 3, 5)
	b.put("b", 1)
	b.await("a", 0, 3, 5)
	b.start(1)
	h := b.take()
	b.await("a", 0, 3, 5)
	b.await("b", 1)
	b.finish(h)
	for range 3 {
		b.finish(b.take())
	}
	b.await("a")
	b.await("b")
	if _, since, err := b.q.Pending(b.ctx, job("a")); err != nil || since.After(time.Now()) {
		t.Errorf("%v, %v", since, err)
	}
}

func heldIsBegun(t *testing.T, b *bench) {
	held := func() map[int]queue.Hold {
		for {
			list, err := b.q.Held(b.ctx, job("a"))
			if err == nil {
				return list
			}
			if !errors.Is(err, queue.ErrUnsettled) || b.ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	b.put("a", 0, 1)
	b.putItem(&queue.Item{Job: "b", MaybeBegun: true})
	b.start(1)
	h := b.take()
	if other, err := h.Elsewhere(b.ctx); other && err == nil {
		t.Error("it is said to be begun elsewhere")
	}
	h.Begin()
	if got := held(); got[h.item.Index] != queue.HeldInCall || len(got) != 1 || h.item.Job != "a" {
		t.Errorf("request %d of job %s is begun; held of a are %v", h.item.Index, h.item.Job, got)
	}
	h.Answered()
	if got := held(); got[h.item.Index] != queue.HeldAnswered {
		t.Errorf("request %d is answered; held are %v", h.item.Index, got)
	}
	b.finish(h)
	for range 2 {
		b.finish(b.take())
	}
	b.await("a")
	if got := held(); len(got) != 0 {
		t.Errorf("%v are held when all is done", got)
	}
}

func doneIsTold(t *testing.T, b *bench) {
	b.put("a", 0, 1, 2)
	b.start(2)
	for range 3 {
		b.finish(b.take())
	}
	b.await("a")
	b.stop()
	if slices.Sort(b.stored); !slices.Equal(b.stored, []int{0, 1, 2}) {
		t.Errorf("told of %v", b.stored)
	}
}

func discarded(t *testing.T, b *bench) {
	b.put("a", 0)
	b.start(1)
	h := b.take()
	h.Discard()
	h.free()
	b.await("a")
	b.stop()
	if len(b.stored) != 0 {
		t.Errorf("told of %v", b.stored)
	}
}

func returned(t *testing.T, b *bench) {
	b.put("a", 0)
	b.start(1)
	h := b.take()
	h.Return()
	h.free()
	for again := (*hand)(nil); again == nil; {
		select {
		case again = <-b.hands:
			if again.item.Index != 0 || again.Fresh() {
				t.Errorf("request %d came, fresh: %t", again.item.Index, again.Fresh())
			}
			b.finish(again)
		default:
			indexes, _, err := b.q.Pending(b.ctx, job("a"))
			if err != nil {
				t.Fatal(err)
			}
			if !indexes[0] { // the owner sees that, and feeds it again
				b.putItem(&queue.Item{Job: "a", MaybeBegun: true})
			}
		}
	}
	b.await("a")
}

func purged(t *testing.T, b *bench) {
	b.put("a", 0, 1)
	b.put("b", 0)
	b.await("a", 0, 1)
	if err := b.q.Purge(b.ctx, job("a")); err != nil {
		t.Fatal(err)
	}
	b.await("a")
	b.await("b", 0)
	b.start(4)
	h := b.take()
	if h.item.Job != "b" {
		t.Errorf("request %d of job %s came", h.item.Index, h.item.Job)
	}
	b.finish(h)
	b.await("b")
}

func withdrawn(t *testing.T, b *bench) {
	b.put("a", 0, 1, 2, 3)
	b.start(1)
	h := b.take()
	withdrawn := b.q.Withdraw(job("a"))
	given := []int{h.item.Index}
	b.finish(h)
	for len(given)+len(withdrawn) < 4 {
		h := b.take()
		given = append(given, h.item.Index)
		b.finish(h)
	}
	all := append(given, withdrawn...)
	if slices.Sort(all); !slices.Equal(all, []int{0, 1, 2, 3}) {
		t.Errorf("given out %v, withdrawn %v", given, withdrawn)
	}
	b.await("a")
}

func fedAgain(t *testing.T, b *bench) {
	b.put("a", 0)
	b.await("a", 0)
	b.q.Withdraw(job("a"))
	if err := b.q.Purge(b.ctx, job("a")); err != nil {
		t.Fatal(err)
	}
	b.put("a", 0, 1)
	b.await("a", 0, 1)
	b.start(2)
	b.finish(b.take())
	b.finish(b.take())
	b.await("a")
}

func shared(t *testing.T, b *bench) {
	b.put("a", 0, 1)
	b.put("b", 0, 1)
	b.start(4)
	seen := map[string]int{}
	var held []*hand
	for range 4 {
		h := b.take()
		seen[h.item.Key()]++
		held = append(held, h)
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
	for _, h := range held {
		b.finish(h)
	}
	b.await("a")
	b.await("b")
}

func slotsHold(t *testing.T, b *bench) {
	b.put("a", 0, 1, 2, 3, 4)
	b.start(2)
	out := map[*hand]bool{}
	for n := 0; n < 5; {
		if len(out) == 2 {
			for h := range out {
				delete(out, h)
				b.finish(h)
				break
			}
		}
		out[b.take()] = true
		n++
		if len(b.hands) > 2-len(out) {
			t.Errorf("%d are out, and %d more; there are 2 slots", len(out), len(b.hands))
		}
	}
	for h := range out {
		b.finish(h)
	}
	b.await("a")
}

func stopWaits(t *testing.T, b *bench) {
	b.put("a", 0)
	b.start(1)
	h := b.take()
	b.put("a", 1)
	b.await("a", 0, 1)
	stopped := make(chan struct{})
	go func() {
		b.q.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("stopped while a request was in a slot")
	default:
	}
	b.finish(h)
	select {
	case <-stopped:
	case other := <-b.hands: // it had a slot before the stop was heard
		b.finish(other)
		<-stopped
	}
	b.stopped = true
	b.kill()
	if len(b.hands) != 0 {
		t.Error("given out after the stop")
	}
}

func hardStop(t *testing.T, b *bench) {
	b.put("a", 0)
	b.start(1)
	h := b.take()
	b.kill()
	select {
	case <-h.Context().Done():
	case <-b.ctx.Done():
		t.Error("the lease goes on")
	}
	h.Return()
	h.free()
}

func nothingReclaimed(t *testing.T, b *bench) {
	b.put("a", 0, 1)
	b.start(1)
	h := b.take()
	if err := b.q.Reclaim(b.ctx, job("a"), func(index int, _ store.ResultMeta, _ bool) error {
		t.Errorf("request %d was reclaimed", index)
		return nil
	}); err != nil {
		t.Error(err)
	}
	b.finish(h)
	b.finish(b.take())
	b.await("a")
}
