package router

import (
	"context"
	"sync"
	"time"

	"pelton/router/internal/http1"
)

// timeLimit is what context.WithDeadlineCause returns, but cheaper: there is no
// timer, and the parent has no child, before somebody waits for its end. A call
// on a connection that keeps the deadline waits for the parent's end alone
// ([http1.Patient]). It is safe for concurrent use; end must be called.
type timeLimit struct {
	context.Context // the parent
	deadline        time.Time
	cause           error // of its end, when the deadline has passed

	mu     sync.Mutex
	real   context.Context // nil: nobody waits yet
	cancel context.CancelFunc
	over   bool
}

var _ http1.Patient = (*timeLimit)(nil)

func newTimeLimit(parent context.Context, deadline time.Time, cause error) *timeLimit {
	return &timeLimit{Context: parent, deadline: deadline, cause: cause}
}

// OwnDeadline is when it ends if the parent does not before.
func (l *timeLimit) OwnDeadline() time.Time { return l.deadline }

// OnCancel has f called once the parent ends: it is context.AfterFunc but for the
// deadline.
func (l *timeLimit) OnCancel(f func()) (stop func() bool) {
	return context.AfterFunc(l.Context, f)
}

// Deadline is the parent's where that is earlier.
func (l *timeLimit) Deadline() (time.Time, bool) {
	if earlier, ok := l.Context.Deadline(); ok && earlier.Before(l.deadline) {
		return earlier, true
	}
	return l.deadline, true
}

func (l *timeLimit) Done() <-chan struct{} { return l.made().Done() }

func (l *timeLimit) Err() error { return l.current().Err() }

// Value is also where context.Cause looks.
func (l *timeLimit) Value(key any) any { return l.current().Value(key) }

// current is the context that answers for l now. It has ended as soon as the parent
// has, or the deadline has passed: a connection may end by either before the real
// context has been told, and then asks why.
func (l *timeLimit) current() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over, l.real != nil && l.real.Err() != nil:
		return l.makeReal()
	case l.Context.Err() != nil:
		return l.Context
	case !time.Now().Before(l.deadline):
		return l.expired()
	case l.real != nil:
		return l.real
	}
	return l.Context
}

func (l *timeLimit) made() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.makeReal()
}

// makeReal makes the context that has a timer. Called with mu held.
func (l *timeLimit) makeReal() context.Context {
	if l.real == nil {
		l.real, l.cancel = context.WithDeadlineCause(l.Context, l.deadline, l.cause)
		if l.over {
			l.cancel()
		}
	}
	return l.real
}

// expired is a context that has ended at the deadline, once that has passed.
func (l *timeLimit) expired() context.Context {
	ended, cancel := context.WithDeadlineCause(l.Context, l.deadline, l.cause)
	cancel() // too late to be its cause
	return ended
}

// end ends it, and gives up what it holds.
func (l *timeLimit) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.cancel != nil {
		l.cancel()
	}
}
