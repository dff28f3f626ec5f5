package jobs

import (
	"errors"
	"fmt"

	"pelton/jobs/store"
	"pelton/schema"
)

// What any call may come to.
var (
	// ErrNotSetUp means that no worker has made the streams on this account yet.
	ErrNotSetUp = store.ErrNotSetUp

	// ErrDenied means that the server refused an action for want of permission.
	// The error that wraps it names the subject.
	ErrDenied = store.ErrDenied
)

// ErrStoreFull means that the broker has no room for another job now.
// [Client.Submit] returns it.
var ErrStoreFull = store.ErrStoreFull

// ErrAgedOut means that results existed which are no longer kept. What reads
// results, requests or messages returns it.
var ErrAgedOut = store.ErrAgedOut

// ErrNoQueue means that no worker has ever served the queue.
// [Client.SetQueueCap] returns it.
var ErrNoQueue = store.ErrNoQueue

// ErrNotErased means that something of a removed job is still in the store.
// [Handle.Remove] returns it.
var ErrNotErased = store.ErrNotErased

// ErrRunning means that a job has not ended, and so cannot be removed or retried.
var ErrRunning = errors.New("the job has not ended: cancel it first")

// ErrNothingToRetry means that every request of a job has succeeded.
var ErrNothingToRetry = errors.New("every request has succeeded: there is nothing to run again")

// ErrNotFound means that there is no such job: it never was, it was removed, or
// it has aged out. Every method of [Handle] may return it.
var ErrNotFound = errors.New("no such job")

// ErrIDConflict means that the id belongs to a job with other content.
var ErrIDConflict = errors.New("this id belongs to a job with other content: choose another")

// ResultError ends a job with fail-fast: one result failed and the rest was
// cancelled.
type ResultError struct {
	Index  int
	Result *schema.Result // the one that failed
	State  *schema.State
}

// Error names the request and why it failed.
func (e *ResultError) Error() string {
	if e.Result == nil {
		return fmt.Sprintf("job %s failed fast: request %d failed", e.State.ID, e.Index)
	}
	return fmt.Sprintf("job %s failed fast: request %d: %v", e.State.ID, e.Index, e.Result.Err())
}

// Unwrap returns the failed result's error.
func (e *ResultError) Unwrap() error {
	if e.Result == nil {
		return nil
	}
	return e.Result.Err()
}

// StateError says that a job ended before all its requests had a result.
type StateError struct{ State *schema.State }

// Error names the job, its state and the reason.
func (e *StateError) Error() string {
	if e.State.Reason == nil {
		return fmt.Sprintf("job %s ended %s", e.State.ID, e.State.State)
	}
	return fmt.Sprintf("job %s ended %s (%s): %s", e.State.ID, e.State.State, e.State.Reason.Code, e.State.Reason.Message)
}
