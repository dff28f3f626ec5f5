package worker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"pelton/jobs/queue"
	"pelton/router"
	"pelton/schema"
)

// The causes with which a call's context ends, as the errors of its result.
var (
	errCancelled = &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "the job was cancelled"}
	errExpired   = &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "the job's deadline passed"}
)

// causeOf translates why a job ended into the error of what was in flight.
func causeOf(code string) *schema.Error {
	if code == schema.ReasonDeadline {
		return errExpired
	}
	return errCancelled
}

// callResult is what becomes of a request here: its result, or a wait that is longer
// than a slot should be held for, or neither, when the work was given up because
// this process may not go on with it.
type callResult struct {
	result *schema.Result
	parked *schema.Parked
	given  []schema.Attempt // with neither: the attempts made all the same
}

// call brings a request to its answer: by the router, unless its job has ended.
// earlier is what is known of its earlier attempts, nil for nothing.
func (w *worker) call(ctx context.Context, it *queue.Item, earlier *schema.Parked) (out callResult) {
	result := it.Result()
	var at struct{ started, finished time.Time }
	at.started = time.Now().UTC()
	job := w.join(it)
	defer w.leave(it, job)
	calling, done := job.within(ctx, w.hard)
	defer done()
	// After join, so that no cancel falls between the two.
	marker, cancelled, err := w.cancelOf(ctx, it)
	if err != nil {
		return callResult{}
	}
	if cancelled {
		return callResult{result: notCalled(result, causeOf(marker.Code), madeBefore(it, earlier))}
	}
	if cause := context.Cause(job.ctx); cause != nil {
		var ended *schema.Error
		if errors.As(cause, &ended) {
			return callResult{result: notCalled(result, ended, madeBefore(it, earlier))}
		}
	}
	request := router.Request{
		Job: it.Job, Index: it.Index, Endpoint: it.Endpoint, Body: it.Body, Timeout: it.Timeout, Expires: it.Deadline, AttemptTimeout: it.Attempt, Header: traceHeader(it.Trace), Tags: it.Tags,
	}
	request.Listener, request.Events = it, it.Listened()
	if request.Events {
		it.Event(schema.Event{Kind: schema.EventStarted})
	}
	if earlier != nil {
		request.Earlier, request.Waited = earlier.Attempts, earlier.Reason
		request.Timeout = timeLeft(earlier, at.started)
	}
	if w.cfg.Tracer != nil {
		trace := w.cfg.Tracer.Request(it, at.started, request.Earlier)
		request.Trace = trace
		defer func() { trace.Ended(out.result, out.parked) }()
	}
	answer := w.cfg.Router.Do(calling, request)
	made := answer.Attempts
	if earlier != nil {
		made = withLost(it, earlier, made)
	}
	if p := answer.Park; p != nil {
		return callResult{parked: &schema.Parked{
			ReadyAt: p.ReadyAt.UTC(), LeftMs: p.Left.Milliseconds(), Until: time.Now().Add(p.Left).UTC(),
			Model: p.Model, Cause: p.Cause, Reason: p.Reason, Attempts: made, Heard: true,
		}}
	}
	// Not the job was ended, but we: a hard stop reaches the job's context, from
	// which the call has its own, before or after that of the delivery.
	if answer.Status == schema.StatusCancelled && (ctx.Err() != nil || w.hard.Err() != nil) {
		return callResult{given: answer.Attempts}
	}
	at.finished = time.Now().UTC()
	result.Status, result.Response, result.Error = answer.Status, answer.Response, answer.Error
	result.Attempts = made
	result.SetBill(answer.Bill)
	if len(made) > len(answer.Attempts) {
		result.SetBill(schema.BillOf(made))
	}
	result.StartedAt, result.FinishedAt = &at.started, &at.finished
	result.Incomplete = answer.Incomplete
	if n := len(answer.Attempts); n > 0 {
		result.TTFTMs = answer.Attempts[n-1].TTFTMs
	}
	if len(made) > 0 && made[0].StartedAt.Before(at.started) {
		result.StartedAt = &made[0].StartedAt // before it was parked, or by another worker
	}
	if answer.Error != nil && answer.Error.Code == schema.CodeNoDeployment {
		result.Model, _ = schema.StringField(it.Body, "model")
	}
	return callResult{result: result}
}

// timeLeft is what a request that comes back has left of its time. Those of which only
// that is known, by an older build, had not had their wait counted.
func timeLeft(earlier *schema.Parked, now time.Time) time.Duration {
	left := time.Duration(earlier.LeftMs) * time.Millisecond
	if !earlier.Until.IsZero() {
		left = earlier.Until.Sub(now)
	}
	if left <= 0 {
		return -1 // 0 would mean the default
	}
	return left
}

// cancelOf tells whether the job is cancelled: from memory where it can.
func (w *worker) cancelOf(ctx context.Context, it *queue.Item) (marker schema.Cancel, cancelled bool, err error) {
	if marker, cancelled, known := w.cancels.Known(it.Queue, it.Job); known {
		return marker, cancelled, nil
	}
	err = w.retry(ctx, it, "look up a cancel", func(ctx context.Context) (err error) {
		marker, cancelled, err = w.cancels.Find(ctx, it.Queue, it.Job)
		return err
	})
	return marker, cancelled, err
}

// notCalled is the result of a request whose job had ended before its call, or
// before the next call after it was parked.
func notCalled(result *schema.Result, err *schema.Error, made []schema.Attempt) *schema.Result {
	now := time.Now().UTC()
	result.Attempts = made
	result.SetBill(schema.BillOf(made))
	result.FinishedAt, result.Error = &now, err
	result.Status = schema.StatusCancelled
	if err.Class == schema.ClassExpired {
		result.Status = schema.StatusExpired
	}
	return result
}

// madeBefore lists what is known of the attempts before this start.
func madeBefore(it *queue.Item, earlier *schema.Parked) []schema.Attempt {
	if earlier == nil {
		return nil
	}
	return withLost(it, earlier, earlier.Attempts)
}

// withLost puts the starts of which no word came before the attempts that are known.
func withLost(it *queue.Item, earlier *schema.Parked, made []schema.Attempt) []schema.Attempt {
	lost := earlier.Lost(it.FedAt, true)
	if len(lost) == 0 {
		return made
	}
	return append(lost, made...)
}

func traceHeader(trace string) http.Header {
	if trace == "" {
		return nil
	}
	return http.Header{"Traceparent": {trace}}
}
