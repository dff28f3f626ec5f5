package router

import (
	"context"
	"fmt"
	"time"
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

// mark notes that this request has failed on d.
func (r *run) mark(d *deployment, v judgement) {
	t := r.tryOf(d)
	if t == nil {
		r.tried = append(r.tried, try{d: d})
		t = &r.tried[len(r.tried)-1]
	}
	t.dead = !v.retry
	if t.ready = r.now.Add(r.pause()); v.after > 0 {
		t.ready = r.now.Add(v.after) // then it is the cooldown that spreads the calls
	}
}

// tryOf returns what this request knows of d; nil: nothing.
func (r *run) tryOf(d *deployment) *try {
	for i := range r.tried {
		if r.tried[i].d == d {
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
	if n := len(r.out.Attempts) - 1; n < 4 {
		ceiling = min(backoffBase<<max(n, 0), backoffCap)
	}
	return time.Duration(r.rand() * float64(ceiling))
}

// tooLate says why there is no time for another attempt now; empty when there is.
func (r *run) tooLate(ctx context.Context) string {
	left := r.deadline.Sub(r.now)
	if parent, ok := ctx.Deadline(); ok {
		left = min(left, parent.Sub(r.now))
	}
	if left >= floor {
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
