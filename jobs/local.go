package jobs

import (
	"sync"
)

// LocalWork is the work stream of an installation that is one process
// ([Settings.Alone]): requests go from the owner to the slots by hand. A stream
// in memory would remember no more of them than this does: both end with the
// process, and what was in them is fed again from the job and its results. It
// is safe for concurrent use.
type LocalWork struct {
	mu     sync.Mutex
	more   sync.Cond
	closed bool
	ready  []*Work // a queue: ready[next:] waits
	next   int
	in     map[workKey]bool
}

type workKey struct {
	queue, job string
	index      int
}

func newLocalWork() *LocalWork {
	l := &LocalWork{in: map[workKey]bool{}}
	l.more.L = &l.mu
	return l
}

// Local returns the work of this process, nil where there is a stream for it.
func (b *Broker) Local() *LocalWork { return b.local }

// put lets a request wait for a slot; false: it does already, or is in one.
func (l *LocalWork) put(w *Work) bool {
	key := workKey{w.Queue, w.Job, w.Index}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.in[key] {
		return false
	}
	l.in[key] = true
	if l.next > 64 && l.next > len(l.ready)/2 {
		l.ready = l.ready[:copy(l.ready, l.ready[l.next:])]
		l.next = 0
	}
	l.ready = append(l.ready, w)
	l.more.Signal()
	return true
}

// Take waits for a request; false: no more are given out. The caller gives it
// back with [LocalWork.Done].
func (l *LocalWork) Take() (*Work, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.next == len(l.ready) && !l.closed {
		l.more.Wait()
	}
	if l.closed {
		return nil, false
	}
	w := l.ready[l.next]
	l.ready[l.next] = nil
	l.next++
	return w, true
}

// Done forgets a request: it is stored, or is to be fed again.
func (l *LocalWork) Done(w *Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.in, workKey{w.Queue, w.Job, w.Index})
}

// Close gives out no more.
func (l *LocalWork) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.more.Broadcast()
}

// indexes lists the requests of a job that wait or are in hand.
func (l *LocalWork) indexes(queue, job string) map[int]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := map[int]bool{}
	for key := range l.in {
		if key.queue == queue && key.job == job {
			list[key.index] = true
		}
	}
	return list
}

// drop takes the requests of a job that wait out of the line.
func (l *LocalWork) drop(queue, job string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.ready[:0]
	for _, w := range l.ready[l.next:] {
		if w.Queue == queue && w.Job == job {
			delete(l.in, workKey{w.Queue, w.Job, w.Index})
			continue
		}
		kept = append(kept, w)
	}
	clear(l.ready[len(kept):])
	l.ready, l.next = kept, 0
}
