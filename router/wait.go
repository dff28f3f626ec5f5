package router

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pelton/router/internal/ending"
	"pelton/router/protocol"
	"pelton/schema"
)

// Park is where a request stands that must wait for longer than is worth
// keeping it in a worker.
type Park struct {
	ReadyAt time.Time     // when it is worth trying again
	Left    time.Duration // of the request's timeout, from now on
	Model   string        // that was asked for
	Cause   string        // in short, as [schema.Waiting] has it
	Reason  string
}

// NotReadyError means that nothing can take a request before ReadyAt.
// [Outcome.Err] gives it for requests that were parked, or that failed because
// they could not wait as long.
type NotReadyError struct {
	Model   string
	ReadyAt time.Time
	Reason  string
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("nothing can take a request for %q before %s: %s", e.Model, e.ReadyAt.UTC().Format(time.RFC3339), e.Reason)
}

// Code of failures of requests that could not wait as long as was needed.
const codeNotReady = "not_ready"

// pollEvery is how often a limiter is asked whose places may come free without our
// noticing.
const pollEvery = 100 * time.Millisecond

// minWait keeps a limiter whose clock is behind ours from being asked without
// end.
const minWait = 2 * time.Millisecond

// waitForSlot waits until a deployment has a place for the next attempt. It returns an
// outcome instead when there is none to wait for, or none in time.
func (r *run) waitForSlot(ctx context.Context) (choice, *Outcome) {
	c, b := choosing{r}.choose(ctx, r.now, nil)
	if b == nil {
		return c, nil
	}
	return r.waitInLine(ctx, b)
}

// waitInLine is waitForSlot for requests that must wait.
func (r *run) waitInLine(ctx context.Context, b *blocked) (choice, *Outcome) {
	began := r.now
	r.events.retry(len(r.record.Attempts)+1, b.ready)
	me := newWaiter()
	defer me.leave()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			out := r.record.end(ending.Waiting(context.Cause(ctx), b.reason), "")
			return choice{}, &out
		}
		if !b.waits() {
			out := r.failNoDeployment(b)
			return choice{}, &out
		}
		until := began.Add(r.router.shortWait)
		if r.req.NoPark {
			until = r.deadline.Add(-minAttempt)
			if parent, ok := ctx.Deadline(); ok && parent.Before(r.deadline) {
				until = parent.Add(-minAttempt)
			}
		}
		if at := r.parkAt(b, until); !at.IsZero() {
			out := r.park(ctx, at, b)
			return choice{}, &out
		}
		for _, l := range b.lines {
			me.join(l)
		}
		next := until
		if !b.ready.IsZero() && b.ready.Before(next) {
			next = b.ready
		}
		if b.pollLimiter {
			if at := r.now.Add(pollEvery + time.Duration(r.router.rand()*float64(pollEvery))); at.Before(next) {
				next = at
			}
		}
		timer.Reset(max(next.Sub(r.now), minWait))
		select {
		case <-timer.C:
		case <-me.wake:
		case <-ctx.Done():
		}
		r.now = time.Now()
		var c choice
		if c, b = (choosing{r}).choose(ctx, r.now, me); b == nil {
			return c, nil
		}
	}
}

// parkAt returns when the request is worth trying again, if it should not wait
// here for that; zero when it should, which it may until then.
func (r *run) parkAt(b *blocked, until time.Time) time.Time {
	ready := b.ready
	if !r.now.Before(until) { // it has waited long enough
		if b.unsure || !ready.After(r.now) { // or somebody else was quicker
			if at := r.now.Add(max(b.guess, minPark)); !ready.After(r.now) || at.Before(ready) {
				ready = at
			}
		}
		return ready
	}
	if b.unsure {
		if b.guess == 0 || r.req.NoPark {
			return time.Time{} // the line may move at any moment
		}
		if at := r.now.Add(b.guess); ready.IsZero() || at.Before(ready) {
			ready = at
		}
	}
	if ready.After(until) {
		return ready
	}
	return time.Time{}
}

// minPark is how long a request is parked at least that gave up its place in
// a line: it comes back to the end of it.
const minPark = time.Second

// park ends the stay of a request that would have to wait here for too long:
// parked, or failed where it must not be.
func (r *run) park(ctx context.Context, at time.Time, b *blocked) Outcome {
	wait := at.Sub(r.now)
	left := r.deadline.Sub(r.now)
	r.record.notReady = &NotReadyError{Model: r.plan.model, ReadyAt: at, Reason: b.reason}
	if !r.req.NoPark && left > minAttempt {
		// Those who park together should not come back together. One that has less time
		// than the wait waits as long as it can: somebody may take it before.
		at = at.Add(time.Duration(r.router.rand() * float64(min(wait/10, time.Second))))
		if at.After(r.deadline) {
			at = r.deadline
		}
		r.events.retry(len(r.record.Attempts)+1, at)
		out := r.record.Outcome
		out.Park = &Park{ReadyAt: at, Left: left, Model: r.plan.model, Cause: b.cause, Reason: b.reason}
		r.record.notReady.ReadyAt = at
		out.notReady = r.record.notReady
		return out
	}
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, deadline.Sub(r.now))
	}
	why := fmt.Sprintf("that is due in %v, and the request has %v left", round(wait), round(max(left, 0)))
	if r.last != nil {
		return r.record.end(r.last, "not tried again: "+why)
	}
	return r.record.end(&schema.Error{
		Class: b.class, Code: codeNotReady,
		Message: protocol.OneLine(fmt.Sprintf("nothing can take a request for %q now: %s; %s", r.plan.model, b.reason, why), protocol.MaxMessage),
	}, "")
}

// failNoDeployment ends a request that no deployment will take, now or later.
func (r *run) failNoDeployment(b *blocked) Outcome {
	switch {
	case r.last != nil:
		return r.record.end(r.last, "")
	case len(b.fatal) > 0 || b.broken:
		return r.record.end(&schema.Error{Class: schema.ClassUpstreamFatal, Code: schema.CodeNoDeployment, Message: r.whyNone(b)}, "")
	case b.tooLong > 0:
		e := &schema.Error{
			Class: schema.ClassContextWindow, Code: codeContext,
			Message: fmt.Sprintf("the request has about %d tokens, more than any deployment of %q reads (max_input_tokens)", r.size.Input(), r.plan.model),
		}
		return r.record.end(e, "")
	case b.untagged:
		return r.record.end(&schema.Error{
			Class: schema.ClassRequestFatal, Code: codeNoTag,
			Message: protocol.OneLine(fmt.Sprintf("no deployment of %q has any of the tags %s, and none the tag %s", r.plan.model, strings.Join(r.req.Tags, ", "), defaultTag), protocol.MaxMessage),
		}, "")
	case b.unserved:
		return r.record.end(&schema.Error{
			Class: schema.ClassRequestFatal, Code: codeNoEndpoint,
			Message: protocol.OneLine(fmt.Sprintf("no deployment of %q serves %s", r.plan.model, r.req.Endpoint), protocol.MaxMessage),
		}, "")
	}
	return r.record.end(&schema.Error{Class: schema.ClassInternal, Message: "no deployment is left"}, "")
}

// whyNone says which deployments are out for good, and why.
func (r *run) whyNone(b *blocked) string {
	var text strings.Builder
	fmt.Fprintf(&text, "no deployment of %q can serve:", r.plan.model)
	for i, o := range b.fatal {
		if i == 5 {
			fmt.Fprintf(&text, " and %d more", len(b.fatal)-i)
			break
		}
		fmt.Fprintf(&text, " %s (%s)", o.d.ID, o.d.outageReason(o.wildcard, r.req.Endpoint))
	}
	for _, s := range r.plan.stages {
		if s.group.unserved != "" {
			fmt.Fprintf(&text, " %s", s.group.unserved)
		}
	}
	return protocol.OneLine(text.String(), protocol.MaxMessage)
}

func (d *deployment) outageReason(model string, endpoint schema.Endpoint) string {
	if why := d.overBudget(time.Now()); why != "" {
		return why
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, scope := range d.scopes(nil, model, endpoint) {
		if o := d.outages[scope]; o != nil {
			return o.reason
		}
	}
	return "out"
}
