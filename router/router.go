// Package router runs single LLM requests on OpenAI-compatible upstreams: it
// finds the deployments for a model name, calls one, decides what the answer
// means, and tries again where that may help.
//
// # The life of one Do
//
// The body's "model" names a group: deployments that serve the same name. Do
// picks one of them at random (next, in retry.go) and calls it (attempt.go).
//
// The bytes of the body go out as they came, but for the model's name where the
// deployment knows it under another, and the answer's bytes come back as they
// are. go-openai builds URL and authorization, and nothing else: its types lose
// fields in both directions, so it is given an HTTP client that exchanges the
// bytes under its hands (raw.go).
//
// What an answer means, and so its [schema.Class], is decided in one place,
// from code and message first and the status second (classify.go). A 200 that
// carries an error, or that lacks what its endpoint must return, is no success.
//
// A failure that may pass (transient, rate_limited) is tried again, as often as
// the configuration says: on a deployment that this request has not failed on
// at once, else after a back-off with full jitter and not before the server's
// Retry-After. A deployment that can serve nobody (upstream_fatal) is not asked
// twice, but another of the group is. What no deployment would take
// (request_fatal, context_window, content_policy) is final at once. This is the
// only place that tries again: neither go-openai nor the transport does.
//
// Three clocks end a Do: the request's timeout covers all attempts and waits,
// the attempt's timeout one call, and the caller's context everything. A wait
// that would outlast the request's timeout is not begun.
//
// Every call made is recorded in [Outcome], whatever came of it.
package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"pelton/schema"
)

// Request is one request to an OpenAI-compatible endpoint.
type Request struct {
	// Endpoint is where it goes. Empty: [schema.ChatCompletions].
	Endpoint schema.Endpoint

	// Body is the JSON object to send, defaults filled in. Its "model" names
	// the group. It is not modified, and must not change until Do returns.
	Body json.RawMessage

	// Timeout covers all attempts and the waits between them.
	// 0: [schema.DefaultTimeout]; negative: the time has run out already.
	Timeout time.Duration

	// Header holds further headers for each call, such as traceparent. They
	// replace none that the deployment sets.
	Header http.Header
}

// Outcome is what came of a request.
type Outcome struct {
	Status schema.Status

	// Response is the last answer that an upstream gave, failed ones included;
	// nil when none came.
	Response *schema.Response

	Error    *schema.Error    // nil exactly when Status is succeeded
	Attempts []schema.Attempt // every call made, in order
	Usage    *schema.Usage    // summed over all attempts that reported one; nil when none did
}

// Router runs requests on the deployments of one [Config]. All its methods are
// safe for concurrent use.
type Router struct {
	groups      groups
	deployments []*deployment
	attempts    int           // at most, per request
	timeout     time.Duration // per attempt of deployments without their own; 0: none
	log         zerolog.Logger
	transport   *http.Transport
	rand        func() float64 // in [0,1)
}

// Do runs req to its outcome. It blocks until then, or until ctx ends.
//
// When ctx ends first, the attempts so far are kept, and its cause decides: a
// *[schema.Error] given with context.WithCancelCause becomes the outcome's
// error, and its class the status (cancelled, expired, else failed); a deadline
// gives a failure of class timeout; anything else is cancelled.
func (r *Router) Do(ctx context.Context, req Request) Outcome {
	run, bad := r.prepare(req)
	if bad != nil {
		return Outcome{Status: schema.StatusFailed, Error: bad}
	}
	timeout := req.Timeout
	if timeout == 0 {
		timeout = schema.DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &timeUp{after: timeout})
	defer cancel()
	var last *schema.Error
	for {
		d, wait := run.next()
		if d == nil {
			return run.end(last, "")
		}
		if last != nil {
			if why := tooLate(ctx, wait); why != "" && ctx.Err() == nil {
				return run.end(last, why)
			}
		}
		asleep := time.Now()
		if !sleep(ctx, wait) {
			return run.end(endError(context.Cause(ctx)), "")
		}
		if wait > 0 {
			wait = time.Since(asleep)
		}
		v := run.attempt(ctx, d, wait)
		if last = v.err; last == nil {
			return run.end(nil, "")
		}
		if cause := context.Cause(ctx); cause != nil {
			return run.end(endError(cause), "")
		}
		if !run.failedOn(d, v) || len(run.out.Attempts) == r.attempts {
			return run.end(last, "")
		}
	}
}

// prepare finds the group for a request, or why there is none.
func (r *Router) prepare(req Request) (*run, *schema.Error) {
	fatal := func(code, message string) (*run, *schema.Error) {
		return nil, &schema.Error{Class: schema.ClassRequestFatal, Code: code, Message: bound(message, maxMessage)}
	}
	switch req.Endpoint {
	case "", schema.ChatCompletions, schema.Responses, schema.Completions, schema.Embeddings, schema.Moderations:
	default:
		return fatal(schema.CodeInvalidRequest, fmt.Sprintf("unknown endpoint %q", req.Endpoint))
	}
	model, ok := schema.StringField(req.Body, "model")
	if !ok || model == "" {
		return fatal(schema.CodeInvalidRequest, "the body must be a JSON object with a model")
	}
	if bytes.Contains(req.Body, []byte(`"stream"`)) {
		if value, _ := schema.Field(req.Body, "stream"); string(value) == "true" {
			return fatal(codeStream, `streamed requests are not supported: leave "stream" out of the body`)
		}
	}
	found, star := r.groups.match(model)
	if found == nil {
		return fatal(codeNoModel, r.groups.unknown(bound(model, 200)))
	}
	return &run{Router: r, req: req, model: model, star: star, group: found}, nil
}

// end completes the outcome with its last error, nil for success, and why it
// was the last.
func (r *run) end(last *schema.Error, why string) Outcome {
	out := r.out
	out.Status, out.Error = schema.StatusSucceeded, last
	if last == nil {
		return out
	}
	if why != "" {
		e := *last
		e.Message += "; " + why
		out.Error = &e
	}
	switch last.Class {
	case schema.ClassCancelled:
		out.Status = schema.StatusCancelled
	case schema.ClassExpired:
		out.Status = schema.StatusExpired
	default:
		out.Status = schema.StatusFailed
	}
	return out
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
func (r *Router) Close() { r.transport.CloseIdleConnections() }
