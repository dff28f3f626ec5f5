package jobs

import (
	"slices"
	"sync"

	"pelton/internal/bitset"
)

// LocalWork is the work stream of an installation that is one process
// ([Settings.Alone]): requests go from the owner to the slots by hand. A stream
// in memory would remember no more of them than this does: both end with the
// process, and what was in them is fed again from the job and its results. It
// is safe for concurrent use.
//
// A job may have more requests here than it may have in flight: its owner feeds
// ahead, so that a slot need not wait for the store and the owner to have the
// next. LocalWork holds the bound itself.
type LocalWork struct {
	mu     sync.Mutex
	more   sync.Cond
	closed bool
	jobs   map[JobKey]*localJob
	line   []*localJob // a queue of those of which a request may start
}

// localJob is what is here of one job.
type localJob struct {
	ready   []*Work // a queue: ready[next:] waits
	next    int
	in      bitset.Set // waits, is in a slot, or is on its way to the store
	size    int        // of in
	running int
	limit   int  // of running
	plenty  int  // while so many wait, their owner need not hurry; 0: it always must
	lined   bool // is in the line
	key     JobKey

	stopped bool  // it has ended: what would be ahead of the bound does not wait any more
	dropped []int // which its owner has yet to hear of
}

// NewLocalWork returns the work of an installation that is this process, nil where
// there is a stream for it.
func NewLocalWork(b *Store) *LocalWork {
	if !b.Alone {
		return nil
	}
	l := newLocalWork()
	b.Cancels.OnAny(l.stop)
	return l
}

func newLocalWork() *LocalWork {
	l := &LocalWork{jobs: map[JobKey]*localJob{}}
	l.more.L = &l.mu
	return l
}

// put lets a request wait for a slot, unless it is here already. limit is how
// many of its job may be in slots at once, ahead how many more may be here.
func (l *LocalWork) put(w *Work, limit, ahead int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := JobKey{w.Queue, w.Job}
	j := l.jobs[key]
	if j == nil {
		j = &localJob{key: key}
		l.jobs[key] = j
	}
	j.limit, j.plenty = limit, ahead*3/4
	if j.stopped && !w.Again {
		j.dropped = append(j.dropped, w.Index)
		return
	}
	if !j.in.Add(w.Index) {
		return
	}
	j.size++
	w.home = j
	if j.next > 64 && j.next > len(j.ready)/2 {
		kept := copy(j.ready, j.ready[j.next:])
		clear(j.ready[kept:])
		j.ready, j.next = j.ready[:kept], 0
	}
	j.ready = append(j.ready, w)
	if l.enter(j) {
		l.more.Signal()
	}
}

// enter puts a job into the line if a request of it may start, unless it is there
// already. Called with mu held.
func (l *LocalWork) enter(j *localJob) bool {
	if j.lined || j.next == len(j.ready) || j.running >= j.limit {
		return false
	}
	j.lined = true
	l.line = append(l.line, j)
	return true
}

// Take waits for a request; false: no more are given out. last is what the
// caller's slot had before, nil for nothing: it makes no further call, and the
// next of its job may start, as a rule in the same slot. The caller gives every
// request back with [Owner.Settle].
func (l *LocalWork) Take(last *Work) (*Work, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last != nil { // its job may have left the table meanwhile, and come anew
		last.home.running--
		l.enter(last.home)
	}
	for {
		for len(l.line) == 0 && !l.closed {
			l.more.Wait()
		}
		if l.closed {
			return nil, false
		}
		j := l.line[0]
		l.line = slices.Delete(l.line, 0, 1)
		j.lined = false
		if j.next == len(j.ready) { // what waited was dropped
			continue
		}
		w := j.ready[j.next]
		j.ready[j.next] = nil
		j.next++
		j.running++
		if l.enter(j); len(l.line) > 0 {
			l.more.Signal() // for another slot
		}
		return w, true
	}
}

// done forgets a request: it is stored, or is to be fed again. It reports whether
// enough of its job's wait for the owner to take its time with the next.
func (l *LocalWork) done(w *Work) (plenty bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := w.home // which is in the table as long as a request of it is in hand
	l.forget(j, w.Index)
	return j.plenty > 0 && len(j.ready)-j.next >= j.plenty
}

func (l *LocalWork) forget(j *localJob, index int) {
	j.in.Remove(index)
	j.size--
	l.leave(j)
}

// leave takes a job of which nothing is left out of the table. That it was
// stopped is remembered until it is purged.
func (l *LocalWork) leave(j *localJob) {
	if j.size == 0 && !j.stopped && l.jobs[j.key] == j {
		delete(l.jobs, j.key)
	}
}

// Close gives out no more.
func (l *LocalWork) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.more.Broadcast()
}

// indexes lists the requests of a job that wait or are in hand.
func (l *LocalWork) indexes(key JobKey) map[int]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := map[int]bool{}
	if j := l.jobs[key]; j != nil {
		for index := range j.in.All() {
			list[index] = true
		}
	}
	return list
}

// stop is told that a job has ended, before its calls are: of what waits, only
// as much goes on to a slot as may be in flight, and what an earlier process may
// have begun. The rest has never been begun, nor is what is fed from now on.
func (l *LocalWork) stop(key JobKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j := l.jobs[key]; j != nil {
		j.stop()
	}
}

// recall stops a job and returns what has never been begun of what was fed.
func (l *LocalWork) recall(key JobKey) (dropped []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j := l.jobs[key]; j != nil {
		j.stop()
		dropped, j.dropped = j.dropped, nil
	}
	return dropped
}

func (j *localJob) stop() {
	j.stopped = true
	room := j.limit - j.running
	j.dropped = append(j.dropped, j.trim(func(k int, w *Work) bool { return k < room || w.Again })...)
}

// purge forgets a job, but for what is in slots or on its way to the store.
func (l *LocalWork) purge(key JobKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j := l.jobs[key]; j != nil {
		j.trim(func(int, *Work) bool { return false })
		j.stopped, j.dropped = false, nil
		l.leave(j)
	}
}

// trim takes the requests that wait out of the line, but those that are to stay,
// and returns their indexes. Called with mu held.
func (j *localJob) trim(stays func(k int, w *Work) bool) (dropped []int) {
	waiting := j.ready[j.next:]
	kept := waiting[:0]
	for k, w := range waiting {
		if stays(k, w) {
			kept = append(kept, w)
			continue
		}
		dropped = append(dropped, w.Index)
		j.in.Remove(w.Index)
		j.size--
	}
	clear(waiting[len(kept):])
	j.ready = j.ready[:j.next+len(kept)]
	return dropped
}
