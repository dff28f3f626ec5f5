package queue

import (
	"slices"
	"testing"

	"pelton/jobs/store"
)

func put(m *Memory, it *Item, bound, ahead int) {
	_ = m.Put(nil, it, bound, ahead, nil) //nolint:staticcheck // it needs no context
}

func pending(m *Memory, job store.JobKey) map[int]bool {
	indexes, _, _ := m.Pending(nil, job) //nolint:staticcheck // as above
	return indexes
}

// What was fed ahead waits for the bound of its job; jobs take turns.
func TestMemoryHoldsTheBound(t *testing.T) {
	l := newMemory(nil)
	for i := range 4 {
		put(l, &Item{Queue: "q", Job: "a", Index: i}, 2, 0)
		put(l, &Item{Queue: "q", Job: "a", Index: i}, 2, 0) // is there already
	}
	put(l, &Item{Queue: "q", Job: "b", Index: 0}, 1, 0)
	take := func(last *Item, job string, index int) *Item {
		t.Helper()
		w, ok := l.take(last)
		if !ok || w.Job != job || w.Index != index {
			t.Fatalf("took %+v, %t; want %s.%d", w, ok, job, index)
		}
		return w
	}
	waits := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.runnable) > 0
	}
	first := take(nil, "a", 0)
	take(nil, "b", 0)
	take(nil, "a", 1)
	if waits() {
		t.Error("a third request of a job that may have two at once")
	}
	take(first, "a", 2)
	if waits() {
		t.Error("one more than may be in slots")
	}
	// It is on its way to the store: it is not fed again meanwhile.
	if have := pending(l, store.JobKey{Queue: "q", ID: "a"}); len(have) != 4 || !have[0] {
		t.Errorf("here are %v", have)
	}
	l.done(first)
	if have := pending(l, store.JobKey{Queue: "q", ID: "a"}); len(have) != 3 || have[0] {
		t.Errorf("here are %v", have)
	}
	if got := l.Withdraw(store.JobKey{Queue: "q", ID: "a"}); !slices.Equal(got, []int{3}) {
		t.Errorf("dropped %v", got)
	}
	l.Stop()
	if _, ok := l.take(nil); ok {
		t.Error("given out after the end")
	}
}

// A job leaves the table when nothing of it is left, though a slot has yet to say
// that it is done: when it comes anew, its bound is whole.
func TestMemoryCountsAnew(t *testing.T) {
	l := newMemory(nil)
	put(l, &Item{Queue: "q", Job: "a", Index: 0}, 1, 0)
	first, _ := l.take(nil)
	l.done(first)
	put(l, &Item{Queue: "q", Job: "a", Index: 1}, 1, 0)
	put(l, &Item{Queue: "q", Job: "a", Index: 2}, 1, 0)
	if w, ok := l.take(first); !ok || w.Index != 1 {
		t.Errorf("took %+v", w)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.runnable) > 0 {
		t.Error("two at once of a job that may have one")
	}
}

// Of a job that has ended, as much goes on as may be in flight, and what may have
// been begun before; of what is fed later nothing does, until the job is purged.
func TestMemoryStops(t *testing.T) {
	l, key := newMemory(nil), store.JobKey{Queue: "q", ID: "a"}
	put := func(index int, again bool) {
		put(l, &Item{Queue: "q", Job: "a", Index: index, MaybeBegun: again}, 2, 9)
	}
	for i := range 5 {
		put(i, false)
	}
	put(5, true)
	w, _ := l.take(nil)
	l.cancel(key)
	put(6, false)
	put(7, true)
	if got := l.Withdraw(key); !slices.Equal(got, []int{2, 3, 4, 6}) {
		t.Errorf("dropped %v", got)
	}
	if got := l.Withdraw(key); got != nil {
		t.Errorf("dropped once more: %v", got)
	}
	for _, index := range []int{1, 5, 7} {
		l.done(w)
		if w, _ = l.take(w); w.Index != index {
			t.Errorf("took %d, want %d", w.Index, index)
		}
	}
	put(8, true)
	_ = l.Purge(t.Context(), key)
	l.done(w)
	if have := pending(l, store.JobKey{Queue: "q", ID: "a"}); len(have) != 0 || len(l.jobs) != 0 {
		t.Errorf("here are %v", have)
	}
	put(0, false)
	if w, ok := l.take(w); !ok || w.Index != 0 {
		t.Errorf("a job of the same name: took %+v", w)
	}
}

// A job that was stopped while all it had were in slots is still stopped when they
// have ended.
func TestMemoryStaysStopped(t *testing.T) {
	l, key := newMemory(nil), store.JobKey{Queue: "q", ID: "a"}
	put(l, &Item{Queue: "q", Job: "a", Index: 0}, 1, 0)
	w, _ := l.take(nil)
	l.cancel(key)
	l.done(w)
	put(l, &Item{Queue: "q", Job: "a", Index: 1}, 1, 0)
	if got := l.Withdraw(key); !slices.Equal(got, []int{1}) {
		t.Errorf("dropped %v", got)
	}
	_ = l.Purge(t.Context(), key)
	if len(l.jobs) != 0 {
		t.Error("remembered after it was purged")
	}
}

// While many of a job wait, its owner need not hurry; of one that has nothing fed
// ahead it always must.
func TestMemoryTellsWhenToHurry(t *testing.T) {
	for _, c := range []struct {
		ahead, waiting int
		plenty         bool
	}{{8, 7, true}, {8, 6, true}, {8, 5, false}, {8, 0, false}, {0, 7, false}} {
		l := newMemory(nil)
		for i := range c.waiting + 1 {
			put(l, &Item{Queue: "q", Job: "a", Index: i}, 1, c.ahead)
		}
		w, _ := l.take(nil)
		if got := l.done(w); got != c.plenty {
			t.Errorf("%d ahead, %d wait: %t", c.ahead, c.waiting, got)
		}
	}
}
