package router

import (
	"net/http"

	"pelton/schema"
)

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

// observeRetry reports the call that is to be made up for.
func (r *Router) observeRetry(of *record) {
	if n := len(of.Attempts); r.observer != nil && n > 0 {
		r.observer.Retried(&of.Attempts[n-1])
	}
}

// observeCall reports the last call.
func (r *Router) observeCall(of *record, group string, input, output float64) {
	if r.observer != nil {
		r.observer.Called(group, &of.Attempts[len(of.Attempts)-1], input, output)
	}
}

// Trace follows the calls of one request: see [Request.Trace]. Its methods are
// called by the goroutine that called Do.
type Trace interface {
	// Call is told of a call just before it is made: the deployment, and the
	// model's name there. The headers that it returns go with the call, in the
	// place of [Request.Header]. ended, which must not be nil, is called once,
	// when the call is over, with its record and the answer, nil when none came.
	Call(d DeploymentInfo, model string) (header http.Header, ended func(schema.Attempt, *schema.Response))
}

// trace tells the request's trace, where it has one, of a call to d.
func (r *run) trace(d *deployment, model string) (ended func(schema.Attempt, *schema.Response)) {
	r.header = r.req.Header
	if r.req.Trace != nil {
		r.header, ended = r.req.Trace.Call(d.info(), model)
	}
	return ended
}
