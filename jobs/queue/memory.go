package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"pelton/internal/bitset"
	"pelton/jobs/store"
	"pelton/schema"
)

// Memory is the queue of an installation that is one process: requests go from the
// owner to the slots by hand. A stream in memory would remember no more of them than
// this does: both end with the process, and what was in them is fed again from the
// job and its results. It is safe for concurrent use.
//
// A job may have more requests here than it may have in flight: its owner feeds
// ahead, so that a slot need not wait for the store and the owner to have the
// next. Memory holds the bound itself.
type Memory struct {
	live *store.Live
	hard context.Context
	how  Taking
	wg   sync.WaitGroup // of the slots

	mu       sync.Mutex
	more     sync.Cond
	closed   bool
	jobs     map[store.JobKey]*memoryJob
	runnable []*memoryJob // a queue of the jobs of which a request may start
}

// memoryJob is what is here of one job.
type memoryJob struct {
	m          *Memory
	key        store.JobKey
	waiting    []*Item // a queue: waiting[next:]
	next       int
	in         bitset.Set   // waits, is in a slot, or is on its way to the store
	size       int          // of in
	answered   map[int]bool // those of in whose answers the store has not taken at once
	running    int
	bound      int  // of running
	backlogged int  // while so many wait, their owner need not hurry; 0: it always must
	queued     bool // it is in runnable

	stopped bool  // it has ended: what would be ahead of the bound does not wait any more
	dropped []int // of which its owner has yet to hear
}

// NewMemory returns the queue of a process that reaches the server alone.
func NewMemory(st *store.Store) *Memory {
	m := newMemory(st.Live)
	st.Cancels.OnAny(m.cancel)
	return m
}

func newMemory(live *store.Live) *Memory {
	m := &Memory{live: live, jobs: map[store.JobKey]*memoryJob{}}
	m.more.L = &m.mu
	return m
}

// What is fed ahead: at most so many requests beyond what may be in flight, so that
// a slot that has an answer begins the next call while that is being stored. What
// ends with the process is called again: so many answers more, at the most, than
// were in flight. The bodies of those take mostAheadBytes at the most, as far as
// the last few tell.
const (
	mostAhead      = 64
	mostAheadBytes = 16 << 20
)

// Ahead implements [Feeder].
func (m *Memory) Ahead(bound, bodyBytes int) int {
	return min(8*bound, mostAhead, mostAheadBytes/max(1, bodyBytes))
}

// Put implements [Feeder]. It never fails.
func (m *Memory) Put(_ context.Context, it *Item, bound, ahead int, _ func(int)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := it.JobKey()
	j := m.jobs[key]
	if j == nil {
		j = &memoryJob{m: m, key: key}
		m.jobs[key] = j
	}
	j.bound, j.backlogged = bound, ahead*3/4
	if j.stopped && !it.MaybeBegun {
		j.dropped = append(j.dropped, it.Index)
		return nil
	}
	if !j.in.Add(it.Index) {
		return nil
	}
	j.size++
	it.slot = j
	it.goesBy(m.live)
	if j.next > 64 && j.next > len(j.waiting)/2 {
		kept := copy(j.waiting, j.waiting[j.next:])
		clear(j.waiting[kept:])
		j.waiting, j.next = j.waiting[:kept], 0
	}
	j.waiting = append(j.waiting, it)
	if m.enqueue(j) {
		m.more.Signal()
	}
	return nil
}

// enqueue makes a job runnable if a request of it may start, unless it is already.
// Called with mu held.
func (m *Memory) enqueue(j *memoryJob) bool {
	if j.queued || j.next == len(j.waiting) || j.running >= j.bound {
		return false
	}
	j.queued = true
	m.runnable = append(m.runnable, j)
	return true
}

// take waits for a request; false: no more are given out. last is what the
// caller's slot had before, nil for nothing: it makes no further call, and the
// next of its job may start, as a rule in the same slot.
func (m *Memory) take(last *Item) (*Item, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last != nil { // its job may have left the table meanwhile, and come anew
		last.slot.running--
		m.enqueue(last.slot)
	}
	for {
		for len(m.runnable) == 0 && !m.closed {
			m.more.Wait()
		}
		if m.closed {
			return nil, false
		}
		j := m.runnable[0]
		m.runnable = slices.Delete(m.runnable, 0, 1)
		j.queued = false
		if j.next == len(j.waiting) { // what waited was dropped
			continue
		}
		it := j.waiting[j.next]
		j.waiting[j.next] = nil
		j.next++
		j.running++
		if m.enqueue(j); len(m.runnable) > 0 {
			m.more.Signal() // for another slot
		}
		return it, true
	}
}

// done forgets a request: it is stored, or is to be fed again. It reports whether
// enough of its job wait for the owner to take its time with the next.
func (m *Memory) done(it *Item) (backlogged bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := it.slot // which is in the table as long as a request of it is in hand
	j.in.Remove(it.Index)
	j.size--
	delete(j.answered, it.Index)
	m.forget(j)
	return j.backlogged > 0 && len(j.waiting)-j.next >= j.backlogged
}

// forget takes a job of which nothing is left out of the table. That it was
// stopped is remembered until it is purged. Called with mu held.
func (m *Memory) forget(j *memoryJob) {
	if j.size == 0 && !j.stopped && m.jobs[j.key] == j {
		delete(m.jobs, j.key)
	}
}

// Pending implements [Feeder]. Its memory is that of whoever reads it, and has no
// beginning.
func (m *Memory) Pending(_ context.Context, job store.JobKey) (map[int]bool, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	indexes := map[int]bool{}
	if j := m.jobs[job]; j != nil {
		for index := range j.in.All() {
			indexes[index] = true
		}
	}
	return indexes, time.Time{}, nil
}

// Held implements [Feeder].
func (m *Memory) Held(_ context.Context, job store.JobKey) (map[int]Hold, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := map[int]Hold{}
	j := m.jobs[job]
	if j == nil {
		return list, nil
	}
	for index := range j.in.All() {
		list[index] = HeldInCall
		if j.answered[index] {
			list[index] = HeldAnswered
		}
	}
	for _, it := range j.waiting[j.next:] {
		delete(list, it.Index)
	}
	return list, nil
}

// cancel is told that a job has ended, before its calls are: of what waits, only
// as much goes on to a slot as may be in flight, and what an earlier process may
// have begun. The rest has never been begun, nor is what is fed from now on.
func (m *Memory) cancel(key store.JobKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[key]; j != nil {
		j.stop()
	}
}

// Withdraw implements [Feeder].
func (m *Memory) Withdraw(job store.JobKey) (neverBegun []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[job]; j != nil {
		j.stop()
		neverBegun, j.dropped = j.dropped, nil
	}
	return neverBegun
}

func (j *memoryJob) stop() {
	j.stopped = true
	room := j.bound - j.running
	j.dropped = append(j.dropped, j.drop(func(k int, it *Item) bool { return k < room || it.MaybeBegun })...)
}

// Reclaim implements [Feeder]: nothing is held that nobody is given.
func (m *Memory) Reclaim(context.Context, store.JobKey, func(int, store.ResultMeta, bool) error) error {
	return nil
}

// Purge implements [Feeder]. What is in slots or on its way to the store stays
// until it is done.
func (m *Memory) Purge(_ context.Context, job store.JobKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[job]; j != nil {
		j.drop(func(int, *Item) bool { return false })
		j.stopped, j.dropped = false, nil
		m.forget(j)
	}
	return nil
}

// drop takes the requests that wait out of the queue, but those that are to stay,
// and returns their indexes. Called with mu held.
func (j *memoryJob) drop(stays func(k int, it *Item) bool) (dropped []int) {
	waiting := j.waiting[j.next:]
	kept := waiting[:0]
	for k, it := range waiting {
		if stays(k, it) {
			kept = append(kept, it)
			continue
		}
		dropped = append(dropped, it.Index)
		j.in.Remove(it.Index)
		j.size--
	}
	clear(waiting[len(kept):])
	j.waiting = j.waiting[:j.next+len(kept)]
	return dropped
}

// Start implements [Source]: every slot has a goroutine that takes what is fed.
// Queues and Paused are not needed: what is here was fed by this process, and a
// store that takes nothing lets the owner feed nothing.
func (m *Memory) Start(hard context.Context, how Taking) error {
	m.hard, m.how = hard, how
	for range how.Slots {
		m.wg.Go(func() {
			for it, ok := m.take(nil); ok; it, ok = m.take(it) {
				how.Handle((*memoryLease)(it))
			}
		})
	}
	return nil
}

// Stop implements [Source].
func (m *Memory) Stop() {
	m.mu.Lock()
	m.closed = true
	m.more.Broadcast()
	m.mu.Unlock()
	m.wg.Wait()
}

// memoryLease is an item in a slot; no memory of its own is needed for it.
type memoryLease Item

func (l *memoryLease) Context() context.Context { return l.slot.m.hard }
func (l *memoryLease) Item() *Item              { return (*Item)(l) }
func (l *memoryLease) Fresh() bool              { return !l.MaybeBegun }
func (l *memoryLease) Early() bool              { return true }

// Redelivered implements [Lease]: what a process had in hand ends with the queue.
func (l *memoryLease) Redelivered() bool { return false }

// Elsewhere implements [Lease]: there is no other process.
func (l *memoryLease) Elsewhere(context.Context) (bool, error) { return false, nil }

// Begin implements [Lease].
func (l *memoryLease) Begin() {}

// Answered implements [Lease].
func (l *memoryLease) Answered() {
	m := l.slot.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.slot.answered == nil {
		l.slot.answered = map[int]bool{}
	}
	l.slot.answered[l.Index] = true
}

func (l *memoryLease) Done(meta store.ResultMeta) {
	m, it := l.slot.m, (*Item)(l)
	backlogged := m.done(it)
	hurry := !backlogged || meta.Status != schema.StatusSucceeded || it.Listened()
	m.how.Stored(it.JobKey(), meta, hurry)
}

func (l *memoryLease) Return()  { l.slot.m.done((*Item)(l)) }
func (l *memoryLease) Discard() { l.Return() }
