package worker

import (
	"time"

	"pelton/jobs/owner"
	"pelton/jobs/queue"
	"pelton/router"
	"pelton/schema"
)

// Tracer follows what a worker does. Its methods are called concurrently, and
// must not block: a request waits for them.
type Tracer interface {
	owner.Tracer

	// Request is told of a request that is about to be called, of when a slot
	// took it up, and of the attempts made before it was parked.
	Request(it *queue.Item, started time.Time, earlier []schema.Attempt) RequestTrace
}

// RequestTrace follows one request in one slot.
type RequestTrace interface {
	router.Trace

	// Ended is told what became of the request, once: its result, or that it is
	// parked, or neither, when this process has given it up.
	Ended(result *schema.Result, parked *schema.Parked)
}
