package router

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"pelton/schema"
)

// run is one Do under way: the request, where it may go, and what came so far.
// One goroutine uses it.
type run struct {
	*Router
	req   Request
	model string // as requested
	star  string // what the group's "*" stands for in it
	group *group
	tried []try
	out   Outcome

	body     json.RawMessage // as last sent
	bodyName string          // the model name in it
}

// bodyFor returns the request's body with the upstream's name for the model in
// it: the same bytes where the names are the same.
func (r *run) bodyFor(model string) (json.RawMessage, error) {
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

// attempt makes one call to d and records it. It returns what the answer means.
func (r *run) attempt(ctx context.Context, d *deployment, waited time.Duration) verdict {
	model := d.modelFor(r.star)
	record := schema.Attempt{Deployment: d.ID, Model: model, WaitedMs: milliseconds(waited), StartedAt: time.Now()}
	v, c := r.exchange(ctx, d, model)
	record.LatencyMs = milliseconds(time.Since(record.StartedAt))
	record.StartedAt = record.StartedAt.UTC()
	if v.err != nil {
		tidy(v.err, d.scrub)
	}
	record.StatusCode, record.Error, record.Usage = c.status, v.err, v.usage
	r.out.Attempts = append(r.out.Attempts, record)
	if v.usage != nil {
		sum := *v.usage
		if r.out.Usage != nil {
			sum = sum.Add(*r.out.Usage)
		}
		r.out.Usage = &sum
	}
	if c.status != 0 && c.err == nil {
		r.out.Response = c.response(v, d.scrub)
	}
	r.note(d, v)
	return v
}

// exchange sends the request to d and classifies what comes back.
func (r *run) exchange(ctx context.Context, d *deployment, model string) (verdict, *cell) {
	c := &cell{header: r.req.Header}
	var err error
	if c.body, err = r.bodyFor(model); err == nil {
		if limit := cmp.Or(d.Timeout, r.timeout); limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, limit, &timeUp{after: limit, attempt: true})
			defer cancel()
		}
		err = d.call(ctx, r.req.Endpoint, c)
	}
	if err != nil { // nothing was sent
		return verdict{err: &schema.Error{Class: schema.ClassInternal, Message: "the request could not be made: " + err.Error()}}, c
	}
	a := answer{
		endpoint: r.req.Endpoint, base: d.BaseURL, host: d.host, status: c.status, header: c.answer,
		body: c.raw, tooLarge: c.tooLarge, err: c.err, now: time.Now(),
	}
	if c.err != nil {
		a.ended = context.Cause(ctx)
	}
	return classify(a), c
}

// response is the answer as a result carries it: a success byte for byte, a
// failure without the key that a server may have repeated.
func (c *cell) response(v verdict, scrub scrubber) *schema.Response {
	resp := &schema.Response{StatusCode: c.status, RequestID: requestID(c.answer)}
	switch {
	case c.tooLarge:
		resp.Body = json.RawMessage("null")
	case v.err == nil:
		resp.Body = c.raw // a success is JSON
	default:
		raw := c.raw
		for _, secret := range scrub {
			if bytes.Contains(raw, []byte(secret)) {
				raw = bytes.ReplaceAll(raw, []byte(secret), []byte(redacted))
			}
		}
		resp.Body = jsonText(raw, v.valid)
	}
	return resp
}

// requestID returns the upstream's name for the call, under which its support finds it.
func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "Request-Id", "Apim-Request-Id"} {
		if id := h.Get(name); id != "" {
			return bound(id, 256)
		}
	}
	return ""
}

// note logs a failure: quietly, for retries are expected; a deployment that can
// serve nobody once and loudly, until it has served again.
func (r *run) note(d *deployment, v verdict) {
	switch {
	case v.err == nil:
		if d.warned.Load() {
			d.warned.Store(false)
		}
	case v.err.Class == schema.ClassUpstreamFatal && !d.warned.Swap(true):
		r.log.Warn().Str("deployment", d.ID).Str("model", d.Model).Str("code", v.err.Code).
			Int("status_code", v.err.StatusCode).Msg("deployment cannot serve: " + v.err.Message)
	default:
		r.log.Debug().Str("deployment", d.ID).Str("class", string(v.err.Class)).Str("code", v.err.Code).
			Int("attempt", len(r.out.Attempts)).Msg("attempt failed: " + v.err.Message)
	}
}

// milliseconds rounds to whole microseconds.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
