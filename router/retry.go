package router

import (
	"context"
	"fmt"
	"time"

	"pelton/schema"
)

// The back-off between attempts on one deployment, and the least time an
// attempt is worth starting for.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 8 * time.Second
	floor       = 50 * time.Millisecond
)

// try is a deployment that this request has failed on.
type try struct {
	d     *deployment
	ready time.Time // not before this
	dead  bool      // not again
}

// failedOn notes what a failure on d says about trying again. It returns false
// when no deployment of the group would do better.
func (r *run) failedOn(d *deployment, v verdict) bool {
	switch v.err.Class {
	case schema.ClassTransient, schema.ClassRateLimited, schema.ClassUpstreamFatal:
	default:
		return false
	}
	t := try{d: d, dead: !v.retry, ready: time.Now().Add(r.pause(v.after))}
	for i := range r.tried {
		if r.tried[i].d == d {
			r.tried[i] = t
			return true
		}
	}
	r.tried = append(r.tried, t)
	return true
}

// pause is how long to leave a deployment alone after the attempts so far:
// exponential with full jitter, so that the many who failed together do not
// come back together, and on top of what the server asked for.
func (r *run) pause(asked time.Duration) time.Duration {
	ceiling := backoffCap
	if n := len(r.out.Attempts) - 1; n < 4 {
		ceiling = min(backoffBase<<n, backoffCap)
	}
	return asked + time.Duration(r.rand()*float64(ceiling))
}

// next chooses the deployment for the next attempt and how long to wait before
// it: one that this request has not failed on at once, else the one that is
// ready first. nil means that none is left.
func (r *run) next() (*deployment, time.Duration) {
	members := r.group.members
	if fresh := len(members) - len(r.tried); fresh > 0 {
		n := 0
		if fresh > 1 {
			n = int(r.rand() * float64(fresh))
		}
		for _, d := range members {
			if r.hasTried(d) {
				continue
			}
			if n == 0 {
				return d, 0
			}
			n--
		}
	}
	var best *try
	for i := range r.tried {
		if t := &r.tried[i]; !t.dead && (best == nil || t.ready.Before(best.ready)) {
			best = t
		}
	}
	if best == nil {
		return nil, 0
	}
	return best.d, max(time.Until(best.ready), 0)
}

func (r *run) hasTried(d *deployment) bool {
	for i := range r.tried {
		if r.tried[i].d == d {
			return true
		}
	}
	return false
}

// tooLate says why there is no time for another attempt after wait; empty when
// there is.
func tooLate(ctx context.Context, wait time.Duration) string {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ""
	}
	left := time.Until(deadline)
	switch {
	case wait+floor <= left:
		return ""
	case wait > 0:
		return fmt.Sprintf("not tried again: that is due in %v, and the request has %v left", round(wait), round(max(left, 0)))
	default:
		return fmt.Sprintf("not tried again: the request has %v left", round(max(left, 0)))
	}
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// sleep waits for d, or until ctx ends and then reports false.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
