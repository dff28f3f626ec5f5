package router

import (
	"time"

	"pelton/schema"
)

// Listener hears of a request while it runs. Its methods are called by the
// goroutine of [Router.Do], one after the other, and hold the request up for as
// long as they take: they must not wait for anybody.
type Listener interface {
	// Chunk is one chunk of a streamed answer, as the upstream sent it. attempt
	// counts from 1; a higher one than before means that all earlier chunks are
	// void. sequence counts from 0 within the attempt. data is good until Chunk
	// returns.
	Chunk(attempt, sequence int, data []byte)

	// Event is what happened to the request, where [Request.Events] is set.
	Event(e schema.Event)
}

// events are what a listener is told besides chunks.
type events struct {
	to    Listener // nil: nobody
	stage int      // the last that was reported
}

func (e *events) send(event schema.Event) {
	if e.to != nil {
		event.At = time.Now().UTC()
		e.to.Event(event)
	}
}

// fallback reports that the request goes on with another group.
func (e *events) fallback(attempt, stage int, group string) {
	if stage > e.stage {
		e.stage = stage
		e.send(schema.Event{Kind: schema.EventFallback, Attempt: attempt, Model: group})
	}
}

// failed reports an attempt that failed.
func (e *events) failed(attempt int, deployment string, err *schema.Error) {
	e.send(schema.Event{Kind: schema.EventAttemptFailed, Attempt: attempt, Deployment: deployment, Error: err})
}

// retry reports that the request waits, where it is known until when.
func (e *events) retry(attempt int, at time.Time) {
	if e.to != nil && !at.IsZero() {
		at = at.UTC()
		e.send(schema.Event{Kind: schema.EventRetryAt, Attempt: attempt, RetryAt: &at})
	}
}
