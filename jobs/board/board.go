// Package board knows how every job of an installation stands, for those who look
// often: it listens instead of asking.
package board

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/retry"
	"pelton/jobs/store"
	"pelton/schema"
)

// Board knows how every job of an installation stands, of all queues, for those
// who look often: it listens instead of asking. A job costs it some 1 KiB; it
// leaves the metadata out. It is safe for concurrent use.
type Board struct {
	st     *store.Store
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // closed when all has been read once

	mu      sync.Mutex
	jobs    map[string]*schema.State // by state key: those with a record
	waiting map[string]*waitingJobs  // by queue: those without
	sorted  []*schema.State          // newest first; nil: to be made
	err     error                    // why what is here may be old; nil: it is not
	change  chan struct{}            // closed with the next change
}

// The rhythm of a board.
const (
	lookForWaiting = 2 * time.Second
	readAnew       = 10 * time.Minute // records that aged out tell nobody
	pauseOfBoard   = time.Second      // after a failure
)

// Open begins to listen. The caller must call Close.
func Open(st *store.Store) *Board {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Board{st: st, cancel: cancel, done: make(chan struct{}), ready: make(chan struct{}),
		jobs: map[string]*schema.State{}, waiting: map[string]*waitingJobs{}, change: make(chan struct{})}
	go b.run(ctx)
	return b
}

// Close stops listening.
func (b *Board) Close() {
	b.cancel()
	<-b.done
}

// Changed returns a channel that is closed with the next change.
func (b *Board) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.change
}

// Wait returns when the board has read everything once, or why it cannot.
func (b *Board) Wait(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	default:
	}
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.err != nil {
			return b.err
		}
		return context.Cause(ctx)
	}
}

// changed tells those who wait. Called with mu held.
func (b *Board) changed() {
	close(b.change)
	b.change = make(chan struct{})
}

func (b *Board) run(ctx context.Context) {
	defer close(b.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	first := make(chan struct{}, 1)
	wg.Go(func() { b.watchWaiting(ctx, first) })
	for ctx.Err() == nil {
		err := b.watch(ctx, first)
		if ctx.Err() != nil {
			return
		}
		b.note(err)
		if err != nil {
			b.st.Log.Debug().Err(err).Msg("the states of jobs cannot be watched; trying again")
			_ = retry.Sleep(ctx, pauseOfBoard)
		}
	}
}

func (b *Board) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if (err == nil) != (b.err == nil) {
		defer b.changed()
	}
	b.err = err
}

// watch reads all records, then what changes, for a while.
func (b *Board) watch(ctx context.Context, first chan<- struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, readAnew)
	defer cancel()
	progress, deaf, err := b.st.Live.OnProgress("*", "*", 1024)
	if err != nil {
		return err
	}
	defer deaf()
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer cancel()
	hearing.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-progress:
				b.onProgress(m)
			}
		}
	})
	fresh := map[string]*schema.State{} // until all has been read: what is shown meanwhile is the last reading
	return b.st.Records.Watch(ctx, func(key string, rec *store.Record, err error) {
		if err != nil {
			b.st.Log.Warn().Err(err).Msg("a job is not shown")
			return
		}
		b.take(fresh, key, rec)
	}, func() {
		b.replace(fresh)
		fresh = nil
		select {
		case first <- struct{}{}:
		default:
		}
	})
}

// take enters one record, into fresh while that is being filled.
func (b *Board) take(fresh map[string]*schema.State, key string, rec *store.Record) {
	var state *schema.State
	if rec != nil {
		state = &rec.State
		state.Metadata = nil
	}
	if fresh != nil {
		if state == nil {
			delete(fresh, key)
		} else {
			fresh[key] = state
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(key, state)
}

// put changes one job; nil takes it out. Called with mu held.
func (b *Board) put(key string, state *schema.State) {
	_, known := b.jobs[key]
	if state == nil {
		delete(b.jobs, key)
	} else {
		b.jobs[key] = state
	}
	b.sorted = nil
	if state != nil || known {
		b.changed()
	}
}

func (b *Board) replace(jobs map[string]*schema.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs, b.sorted, b.err = jobs, nil, nil
	b.changed()
}

// hear takes a snapshot of a running job, which comes more often than its record
// is written. What the record says of its end stands.
func (b *Board) onProgress(m *nats.Msg) {
	at, ok := b.st.Names.Parse("progress", m.Subject)
	if !ok {
		return
	}
	state, err := schema.ParseState(m.Data)
	if err != nil {
		return
	}
	key := b.st.Names.StateKey(at.Queue, at.Job)
	b.mu.Lock()
	defer b.mu.Unlock()
	have := b.jobs[key]
	if have == nil || have.State.Final() || state.ID != at.Job || state.Queue != at.Queue {
		return
	}
	state.Metadata = nil
	b.put(key, state)
}

// JobFilter chooses among the jobs of a [Board]. The zero value is all.
type JobFilter struct {
	Queue  string
	States []schema.Phase
	ID     string // a part of the id
}

func (f JobFilter) matches(s *schema.State) bool {
	return (f.Queue == "" || s.Queue == f.Queue) && (len(f.States) == 0 || slices.Contains(f.States, s.State)) &&
		(f.ID == "" || strings.Contains(s.ID, f.ID) || strings.Contains(s.ExternalID, f.ID))
}

// Jobs returns up to limit of the jobs that match, newest first, from the one at
// offset on, and how many match. The states are shared: they must not be changed.
// Of very many jobs that wait, those behind the first [MostWaiting] of a queue
// are left out.
func (b *Board) Jobs(f JobFilter, offset, limit int) (page []*schema.State, matching int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sorted == nil {
		b.sort()
	}
	for _, s := range b.sorted {
		if !f.matches(s) {
			continue
		}
		if matching >= offset && len(page) < limit {
			page = append(page, s)
		}
		matching++
	}
	return page, matching
}

// Queues lists the queues that have jobs, by name.
func (b *Board) Queues() []string {
	var names []string
	for _, t := range b.Totals() {
		names = append(names, t.Queue)
	}
	return names
}

func (b *Board) sort() {
	b.sorted = make([]*schema.State, 0, len(b.jobs))
	for _, s := range b.jobs {
		b.sorted = append(b.sorted, s)
	}
	for _, w := range b.waiting {
		for _, job := range w.list {
			if b.jobs[b.st.Names.StateKey(job.state.Queue, job.state.ID)] == nil {
				b.sorted = append(b.sorted, job.state)
			}
		}
	}
	slices.SortFunc(b.sorted, func(a, b *schema.State) int {
		if n := b.CreatedAt.Compare(a.CreatedAt); n != 0 {
			return n
		}
		return strings.Compare(a.Queue+"."+a.ID, b.Queue+"."+b.ID)
	})
}

// QueueTotals is what the jobs of a queue come to.
type QueueTotals struct {
	Queue string
	Jobs  map[schema.Phase]int

	// Wanted is how many requests of live and queued jobs have no result yet.
	Wanted int

	// Oldest is when the oldest job was submitted of which nothing has begun;
	// zero: there is none.
	Oldest time.Time
}

// Totals sums the jobs up, by queue in the order of their names. The requests of
// jobs that wait behind the first [MostWaiting] of a queue are estimated.
func (b *Board) Totals() []QueueTotals {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sorted == nil {
		b.sort()
	}
	by := map[string]*QueueTotals{}
	of := func(queue string) *QueueTotals {
		if by[queue] == nil {
			by[queue] = &QueueTotals{Queue: queue, Jobs: map[schema.Phase]int{}}
		}
		return by[queue]
	}
	for _, s := range b.sorted {
		t := of(s.Queue)
		t.Jobs[s.State]++
		if s.State.Final() {
			continue
		}
		t.Wanted += max(0, s.Total-s.Counts.Stored())
		if s.Counts.Stored() == 0 && s.InFlight == 0 {
			t.Oldest = s.CreatedAt // they come newest first
		}
	}
	for queue, w := range b.waiting {
		t := of(queue)
		if len(w.list) == 0 || w.unread == 0 {
			continue
		}
		requests := 0
		for _, job := range w.list {
			requests += job.state.Total
		}
		t.Jobs[schema.Queued] += w.unread
		t.Wanted += w.unread * requests / len(w.list)
	}
	var list []QueueTotals
	for _, t := range by {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b QueueTotals) int { return strings.Compare(a.Queue, b.Queue) })
	return list
}

// Trouble returns why the board may show what is no longer so, nil when it does not.
func (b *Board) Trouble() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Job returns a job as the board knows it, nil where it does not. The state is
// shared: it must not be changed.
func (b *Board) Job(queue, id string) *schema.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.jobs[b.st.Names.StateKey(queue, id)]
}
