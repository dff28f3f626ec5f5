package router

import (
	"cmp"
	"context"

	"pelton/router/internal/ending"
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
	c.watch.End()
	c.limit.End()
}

// watch has a call ended by what is learned of its group while it lasts.
func (r *run) watch(ctx context.Context, at choice, what string) (context.Context, *ending.Watch) {
	calls := &r.plan.stages[at.stage].group.calls
	return ending.NewWatch(ctx, calls, r.now, min(r.timeouts, 10), what)
}
