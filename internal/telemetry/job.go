package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pelton/schema"
)

// JobTrace returns the traceparent of a job's span. The span itself is let go of:
// whoever ends the job makes it again.
func (t *Traces) JobTrace(parent string, job schema.State) string {
	ctx, _ := t.startJob(parent, &job)
	return traceparentOf(ctx)
}

// JobEnded exports the span of a job that has ended.
func (t *Traces) JobEnded(parent string, job schema.State) {
	_, span := t.startJob(parent, &job)
	if span.IsRecording() {
		span.SetAttributes(endOf(&job)...)
		if job.State != schema.Succeeded {
			text := string(job.State)
			if job.Reason != nil {
				text = job.Reason.Code
				span.SetAttributes(attribute.String(attrReason, job.Reason.Code))
			}
			span.SetAttributes(attribute.String(attrErrorType, text))
			span.SetStatus(codes.Error, text)
		}
	}
	end := []trace.SpanEndOption{}
	if job.FinishedAt != nil {
		end = append(end, trace.WithTimestamp(*job.FinishedAt))
	}
	span.End(end...)
}

func (t *Traces) startJob(parent string, job *schema.State) (context.Context, trace.Span) {
	ctx := context.WithValue(received(parent), computedKey{}, identityOf(job))
	return t.tracer.Start(ctx, spanJob+" "+job.Queue, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(job.CreatedAt),
		trace.WithAttributes(
			attribute.String(attrSystem, valueSystem), attribute.String(attrDestination, job.Queue),
			attribute.String(attrOperation, valueReceive), attribute.String(attrMessage, job.ID),
			attribute.String(attrQueue, job.Queue), attribute.String(attrJob, job.ID),
		))
}

// billed says what a bill's cost is, and what it lacks.
func billed(b schema.Bill) (list []attribute.KeyValue) {
	if b.Cost != nil {
		list = append(list, attribute.Float64(attrCost, *b.Cost))
	}
	if b.UnknownAttempts > 0 {
		list = append(list, attribute.Int(attrUnknown, b.UnknownAttempts))
	}
	if b.UnpricedAttempts > 0 {
		list = append(list, attribute.Int(attrUnpriced, b.UnpricedAttempts))
	}
	return list
}

func endOf(job *schema.State) []attribute.KeyValue {
	list := []attribute.KeyValue{attribute.String(attrState, string(job.State)), attribute.Int(attrBatchCount, job.Total)}
	if job.RetryOf != "" {
		list = append(list, attribute.String(attrRetryOf, job.RetryOf))
	}
	list = append(list, billed(job.Bill())...)
	c := job.Counts
	for status, n := range map[string]int{"succeeded": c.Succeeded, "failed": c.Failed, "cancelled": c.Cancelled, "expired": c.Expired, "not_started": c.NotStarted} {
		list = append(list, attribute.Int(attrCounts+status, n))
	}
	return list
}
