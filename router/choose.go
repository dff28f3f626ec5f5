package router

import (
	"cmp"
	"context"
	"errors"
	"time"

	"pelton/schema"
)

// choice is where the next attempt goes.
type choice struct {
	d     *deployment
	stage int // in the plan
	slot  slot
}

// blocked is why nothing takes a request now, and what it may wait for.
type blocked struct {
	ready       time.Time     // when the first of all that have a time is worth asking; zero: none has
	lines       []line        // that are worth standing in
	pollLimiter bool          // somebody else's limiter may have room without our noticing
	guess       time.Duration // how long the shortest line may take; 0: unknown
	unsure      bool          // one of the lines has no time
	reason      string        // of the one that is ready first
	cause       string        // the same in short
	class       schema.Class  // and as what a request fails that cannot wait
	fatal       []out         // that cannot serve this
	tooLong     int           // deployments whose model does not read that much

	broken   bool // a group has no deployment at all
	untagged bool // the tags leave no deployment of a group
	unserved bool // the deployments of a group lack the endpoint
}

// out is a deployment that cannot serve what a wildcard stands for.
type out struct {
	d        *deployment
	wildcard string
}

// waits reports whether there is anything to wait for.
func (b *blocked) waits() bool { return b.unsure || !b.ready.IsZero() }

func (b *blocked) at(ready time.Time, reason, cause string, class schema.Class) {
	if b.ready.IsZero() || ready.Before(b.ready) {
		b.ready, b.reason, b.cause, b.class = ready, reason, cause, class
	}
}

// choosing finds where the next attempt of a run goes.
type choosing struct{ *run }

// choose finds a deployment for the next attempt and takes a place there: one
// that has not failed on this request before one that has, then by level, then
// by strategy. One that has no place is passed over.
//
// Fallbacks come into it when nothing in the groups before them could take the
// request but for a cooldown or worse: a group that is busy, or due for a
// retry, is waited for.
func (r choosing) choose(ctx context.Context, now time.Time, me *waiter) (choice, *blocked) {
	b := &r.blocked
	*b = blocked{fatal: b.fatal[:0], lines: b.lines[:0]}
	for i := 0; r.plan.hasStage(i); i++ {
		if r.plan.stages[i].closed {
			continue
		}
		long := b.tooLong
		c, wait := r.chooseIn(ctx, i, now, me, b)
		if c.d != nil {
			return c, nil
		}
		if wait {
			break
		}
		if n := len(r.plan.stages[i].pool); n > 0 && b.tooLong-long == n {
			r.plan.divert(i, r.router.contextFallbacks, r.asked.ContextWindow)
		}
	}
	return choice{}, b
}

// chooseIn is choose within one group. wait reports that the group will take
// the request in a moment.
func (r choosing) chooseIn(ctx context.Context, stage int, now time.Time, me *waiter, b *blocked) (c choice, wait bool) {
	s := &r.plan.stages[stage]
	all := r.scratch[:0]
	for _, d := range s.pool {
		if d.MaxInputTokens > 0 && r.size.LongerThan(d.MaxInputTokens) {
			b.tooLong++
			continue
		}
		if len(d.budgets) > 0 && d.overBudget(now) != "" {
			b.fatal = append(b.fatal, out{d, s.wildcard})
			continue
		}
		t := r.tryOf(d, s.wildcard)
		switch {
		case t == nil:
		case t.dead:
			continue
		case t.ready.After(now):
			wait = r.noteBackoff(s, d, t, b) || wait
			continue
		}
		all = append(all, candidate{d: d, tried: t != nil, level: d.level})
	}
	switch {
	case len(s.pool) > 0:
	case s.group.unserved != "":
		b.broken = true
	default:
		b.unserved, b.untagged = b.unserved || s.unserved, b.untagged || !s.unserved
	}
	for len(all) > 0 {
		i := r.router.pick(all, now)
		d := all[i].d
		p, no := d.acquire(now, s.wildcard, r.req.Endpoint, me, r.avoidsProbe(stage, d))
		if no.why == 0 {
			no = r.admit(ctx, d, &p, b)
		}
		if no.why == 0 {
			return choice{d: d, stage: stage, slot: p}, false
		}
		wait = r.noteRefusal(s, d, no, me, b) && !(no.why == limited && r.spills(stage, d, no, me)) || wait
		all = append(all[:i], all[i+1:]...)
	}
	return choice{}, wait
}

// spills reports whether a request goes on to a fallback rather than wait for room
// at d: there is one, and the wait is longer than a call takes.
func (r choosing) spills(at int, d *deployment, no refusal, me *waiter) bool {
	if r.router.waitAtLimits {
		return false
	}
	if r.plan.addFallbacks(); !r.plan.hasOpen(at + 1) {
		return false
	}
	usual, ahead := line{d: d}.pressure(me)
	if no.ready.IsZero() {
		return ahead > 1
	}
	return no.ready.Sub(r.now) > cmp.Or(usual, unknownCall)
}

// unknownCall is what a call is taken to last where nothing is known yet.
const unknownCall = time.Second

// avoidsProbe reports whether one more failure, at d, would be the request's end. Then
// it leaves probes to those that can afford them, or the few requests in flight
// would pay for an outage that all others sit out.
func (r choosing) avoidsProbe(at int, d *deployment) bool {
	s := &r.plan.stages[at]
	if s.used == 0 || s.used < r.retries(s.group, d, failedProbe) {
		return false
	}
	r.plan.addFallbacks()
	return !r.plan.hasOpen(at + 1)
}

var failedProbe = &schema.Error{Class: schema.ClassTransient}

// noteBackoff notes that the request leaves d alone for a moment after a failure;
// if all requests do so for longer, that counts. It reports whether d is worth
// waiting for rather than falling back.
func (r choosing) noteBackoff(s *stage, d *deployment, t *try, b *blocked) bool {
	if until := d.cooling(s.wildcard); !until.Before(t.ready) {
		return r.noteRefusal(s, d, refusal{why: cooling, ready: until}, nil, b)
	}
	b.at(t.ready, "a pause after a failure", "pause", schema.ClassTransient)
	return true
}

func (d *deployment) cooling(wildcard string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leftAlone(wildcard).until
}

// admit asks the limiter, where there is something to limit.
func (r choosing) admit(ctx context.Context, d *deployment, p *slot, b *blocked) refusal {
	if d.TPM > 0 {
		p.reserved = r.size.Estimate()
	} else if r.router.strategy == UsageBased {
		p.reserved = r.size.Rough()
	}
	if limits := d.limits(); !limits.None() {
		permit, err := r.router.limiter.Admit(ctx, d.ID, limits, p.reserved)
		if err != nil {
			no := refusal{why: limited}
			var busy *BusyError
			switch {
			case !errors.As(err, &busy):
				b.reason = "the limiter does not answer: " + err.Error()
				b.pollLimiter = true
			case busy.ReadyAt.IsZero():
				b.pollLimiter = true
			default:
				no.ready = busy.ReadyAt
			}
			d.cancel(*p, no.ready)
			return no
		}
		p.permit = permit
	}
	d.reserved.Add(int64(p.reserved))
	return refusal{}
}

// noteRefusal notes why d takes nothing now. It reports whether d is worth waiting
// for rather than falling back.
func (r choosing) noteRefusal(s *stage, d *deployment, no refusal, me *waiter, b *blocked) (wait bool) {
	switch no.why {
	case fatal:
		b.fatal = append(b.fatal, out{d, s.wildcard})
		return false
	case limited:
		wait = true
	}
	b.lines = append(b.lines, line{d, no.model})
	if !no.ready.IsZero() {
		reason, cause, class := d.ID+" is at its limit", "limit", schema.ClassRateLimited
		if no.why == cooling {
			reason, cause, class = d.coolingReason(s.wildcard)
		}
		b.at(no.ready, reason, cause, class)
		return wait
	}
	b.unsure = true
	if b.reason == "" {
		b.reason, b.cause, b.class = d.ID+" has no place for another call", "limit", schema.ClassRateLimited
		if no.why == cooling {
			b.reason, b.cause, b.class = d.ID+" failed and is being tried with one call", "cooldown", schema.ClassTransient
		}
	}
	if guess := (line{d: d}).expected(me); guess > 0 && (b.guess == 0 || guess < b.guess) {
		b.guess = guess
	}
	return wait
}

func (d *deployment) coolingReason(wildcard string) (reason, cause string, class schema.Class) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, b := d.ID, d.leftAlone(wildcard)
	if class = schema.ClassRateLimited; b.tripped {
		class = schema.ClassTransient
	}
	if b != &d.breaker {
		name = d.modelFor(wildcard) + " at " + d.ID
	}
	return name + " cools down: " + b.reason, cmp.Or(b.cause, "cooldown"), class
}
