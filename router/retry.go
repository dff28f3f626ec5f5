package router

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// The back-off between attempts on one deployment, and the least time an
// attempt is worth starting for.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 8 * time.Second
	minAttempt  = 50 * time.Millisecond
)

// try is a deployment that this request has failed on.
type try struct {
	d        *deployment
	wildcard string    // of its model, where it takes many
	ready    time.Time // not before this
	dead     bool      // not again
}

// mark notes that this request has failed on d.
func (r *run) mark(s *stage, d *deployment, v judgement) {
	t := r.tryOf(d, s.wildcard)
	if t == nil {
		r.tried = append(r.tried, try{d: d, wildcard: s.wildcard})
		t = &r.tried[len(r.tried)-1]
	}
	t.dead = !v.retry
	if t.ready = r.now.Add(r.pause()); v.after > 0 {
		t.ready = r.now.Add(v.after) // then it is the cooldown that spreads the calls
	}
}

// tryOf returns what this request knows of d and a model; nil: nothing.
func (r *run) tryOf(d *deployment, wildcard string) *try {
	for i := range r.tried {
		if r.tried[i].d == d && (r.tried[i].wildcard == wildcard || !d.many()) {
			return &r.tried[i]
		}
	}
	return nil
}

// pause is how long to leave a deployment alone after the attempts so far:
// exponential with full jitter, so that the many who failed together do not
// come back together.
func (r *run) pause() time.Duration {
	ceiling := backoffCap
	if n := r.counted() - 1; n < 4 {
		ceiling = min(backoffBase<<max(n, 0), backoffCap)
	}
	return time.Duration(r.router.rand() * float64(ceiling))
}

// counted is how many attempts there were that count.
func (r *run) counted() int { return len(r.record.Attempts) - r.stale }

// tooLate says why there is no time for another attempt now; empty when there is.
func (r *run) tooLate(ctx context.Context) string {
	left := r.deadline.Sub(r.now)
	if parent, ok := ctx.Deadline(); ok {
		left = min(left, parent.Sub(r.now))
	}
	if left >= minAttempt {
		return ""
	}
	return fmt.Sprintf("not tried again: the request has %v left", round(max(left, 0)))
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// retries returns how often a request is tried again in a group whose last
// failure there was e at d.
func (r *Router) retries(g *group, d *deployment, e *schema.Error) int {
	if policy, ok := r.groupPolicy[g.name]; ok {
		if n := policy.of(e); n != nil {
			return *n
		}
	}
	if n := r.policy.of(e); n != nil {
		return *n
	}
	if d.NumRetries != nil {
		return *d.NumRetries
	}
	return r.numRetries
}

// retries is the router's, unless the request's body says otherwise.
func (r *run) retries(g *group, d *deployment, e *schema.Error) int {
	if n := r.asked.NumRetries; n != nil && r.router.policy.of(e) == nil && r.router.groupPolicy[g.name].of(e) == nil {
		return *n
	}
	return r.router.retries(g, d, e)
}

// maxRateLimited bounds how many answers of a request that said when to come back,
// and so cost no retry, there may be.
const maxRateLimited = 20

// failedOn notes a failure in a stage at d and what it says about trying again.
// It reports whether there is anything left to try.
func (r *run) failedOn(at int, d *deployment, v judgement) bool {
	e, s := v.err, &r.plan.stages[at]
	retries := r.retries(s.group, d, e)
	if e.Code == protocol.CodeUnsupported && e.StatusCode == 0 && r.passOver(s, d) {
		return true
	}
	switch e.Class {
	case schema.ClassTransient, schema.ClassUpstreamFatal:
	case schema.ClassRateLimited:
		if v.after > 0 || d.adapt.On() {
			if r.rateLimited++; r.rateLimited > maxRateLimited {
				return false
			}
			s.used-- // waiting is not an attempt
		}
	case schema.ClassContextWindow, schema.ClassContentPolicy, schema.ClassRequestFatal:
		if v.retry = r.router.policyRetries(s.group, e); !v.retry {
			return r.refusedBy(at, d, e.Class)
		}
	default:
		return false
	}
	if s.used++; s.used > retries {
		s.closed = true
		if e.Class == schema.ClassContentPolicy || e.Class == schema.ClassRequestFatal {
			return r.refusedBy(at, d, e.Class)
		}
	}
	r.mark(s, d, v)
	if r.router.maxAttempts > 0 && r.counted() >= r.router.maxAttempts {
		return false
	}
	if s.closed {
		r.plan.addFallbacks()
	}
	return r.plan.hasOpen(0)
}

// passOver goes past d, whose server has no place for a parameter of the request:
// nothing was sent. It reports whether another member of the group may carry it.
func (r *run) passOver(s *stage, d *deployment) bool {
	r.mark(s, d, judgement{})
	if !slices.ContainsFunc(s.pool, func(o *deployment) bool {
		t := r.tryOf(o, s.wildcard)
		return t == nil || !t.dead
	}) {
		return false
	}
	r.stale++ // it counts for nothing
	return true
}

// refusedBy goes on where a group refuses the request for what it is: to the
// groups that are meant for that, or else to the general fallbacks. It reports
// whether there is anything left to try.
func (r *run) refusedBy(at int, d *deployment, class schema.Class) bool {
	if r.router.maxAttempts > 0 && len(r.record.Attempts) >= r.router.maxAttempts {
		return false
	}
	switch class {
	case schema.ClassContextWindow:
		if r.plan.divert(at, r.router.contextFallbacks, r.asked.ContextWindow) {
			return true
		}
	case schema.ClassContentPolicy:
		if r.plan.divert(at, r.router.contentFallbacks, r.asked.ContentPolicy) {
			return true
		}
	}
	return r.plan.leave(at, d)
}

// policyRetries reports whether the configuration has a failure tried again that
// by itself would not be.
func (r *Router) policyRetries(g *group, e *schema.Error) bool {
	n := r.policy.of(e)
	if policy, ok := r.groupPolicy[g.name]; ok && policy.of(e) != nil {
		n = policy.of(e)
	}
	return n != nil && *n > 0
}

// replay notes the attempts that were made before the request was parked, as if
// they had been made now.
func (r *run) replay(earlier []schema.Attempt) {
	for _, a := range earlier {
		r.record.add(a)
		if a.Error != nil && a.Error.Code == schema.CodeStaleConnection {
			r.stale++
			continue
		}
		d := r.router.byID[a.Deployment]
		if d == nil || a.Error == nil { // of a configuration that is no more
			continue
		}
		stage := r.plan.stageOf(d, a.Model)
		if stage < 0 {
			r.plan.addFallbacks()
			if stage = r.plan.stageOf(d, a.Model); stage < 0 {
				continue
			}
		}
		v := judgement{err: a.Error, retry: a.Error.Class != schema.ClassUpstreamFatal}
		if a.Error.Class == schema.ClassRateLimited {
			v.after = 1 // it would hardly have been parked without a time
		}
		r.exhausted = !r.failedOn(stage, d, v)
		r.last = a.Error
	}
	for i := range r.tried {
		r.tried[i].ready = time.Time{} // the pauses are over
	}
}
