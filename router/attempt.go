package router

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// run is one Do under way: the request, where it may go, and what came so far.
// One goroutine uses it.
type run struct {
	*Router
	req      Request
	model    string      // as requested
	now      time.Time   // of the last look at the clock
	deadline time.Time   // of the request's own time
	header   http.Header // of the call under way

	plan     []stage
	fellBack bool // the general fallbacks are in the plan
	tried    []try
	paced    int  // answers that said when to come back
	spent    bool // nothing is left to try
	told     int  // the last stage that was told of
	again    bool // the last call is to be made again, otherwise
	learnt   any  // the Note of that call

	tokens  int // of the input, estimated; 0: not yet
	output  int // tokens that the body allows the answer
	scratch [8]candidate
	blocked blocked
	first   call     // of the first call
	stages  [2]stage // of plan, as a rule

	last        *schema.Error // of the last attempt
	notReady    *NotReadyError
	costUnknown bool // an attempt with usage has no price
	out         Outcome

	stream bool // the answer is to be streamed

	body     json.RawMessage // as last sent
	bodyName string          // the model name in it
}

// bodyFor returns the request's body for d: with the upstream's name for the
// model in it, and with what d adds. It is the same bytes where neither differs.
func (r *run) bodyFor(d *deployment, model string) (body json.RawMessage, err error) {
	if body, err = r.bodyWith(model); err != nil || d.Defaults == nil || !protocol.Samples(r.req.Endpoint) {
		return body, err
	}
	return schema.Merge(body, d.Defaults)
}

func (r *run) bodyWith(model string) (json.RawMessage, error) {
	if model == r.model {
		return r.req.Body, nil
	}
	if model != r.bodyName {
		quoted, err := json.Marshal(model)
		if err != nil {
			return nil, err
		}
		body, err := schema.SetField(r.req.Body, "model", quoted)
		if err != nil {
			return nil, err
		}
		r.body, r.bodyName = body, model
	}
	return r.body, nil
}

// attempt makes one call to the chosen deployment, records it and gives its
// place back. It returns what the answer means.
func (r *run) attempt(ctx context.Context, at choice, waited time.Duration) judgement {
	d := at.d
	model := d.modelFor(r.plan[at.stage].star)
	began := r.now
	record := schema.Attempt{Deployment: d.ID, Model: model, WaitedMs: milliseconds(waited), StartedAt: began.UTC()}
	r.observeRetry()
	ended := r.trace(d, model)
	v, c := r.exchange(ctx, d, model)
	scrub := d.scrub()
	if r.now.Equal(began) { // nothing was sent
		r.now = time.Now()
	}
	took := r.now.Sub(began)
	record.LatencyMs = milliseconds(took)
	if v.err != nil {
		tidy(v.err, scrub)
	}
	record.StatusCode, record.Error, record.Usage = c.reply.Status, v.err, v.usage
	record.TTFTMs = c.stream.ttft()
	input, output, known := d.Prices.cost(v.tokens)
	if known {
		sum := input + output
		record.Cost = &sum
	}
	r.out.Attempts = append(r.out.Attempts, record)
	r.observeCall(d.Group, input, output)
	if v.usage != nil {
		r.addUsage(v.usage)
	}
	r.addCost(record)
	var response *schema.Response
	if c.reply.Status != 0 && (c.err == nil || c.partial()) {
		response = c.response(v, scrub)
		r.out.Response = response
	}
	if ended != nil {
		ended(record, response)
	}
	r.giveBack(ctx, at, v, c, began, took)
	return v
}

// giveBack returns the place of a call and tells everybody how it went.
func (r *run) giveBack(ctx context.Context, at choice, v judgement, c *call, began time.Time, took time.Duration) {
	d, p := at.d, at.place
	e := ended{err: v.err, began: began, took: took, rest: v.rest, aborted: v.err != nil && ctx.Err() != nil}
	used := p.reserved
	switch {
	case v.usage != nil:
		used = int(v.usage.TotalTokens)
		e.output = v.usage.CompletionTokens
	case v.err != nil && c.reply.Status != 0: // refused, and not counted
		used = 0
	}
	e.tokens = int64(used)
	if v.err != nil && v.err.Class == schema.ClassUpstreamFatal {
		e.scope = d.scopeOf(v, r.req.Endpoint, r.plan[at.stage].star)
	}
	if p.permit != nil {
		p.permit.Done(used, c.sent)
	}
	d.reserved.Add(-int64(p.reserved))
	news := d.left(r.now, p, e)
	r.spread(news.cooldown)
	if r.observer != nil && news.cooldown != nil && v.err != nil {
		r.observer.LeftAlone(d.ID, v.err.Class)
	}
	r.note(d, v, news, e.scope)
}

// exchange sends the request to d and classifies what comes back.
func (r *run) exchange(ctx context.Context, d *deployment, model string) (judgement, *call) {
	c := &r.first
	if len(r.out.Attempts) > 0 || c.sent { // the transport may still be reading from the last one
		c = &call{}
	}
	c.header = r.header
	began := r.now
	body, err := r.bodyFor(d, model)
	if err == nil {
		if limit := cmp.Or(d.Timeout, r.timeout); limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, limit, &timeUp{after: limit, attempt: true})
			defer cancel()
		}
		c.Endpoint, c.Model, c.Body, c.Note = r.req.Endpoint, model, body, r.learnt
		if _, streams := d.protocol.Serves(c.Endpoint); streams && r.stream {
			c.Streamed = true
			c.stream = &stream{run: r, attempt: len(r.out.Attempts) + 1, began: began}
			var end func()
			ctx, end = c.stream.clocked(ctx, d)
			defer end()
		}
		err = c.do(ctx, d)
	}
	if err != nil {
		return judgement{err: notSent(err)}, c
	}
	r.now = time.Now()
	a := reply{Reply: c.reply, answer: c.answer, host: d.host, tooLarge: c.tooLarge, err: c.err}
	if a.At = r.now; c.err != nil {
		a.ended = context.Cause(ctx)
	}
	v := classify(a)
	if c.partial() {
		v.count(c.answer.Usage)
	}
	if c.stream != nil && c.stream.document && v.err == nil {
		c.stream.tick()
		c.stream.pass(c.answer.Body)
	}
	if r.again = v.err != nil && c.answer.Again; r.again {
		r.learnt = c.Note
	} else {
		r.learnt = nil
	}
	if c.reply.Status == http.StatusUnauthorized && d.token != nil && d.token.refused(began) {
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

func (r *run) addUsage(u *schema.Usage) {
	if r.out.Usage == nil { // never changed: a further one makes a new sum
		r.out.Usage = u
		return
	}
	sum := r.out.Usage.Add(*u)
	r.out.Usage = &sum
}

// response is the answer as a result carries it: a success byte for byte, a
// failure without the key that a server may have repeated.
func (c *call) response(v judgement, scrub scrubber) *schema.Response {
	resp := &schema.Response{StatusCode: c.reply.Status, RequestID: scrub.text(requestID(c.reply.Header))}
	body := c.answer.Body
	switch {
	case c.tooLarge:
		resp.Body = json.RawMessage("null")
	case v.err == nil && tooDeep(body):
		resp.Body = jsonText(body, false)
	case v.err == nil:
		resp.Body = body // a success is JSON
	default:
		for _, secret := range scrub {
			if bytes.Contains(body, []byte(secret)) {
				body = bytes.ReplaceAll(body, []byte(secret), []byte(redacted))
			}
		}
		resp.Body = jsonText(body, c.answer.JSON)
	}
	return resp
}

// deepest is how deep an answer may nest to be carried as JSON: encoding/json
// reads 10,000, and in a result it is some levels further down.
const deepest = 9900

// tooDeep reports whether raw may nest deeper than a reader of the result can follow.
func tooDeep(raw []byte) bool {
	return len(raw) > 2*deepest && bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > deepest && deeper(raw, deepest)
}

// deeper reports whether the valid JSON raw nests deeper than limit.
func deeper(raw []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > limit {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// requestID returns the upstream's name for the call, under which its support finds it.
func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "Request-Id", "Apim-Request-Id"} {
		if id := h[name]; len(id) > 0 && id[0] != "" {
			return protocol.OneLine(id[0], 256)
		}
	}
	return ""
}

// note logs a failure: quietly, for retries are expected; that a deployment
// cannot serve once and loudly, until it does again.
func (r *run) note(d *deployment, v judgement, news news, scope string) {
	switch {
	case news.recovered:
		r.log.Info().Str("deployment", d.ID).Msg("deployment serves again")
	case news.lost:
		r.log.Warn().Str("deployment", d.ID).Str("model", d.Model).Str("scope", scope).Str("code", v.err.Code).
			Int("status_code", v.err.StatusCode).Msg("deployment cannot serve: " + v.err.Message)
	case v.err != nil:
		line := r.log.Debug()
		if r.req.Job != "" {
			line = line.Str("job", r.req.Job).Int("index", r.req.Index)
		}
		line.Str("deployment", d.ID).Str("class", string(v.err.Class)).Str("code", v.err.Code).
			Int("attempt", len(r.out.Attempts)).Msg("attempt failed: " + v.err.Message)
	}
}

// star is what the "*" of d's group stands for in the plan.
func (r *run) star(d *deployment) string {
	if i := slices.IndexFunc(r.plan, func(s stage) bool { return slices.Contains(s.pool, d) }); i >= 0 {
		return r.plan[i].star
	}
	return ""
}

// milliseconds rounds to whole microseconds.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
