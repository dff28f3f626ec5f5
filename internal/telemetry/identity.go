package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"pelton/schema"
)

// identities draws the ids of spans, but for those that ctx has computed.
type identities struct{}

type computedKey struct{}

// computed are the ids of a job's span.
type computed struct {
	trace trace.TraceID
	span  trace.SpanID
}

func (identities) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if c, ok := ctx.Value(computedKey{}).(computed); ok {
		return c.trace, c.span
	}
	var id trace.TraceID
	fill(id[:])
	return id, identities{}.NewSpanID(ctx, id)
}

func (identities) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if c, ok := ctx.Value(computedKey{}).(computed); ok {
		return c.span
	}
	var id trace.SpanID
	fill(id[:])
	return id
}

// fill draws an id; one of nothing but zeros is none.
func fill(id []byte) {
	_, _ = rand.Read(id) // it never fails
	id[len(id)-1] |= 1
}

// identityOf computes the ids of a job's span. CreatedAt tells it from a job of
// the same name that was removed.
func identityOf(job *schema.State) computed {
	sum := sha256.Sum256([]byte(job.Queue + "." + job.ID + " " + job.CreatedAt.UTC().Format(time.RFC3339Nano)))
	var c computed
	copy(c.trace[:], sum[:16])
	copy(c.span[:], sum[16:])
	c.trace[15] |= 1
	c.span[7] |= 1
	return c
}

// received is a context whose remote span is the one of a traceparent, if that
// is one.
func received(traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent})
}

// traceparentOf is the span that ctx holds, as a header; empty when it is none.
func traceparentOf(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}
