package schema

import "time"

// EventKind is what happened to a request.
type EventKind string

// What can happen to a request, in the order in which it does.
const (
	EventQueued        EventKind = "queued"         // the owner has handed it out
	EventStarted       EventKind = "started"        // a worker has begun it
	EventFirstToken    EventKind = "first_token"    // of an attempt whose answer is streamed
	EventAttemptFailed EventKind = "attempt_failed" // and it may be tried again
	EventRetryAt       EventKind = "retry_at"       // it waits until then
	EventFallback      EventKind = "fallback"       // it goes on with another model group
	EventFinished      EventKind = "finished"       // its result is stored
)

// ListenTime is how long a job's events are sent after somebody said that they
// are wanted; whoever listens says so again before that.
const ListenTime = 15 * time.Second

// Event is one thing that happened to a request, as progress tells it. Events
// may be lost; results never are.
type Event struct {
	Index      int        `json:"index"` // of the request
	Kind       EventKind  `json:"event"`
	At         time.Time  `json:"at"`                   // by the clock of whoever tells it
	Attempt    int        `json:"attempt,omitempty"`    // from 1
	Deployment string     `json:"deployment,omitempty"` // of attempt_failed
	Model      string     `json:"model,omitempty"`      // of fallback: the group that it goes on with
	Error      *Error     `json:"error,omitempty"`      // of attempt_failed
	RetryAt    *time.Time `json:"retry_at,omitempty"`   // of retry_at
	Status     Status     `json:"status,omitempty"`     // of finished
	Usage      *Usage     `json:"usage,omitempty"`      // of finished; where there are UnknownAttempts the least

	UnknownAttempts int `json:"unknown_attempts,omitempty"` // of finished: see [Result]
}
