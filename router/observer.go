package router

import "pelton/schema"

// Observer counts what a router does. Its methods are called in the middle of
// requests, concurrently, and must not block; what they are given is the
// request's own: they must neither keep nor change it.
type Observer interface {
	// Called is told of each call when it is over, with the group of its
	// deployment, and what its input and its output cost in USD, 0 where that
	// is unknown.
	Called(group string, a *schema.Attempt, input, output float64)

	// Retried is told of a failed call after which another is about to be made.
	Retried(failed *schema.Attempt)

	// LeftAlone is told that a deployment is left alone for a while from now on,
	// or for longer than before, and the class of the failure that decided it.
	LeftAlone(deployment string, class schema.Class)
}

// WithObserver sets who counts; the default is nobody.
func WithObserver(o Observer) Option { return func(s *settings) { s.observer = o } }

// observeRetry tells of the call that is to be made up for.
func (r *run) observeRetry() {
	if n := len(r.out.Attempts); r.observer != nil && n > 0 {
		r.observer.Retried(&r.out.Attempts[n-1])
	}
}

// observeCall tells of the last call.
func (r *run) observeCall(group string, input, output float64) {
	if r.observer != nil {
		r.observer.Called(group, &r.out.Attempts[len(r.out.Attempts)-1], input, output)
	}
}
