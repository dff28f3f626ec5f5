package router

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"time"

	"pelton/internal/tokens"
	"pelton/router/internal/keywords"
	"pelton/router/protocol"
	"pelton/schema"
)

// run is one Do under way: the request, where it may go, and what came so far.
// One goroutine uses it.
type run struct {
	router   *Router
	req      Request
	stream   bool      // the answer is to be streamed
	now      time.Time // of the last look at the clock
	deadline time.Time // of the request's own time
	cause    error     // of its end
	caller   context.Context
	timeouts int // attempts that were ended by a bound that is only learned

	asked  *keywords.Keywords // what its body says to the router
	plan   plan               // where it may go
	size   tokens.Size        // of its body
	record record             // what came so far
	events events             // to whoever listens

	tried       []try
	stale       int           // attempts that count for nothing: their connection was closed before
	rateLimited int           // answers that said when to come back
	exhausted   bool          // nothing is left to try
	last        *schema.Error // of the last attempt
	retryPlain  bool          // the last call is to be made again, otherwise
	learnt      any           // the Note of that call

	body     json.RawMessage // as last sent
	bodyName string          // the model name in it
	header   http.Header     // of the call under way
	first    call            // the first call
	scratch  [8]candidate
	blocked  blocked
}

// attempt makes one call to the chosen deployment, records it and gives its
// slot back. It returns what the answer means. A call on a kept connection that
// the server had closed is made once more at once, on a fresh one: that is
// recorded too, and counts for nothing.
func (r *run) attempt(ctx context.Context, at choice, waited time.Duration) judgement {
	v, c, began := r.callOnce(at, waited, false)
	if v.stale {
		r.stale++
		r.events.failed(len(r.record.Attempts), at.d.ID, v.err)
		v, c, began = r.callOnce(at, 0, true)
	}
	r.recordCall(ctx, at, v, c, began, r.now.Sub(began))
	return v
}

// callOnce makes a call and records it; fresh: on a connection that had none.
func (r *run) callOnce(at choice, waited time.Duration, fresh bool) (judgement, *call, time.Time) {
	d := at.d
	model := d.modelFor(r.plan.stages[at.stage].wildcard)
	began := r.now
	made := schema.Attempt{Deployment: d.ID, Model: model, WaitedMs: milliseconds(waited), StartedAt: began.UTC()}
	r.router.observeRetry(&r.record)
	ended := r.trace(d, model)
	v, c := r.exchange(at, model, fresh)
	scrub := d.scrub()
	if v.err != nil {
		scrub = c.scrub(scrub)
	}
	if r.now.Equal(began) { // nothing was sent
		r.now = time.Now()
	}
	made.LatencyMs = milliseconds(r.now.Sub(began))
	if v.err != nil {
		scrub.Tidy(v.err)
	}
	made.StatusCode, made.Error, made.Usage = c.reply.Status, v.err, v.usage
	made.TTFTMs = c.stream.ttft()
	input, output, known := d.Prices.Cost(v.tokens)
	if known {
		sum := input + output
		made.Cost = &sum
		for _, b := range d.budgets {
			b.Spend(r.now, sum)
		}
	}
	made.UsageUnknown = c.usageUnknown(v)
	r.record.add(made)
	r.router.observeCall(&r.record, d.Group, input, output)
	var response *schema.Response
	if c.reply.Status != 0 && (c.err == nil || c.partial()) {
		response = c.response(v, scrub)
		r.record.Response = response
	}
	if ended != nil {
		ended(made, response)
	}
	return v, c, began
}

// recordCall returns the slot of a call and tells everybody how it went.
func (r *run) recordCall(ctx context.Context, at choice, v judgement, c *call, began time.Time, took time.Duration) {
	d, p := at.d, at.slot
	e := callEnd{err: v.err, began: began, took: took, rest: v.rest, aborted: v.err != nil && ctx.Err() != nil, model: r.plan.stages[at.stage].wildcard}
	used := p.reserved
	switch {
	case v.usage != nil:
		used = int(v.usage.TotalTokens)
		e.output = v.usage.CompletionTokens
	case v.err != nil && c.reply.Status != 0: // refused, and not counted
		used = 0
	}
	e.tokens = int64(used)
	if v.err == nil {
		r.plan.stages[at.stage].group.calls.Add(r.now, took)
	}
	if v.err != nil && v.err.Class == schema.ClassUpstreamFatal {
		e.scope = d.scopeOf(v, r.req.Endpoint, r.plan.stages[at.stage].wildcard)
	}
	if p.permit != nil {
		p.permit.Done(used, c.sent)
	}
	d.reserved.Add(-int64(p.reserved))
	change := d.release(r.now, p, e)
	r.router.publishCooldown(change.cooldown)
	if r.router.observer != nil && change.cooldown != nil && v.err != nil {
		r.router.observer.LeftAlone(d.ID, v.err.Class)
	}
	r.logCall(d, v, change, e.scope)
}

// exchange sends the request to d and classifies what comes back; fresh: on a
// connection that had no call before.
func (r *run) exchange(at choice, model string, fresh bool) (judgement, *call) {
	c, d := &r.first, at.d
	if len(r.record.Attempts) > 0 || c.sent { // the transport may still be reading from the last one
		c = &call{}
	}
	c.header, c.fresh = r.header, fresh
	began := r.now
	var ctx context.Context
	body, err := r.bodyFor(d, model, &r.plan.stages[at.stage])
	if err == nil {
		c.Endpoint, c.Model, c.Body, c.Note = r.req.Endpoint, model, body, r.learnt
		_, streams := d.protocol.Serves(c.Endpoint)
		c.Streamed = streams && r.stream
		ctx = r.limited(c, at)
		defer c.unlimit()
		if c.Streamed {
			c.stream = &stream{run: r, attempt: len(r.record.Attempts) + 1, began: began}
			var end func()
			ctx, end = c.stream.clocked(ctx, at, c.learned)
			defer end()
		}
		err = c.do(ctx, d)
	}
	if err != nil {
		return judgement{err: notSent(err)}, c
	}
	a := c.ended(ctx, d)
	r.now = a.At
	v := classify(a)
	if v.err != nil && c.learned && v.retry && v.err.Code == schema.CodeTimeout {
		r.timeouts++
	}
	r.noteSign(d, model, &v, began)
	if v.err == nil {
		v.incomplete = protocol.Incomplete(c.Endpoint, c.Body, c.answer.Body)
	}
	if c.partial() {
		v.count(c.answer.Usage)
	}
	if c.stream != nil && c.stream.document && v.err == nil {
		c.stream.tick()
		c.stream.pass(c.answer.Body)
	}
	if r.retryPlain = v.err != nil && c.answer.Again; r.retryPlain {
		r.learnt = c.Note
	} else {
		r.learnt = nil
	}
	if c.reply.Status == http.StatusUnauthorized && d.token != nil && d.token.Refused(began) {
		v.err.Class, v.retry = schema.ClassTransient, true // with another token
	}
	return v, c
}

// notSent is why a request did not go out: the protocol's word, or our own fault.
func notSent(err error) *schema.Error {
	var given *schema.Error
	if errors.As(err, &given) {
		e := *given
		return &e
	}
	return &schema.Error{Class: schema.ClassInternal, Message: "the request could not be made: " + err.Error()}
}

// logCall logs a failure: quietly, for retries are expected; that a deployment
// cannot serve once and loudly, until it does again.
func (r *run) logCall(d *deployment, v judgement, change transition, scope string) {
	switch {
	case change.recovered:
		r.router.log.Info().Str("deployment", d.ID).Msg("deployment serves again")
	case change.lost:
		r.router.log.Warn().Str("deployment", d.ID).Str("model", d.Model).Str("scope", scope).Str("code", v.err.Code).
			Int("status_code", v.err.StatusCode).Msg("deployment cannot serve: " + v.err.Message)
	case change.loud:
		r.router.log.Warn().Str("deployment", d.ID).Str("model", change.cooldown.Model).Time("until", change.cooldown.Until).
			Msg("deployment is left alone: " + change.cooldown.Reason)
	case v.err != nil:
		line := r.router.log.Debug()
		if r.req.Job != "" {
			line = line.Str("job", r.req.Job).Int("index", r.req.Index)
		}
		line.Str("deployment", d.ID).Str("class", string(v.err.Class)).Str("code", v.err.Code).
			Int("attempt", len(r.record.Attempts)).Msg("attempt failed: " + v.err.Message)
	}
}

// milliseconds rounds to whole microseconds.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
