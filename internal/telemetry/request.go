package telemetry

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pelton/jobs/queue"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

var _ worker.Tracer = (*Traces)(nil)

// request is a request in a slot. One goroutine uses it.
type request struct {
	t       *Traces
	ctx     context.Context //nolint:containedctx // it holds the span that the calls hang under
	span    trace.Span
	item    *queue.Item
	attempt int        // calls so far, those before it was parked counted
	before  trace.Link // to the last call made here
}

// Request begins the span of a request, and the one of its wait.
func (t *Traces) Request(item *queue.Item, started time.Time, earlier []schema.Attempt) worker.RequestTrace {
	since := waitingSince(item, earlier)
	if since.After(started) { // clocks differ
		since = started
	}
	r := &request{t: t, item: item, attempt: len(earlier)}
	r.ctx, r.span = t.tracer.Start(received(item.Trace), spanRequest+" "+item.Queue,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(since))
	if !r.span.IsRecording() {
		return r
	}
	r.span.SetAttributes(
		attribute.String(attrSystem, valueSystem), attribute.String(attrDestination, item.Queue),
		attribute.String(attrOperation, valueProcess), attribute.String(attrMessage, item.Job+"."+strconv.Itoa(item.Index)),
		attribute.String(attrQueue, item.Queue), attribute.String(attrJob, item.Job), attribute.Int(attrIndex, item.Index),
	)
	if item.CustomID != "" {
		r.span.SetAttributes(attribute.String(attrCustomID, item.CustomID))
	}
	if len(earlier) > 0 {
		r.span.SetAttributes(attribute.Int(attrEarlier, len(earlier)))
	}
	_, wait := t.tracer.Start(r.ctx, spanWait, trace.WithTimestamp(since))
	wait.End(trace.WithTimestamp(started))
	return r
}

// waitingSince is when the request was queued, or its last call before it was
// parked had ended.
func waitingSince(item *queue.Item, earlier []schema.Attempt) time.Time {
	if n := len(earlier); n > 0 {
		last := earlier[n-1]
		return last.StartedAt.Add(time.Duration(last.LatencyMs * float64(time.Millisecond)))
	}
	return item.QueuedAt
}

// Call begins the span of a call, whose traceparent goes to the upstream.
func (r *request) Call(d router.DeploymentInfo, model string) (http.Header, func(schema.Attempt, *schema.Response)) {
	r.attempt++
	operation := operations[string(r.item.Endpoint)]
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	if r.before.SpanContext.IsValid() {
		options = append(options, trace.WithLinks(r.before))
	}
	ctx, span := r.t.tracer.Start(r.ctx, operation+" "+model, options...)
	r.before = trace.Link{SpanContext: span.SpanContext(), Attributes: []attribute.KeyValue{attribute.String(attrLink, linkRetryOf)}}
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String(attrGenOperation, operation), attribute.String(attrGenProvider, valueProvider),
			attribute.String(attrGenModel, model), attribute.String(attrDeployment, d.ID), attribute.Int(attrAttempt, r.attempt),
		)
		span.SetAttributes(server(d.BaseURL)...)
		if r.t.content {
			span.SetAttributes(prompt(r.item.Body)...)
		}
	}
	return http.Header{"Traceparent": {traceparentOf(ctx)}}, func(a schema.Attempt, response *schema.Response) {
		if span.IsRecording() {
			r.called(span, a, response)
		}
		span.End()
	}
}

// called writes down how a call went.
func (r *request) called(span trace.Span, a schema.Attempt, response *schema.Response) {
	span.SetAttributes(attribute.Float64(attrWaited, a.WaitedMs))
	if a.StatusCode != 0 {
		span.SetAttributes(attribute.Int(attrHTTPStatus, a.StatusCode))
	}
	if a.Usage != nil {
		span.SetAttributes(attribute.Int64(attrGenInput, a.Usage.PromptTokens), attribute.Int64(attrGenOutput, a.Usage.CompletionTokens))
	}
	if a.Cost != nil {
		span.SetAttributes(attribute.Float64(attrCost, *a.Cost))
	}
	if a.UsageUnknown {
		span.SetAttributes(attribute.Bool(attrMaybe, true))
	}
	if response != nil {
		if response.RequestID != "" {
			span.SetAttributes(attribute.String(attrRequestID, response.RequestID))
		}
		span.SetAttributes(answered(response.Body)...)
		if r.t.content {
			span.SetAttributes(completion(response.Body)...)
		}
	}
	if a.Error != nil {
		failed(span, a.Error)
	}
}

// Ended ends the span of the request.
func (r *request) Ended(result *schema.Result, parked *schema.Parked) {
	if r.span.IsRecording() {
		status := statusGivenUp
		switch {
		case result != nil:
			status = string(result.Status)
			r.span.SetAttributes(billed(result.Bill())...)
			if result.Error != nil {
				failed(r.span, result.Error)
			}
		case parked != nil:
			status = statusParked
		}
		r.span.SetAttributes(attribute.String(attrStatus, status))
	}
	r.span.End()
}

// failed marks a span. The error's message stays out: an upstream may repeat
// the prompt in it.
func failed(span trace.Span, e *schema.Error) {
	span.SetAttributes(attribute.String(attrErrorType, string(e.Class)))
	text := string(e.Class)
	if e.Code != "" {
		span.SetAttributes(attribute.String(attrErrorCode, e.Code))
		text = e.Code
	}
	span.SetStatus(codes.Error, text)
}

// server is the host of a base URL.
func server(base string) []attribute.KeyValue {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	port := 80
	if strings.EqualFold(u.Scheme, "https") {
		port = 443
	}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		port = n
	}
	return []attribute.KeyValue{attribute.String(attrServer, u.Hostname()), attribute.Int(attrPort, port)}
}
