package owner

import (
	"pelton/jobs/store"
	"pelton/schema"
)

// Observer counts what an owner does. Its methods are called concurrently and
// must not block.
type Observer interface {
	// Stored is told of a result that this process has stored, and not of one
	// for which another came first.
	Stored(queue string, r *schema.Result)

	// TookOver is told that a job is gone on with that another owner began.
	TookOver(queue string)
}

// Tracer follows the jobs of an owner. An owner may die at any time, so nothing
// that it is told may depend on what it was told before: the next owner of a
// job tells it the same. Its methods are called concurrently.
type Tracer interface {
	// JobTrace returns the traceparent that the requests of a job carry. parent
	// is that of the job's producer, empty when there is none; of the job its
	// queue, id and CreatedAt are known.
	JobTrace(parent string, job schema.State) (traceparent string)

	// JobEnded is told of a job whose final state this owner has written.
	JobEnded(parent string, job schema.State)
}

// traceOf is the traceparent of a job's requests.
func (o *Owner) traceOf(rec *store.Record) string {
	if o.Tracer == nil {
		return rec.Trace
	}
	return o.Tracer.JobTrace(rec.Trace, rec.State)
}
