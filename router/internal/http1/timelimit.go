package http1

import (
	"context"
	"sync"
	"time"
)

// TimeLimit is what context.WithDeadlineCause returns, but cheaper: there is no
// timer, and the parent has no child, before somebody waits for its end. A call
// on a connection that keeps the deadline waits for the parent's end alone
// ([Patient]). It is safe for concurrent use; End must be called.
type TimeLimit struct {
	context.Context // the parent
	deadline        time.Time
	cause           error // of its end, when the deadline has passed

	mu     sync.Mutex
	real   context.Context // nil: nobody waits yet
	cancel context.CancelFunc
	over   bool
}

var _ Patient = (*TimeLimit)(nil)

// NewTimeLimit makes one that ends at the deadline with that cause, or when the
// parent does.
func NewTimeLimit(parent context.Context, deadline time.Time, cause error) *TimeLimit {
	l := new(TimeLimit)
	l.Begin(parent, deadline, cause)
	return l
}

// Begin is [NewTimeLimit] for a zero value that is there already.
func (l *TimeLimit) Begin(parent context.Context, deadline time.Time, cause error) {
	l.Context, l.deadline, l.cause = parent, deadline, cause
}

// OwnDeadline is when it ends if the parent does not before.
func (l *TimeLimit) OwnDeadline() time.Time { return l.deadline }

// OnCancel has f called once the parent ends: it is context.AfterFunc but for the
// deadline.
func (l *TimeLimit) OnCancel(f func()) (stop func() bool) {
	return context.AfterFunc(l.Context, f)
}

// Deadline is the parent's where that is earlier.
func (l *TimeLimit) Deadline() (time.Time, bool) {
	if earlier, ok := l.Context.Deadline(); ok && earlier.Before(l.deadline) {
		return earlier, true
	}
	return l.deadline, true
}

// Done is closed at the end, as of any context. It costs the timer.
func (l *TimeLimit) Done() <-chan struct{} { return l.made().Done() }

// Err is why it ended; nil: it has not.
func (l *TimeLimit) Err() error { return l.current().Err() }

// Value is also where context.Cause looks.
func (l *TimeLimit) Value(key any) any { return l.current().Value(key) }

// current is the context that answers for l now. It has ended as soon as the parent
// has, or the deadline has passed: a connection may end by either before the real
// context has been told, and then asks why.
func (l *TimeLimit) current() context.Context {
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

func (l *TimeLimit) made() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.makeReal()
}

// makeReal makes the context that has a timer. Called with mu held.
func (l *TimeLimit) makeReal() context.Context {
	if l.real == nil {
		l.real, l.cancel = context.WithDeadlineCause(l.Context, l.deadline, l.cause)
		if l.over {
			l.cancel()
		}
	}
	return l.real
}

// expired is a context that has ended at the deadline, once that has passed.
func (l *TimeLimit) expired() context.Context {
	ended, cancel := context.WithDeadlineCause(l.Context, l.deadline, l.cause)
	cancel() // too late to be its cause
	return ended
}

// End ends it, and gives up what it holds.
func (l *TimeLimit) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.cancel != nil {
		l.cancel()
	}
}
