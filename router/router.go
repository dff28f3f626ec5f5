// Package router runs single LLM requests on upstreams: it
// finds the deployments for a model name, calls one, decides what the answer
// means, and tries again where that may help.
//
// # The life of one Do
//
// The body's "model" names a group: deployments that serve the same name. Do
// chooses one of them and takes a place there in one step (choose.go), calls it
// (attempt.go), and gives the place back with what the call really used.
//
// A deployment speaks a protocol (package protocol; protocols.go names them),
// which makes the request and reads the answer. With OpenAI's the bytes of the
// body go out as they came, but for the model's name where the deployment knows
// it under another, and the answer's bytes come back as they are.
//
// What an answer means, and so its [schema.Class], is decided in one place,
// from code and message first and the status second (classify.go). A 200 that
// carries an error, or that lacks what its endpoint must return, is no success.
//
// # Trying again
//
// Do is the only place that tries again: neither a protocol nor the transport
// does. A failure that may pass is tried on a deployment that this request has
// not failed on, else after a back-off with full jitter; as often as the
// configuration says (plan.go). Then come the fallbacks: a flat list in which
// no group stands twice. What no deployment would take ends at once.
//
// One thing is no failure: a kept connection that its server had closed before
// the call came. The call is made again at once, on a fresh connection. Both are
// recorded, the first with the code stale_connection, and it counts for nothing.
//
// # Leaving alone
//
// A deployment that fails, or says when to come back, is left alone by all
// requests until then (breaker.go, health.go). One that can serve nobody, for
// its key or its quota or its model, is left alone for minutes. Where a deployment
// takes many models, as a gateway does, that goes by the model (modelstate.go).
//
// # Waiting
//
// A request that nothing can take now waits (wait.go): for up to
// [Config.ShortWait] in Do, in the order of arrival, else it is parked: Do
// returns a [Park] and the caller comes back with it later. Waiting is not an
// attempt: an answer that says when to come back costs no retry, though a
// request gets at most 20 of them. When all that could take a request is out for
// good it fails with the code no_deployment, without a call.
//
// # Five clocks
//
// The request's timeout covers all attempts and all waits, the
// attempt's timeout one call (bound.go), and the caller's context everything. A streamed
// call has two more: until its first token, and between tokens. An attempt for
// which less than 50 ms is left is not begun.
//
// # Streams
//
// A body that says "stream": true is streamed (stream.go): the protocol reads its
// events, which are passed on as they come, and merges them into the answer that
// would have come without streaming.
// From there on it is an answer like any other: one that broke off is a failed
// attempt, and tried again.
//
// Every call made is recorded in [Outcome], whatever came of it.
package router

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/rawjson"
	"pelton/internal/tokens"
	"pelton/router/internal/ending"
	"pelton/router/internal/http1"
	"pelton/router/internal/keywords"
	"pelton/router/internal/route"
	"pelton/router/protocol"
	"pelton/schema"
)

// Router runs requests on the deployments of one [Config]. All its methods are
// safe for concurrent use.
type Router struct {
	groups      groups
	aliases     map[string]string
	deployments []*deployment
	byID        map[string]*deployment

	strategy         Strategy
	ignoreTags       bool
	matchAllTags     bool
	waitAtLimits     bool
	numRetries       int
	maxAttempts      int // 0: no bound of its own
	policy           PerFailure
	groupPolicy      map[string]PerFailure
	fallbacks        map[string][]string
	defaultFallbacks []string
	contextFallbacks map[string][]string
	contentFallbacks map[string][]string
	variants         map[string]keywords.Fallback // of fallbacks with more than a name
	shortWait        time.Duration
	timeout          time.Duration // per attempt of deployments without their own; 0: none
	firstToken       time.Duration // the same for streams, to the first token
	nextToken        time.Duration // and between tokens

	limiter    Limiter
	sink       func(Cooldown)
	observer   Observer
	log        zerolog.Logger
	transports route.Pool
	rand       func() float64 // in [0,1)
}

// Do runs req to its outcome. It blocks until then, or until ctx ends, or until
// it is clear that the request has to wait: see [Outcome.Park].
//
// When ctx ends first, the attempts so far are kept, and its cause decides: a
// *[schema.Error] given with context.WithCancelCause becomes the outcome's
// error, and its class the status (cancelled, expired, else failed); a deadline
// gives a failure of class timeout; anything else is cancelled.
//
// Where nothing bounds an attempt, three times what the slowest of the group's recent
// calls took does, a minute at least; until five have answered it is ten minutes. Each
// attempt that was ended by that gives the request's next one twice as long. A stream
// is so bounded until its first token, and then by a minute between tokens.
func (r *Router) Do(ctx context.Context, req Request) Outcome {
	run, bad := r.prepare(req)
	if bad != nil {
		return Outcome{Status: schema.StatusFailed, Error: bad, Attempts: req.Earlier}
	}
	timeout := req.Timeout
	if timeout == 0 {
		timeout = schema.DefaultTimeout
	}
	run.now, run.caller = time.Now(), ctx
	run.deadline, run.cause = run.now.Add(timeout), &ending.TimeUp{After: timeout}
	if !req.Expires.IsZero() && req.Expires.Before(run.deadline) {
		run.deadline, run.cause = req.Expires, ending.Expired
	}
	limit := http1.NewTimeLimit(ctx, run.deadline, run.cause)
	ctx = limit
	defer limit.End()
	free := run.now // since when the request has been ready for its next call
	if n := len(req.Earlier); n > 0 {
		run.replay(req.Earlier)
		if run.exhausted {
			return run.record.end(run.last, "")
		}
		last := req.Earlier[n-1]
		free = last.StartedAt.Add(time.Duration(last.LatencyMs * float64(time.Millisecond)))
	}
	for {
		if ctx.Err() != nil {
			return run.record.end(ending.Waiting(context.Cause(ctx), req.Waited), "")
		}
		if run.last != nil {
			if why := run.tooLate(ctx); why != "" {
				return run.record.end(run.last, why)
			}
		}
		at, out := run.waitForSlot(ctx)
		if out != nil {
			return *out
		}
		run.events.fallback(len(run.record.Attempts)+1, at.stage, run.plan.stages[at.stage].group.name)
		v := run.attempt(ctx, at, max(run.now.Sub(free), 0))
		free = run.now
		if run.last = v.err; run.last == nil {
			run.record.Incomplete = v.incomplete
			return run.record.end(nil, "")
		}
		if cause := context.Cause(ctx); cause != nil {
			return run.record.end(ending.Of(cause), "")
		}
		run.events.failed(len(run.record.Attempts), at.d.ID, run.last)
		if run.retryPlain {
			continue
		}
		if !run.failedOn(at.stage, at.d, v) {
			return run.record.end(run.last, "")
		}
	}
}

// prepare finds the group for a request, or why there is none.
func (r *Router) prepare(req Request) (*run, *schema.Error) {
	fatal := func(code, message string) (*run, *schema.Error) {
		return nil, &schema.Error{Class: schema.ClassRequestFatal, Code: code, Message: protocol.OneLine(message, protocol.MaxMessage)}
	}
	req.Endpoint = cmp.Or(req.Endpoint, schema.ChatCompletions)
	if !slices.ContainsFunc(r.deployments, func(d *deployment) bool { ok, _ := d.protocol.Serves(req.Endpoint); return ok }) {
		return fatal(schema.CodeInvalidRequest, fmt.Sprintf("unknown endpoint %q", req.Endpoint))
	}
	var model, stream []byte
	asks := false
	object, _ := rawjson.Object(req.Body, func(key, value []byte) {
		switch string(rawjson.Key(key)) {
		case "model":
			model = value
		case "stream":
			stream = value
		default:
			asks = asks || keywords.Known(key)
		}
	})
	name := rawjson.Text(model)
	if !object || name == "" {
		return fatal(schema.CodeInvalidRequest, "the body must be a JSON object with a model")
	}
	run := &run{
		router: r, req: req, stream: string(stream) == "true", size: tokens.Size{Body: req.Body},
		plan: plan{router: r, model: name, endpoint: req.Endpoint, tags: req.Tags, asked: &saysNothing}, asked: &saysNothing,
	}
	if asks {
		if err := run.takeKeywords(); err != nil {
			return fatal(schema.CodeInvalidRequest, "the body: "+err.Error())
		}
	}
	if req.Events {
		run.events.to = req.Listener
	}
	run.plan.stages = run.plan.first[:0]
	if run.plan.add(name, nil); !run.plan.hasStage(0) {
		return fatal(codeNoModel, r.groups.unknown(protocol.OneLine(name, 200)))
	}
	if run.asked.Skip {
		run.plan.addFallbacks()
		run.plan.stages[0].closed = len(run.plan.stages) > 1
	}
	return run, nil
}

// Groups returns the configured model names, wildcards included, in their order.
func (r *Router) Groups() []string { return slices.Clone(r.groups.names) }

// Deployments describes the configured deployments in their order.
func (r *Router) Deployments() []DeploymentInfo {
	infos := make([]DeploymentInfo, len(r.deployments))
	for i, d := range r.deployments {
		infos[i] = d.info()
	}
	return infos
}

// Close closes the connections that no call is using. Calls under way go on.
func (r *Router) Close() { r.transports.Close() }

// alias returns what a model's name stands for.
func (r *Router) alias(model string) string {
	if target, ok := r.aliases[model]; ok {
		return target
	}
	return model
}
