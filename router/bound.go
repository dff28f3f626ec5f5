package router

import (
	"cmp"
	"context"
	"sync"
	"time"

	"pelton/router/internal/ending"
	"pelton/router/internal/tally"
)

// limited returns the context of a call: it ends with the request's time, and with the
// attempt's where that is set, or known of the group. [call.unlimit] gives up what it
// holds.
func (r *run) limited(c *call, at choice) (ctx context.Context) {
	deadline, cause := r.deadline, r.cause
	limit := cmp.Or(r.req.AttemptTimeout, r.asked.Timeout, at.d.Timeout, r.router.timeout)
	known := limit > 0
	if c.learned = !known; c.learned {
		limit, known = r.plan.stages[at.stage].group.calls.Bound(r.now)
		limit <<= min(r.timeouts, 10)
	}
	if known && (!c.learned || !c.Streamed) {
		if until := r.now.Add(limit); until.Before(deadline) {
			c.up = ending.TimeUp{After: limit, Attempt: true}
			deadline, cause = until, &c.up
		}
	}
	c.limit.Begin(r.caller, deadline, cause)
	if known || c.Streamed {
		return &c.limit
	}
	ctx, c.watch = r.watch(&c.limit, at, "")
	return ctx
}

func (c *call) unlimit() {
	c.watch.end()
	c.limit.End()
}

// watched is a call of a group of which nothing was known when it began: what is
// learned meanwhile ends it.
type watched struct {
	calls    *tally.CallTimes
	began    time.Time
	timeouts int
	what     string
	cancel   context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (r *run) watch(ctx context.Context, at choice, what string) (context.Context, *watched) {
	w := &watched{calls: &r.plan.stages[at.stage].group.calls, began: r.now, timeouts: min(r.timeouts, 10), what: what}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(tally.LeastBound, w.look)
	return ctx, w
}

// look ends the call where it has taken too long by what is known now.
func (w *watched) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	now := time.Now()
	limit, _ := w.calls.Bound(now)
	limit <<= w.timeouts
	if left := limit - now.Sub(w.began); left > 0 {
		w.timer.Reset(min(left, tally.LeastBound))
		return
	}
	w.cancel(&ending.TimeUp{After: limit, Attempt: true, What: w.what})
}

// end gives up what a watched call holds; nil: it is not watched.
func (w *watched) end() {
	if w != nil {
		w.stop()
		w.cancel(nil)
	}
}

// stop ends the watching, not the call.
func (w *watched) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}
