package worker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"pelton/jobs"
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

// answer returns the request's result, or nil when the work was given up
// because this process may not go on with it.
func (w *worker) answer(ctx context.Context, work *jobs.Work) *schema.Result {
	result := work.Result()
	started := time.Now().UTC()
	call, end := context.WithCancelCause(ctx)
	defer end(nil)
	forget := w.cancels.OnCancel(work.Queue, work.Job, func(c schema.Cancel) { end(causeOf(c.Code)) })
	defer forget()
	// After OnCancel, so that no cancel falls between the two.
	var marker schema.Cancel
	var cancelled bool
	err := w.insist(ctx, "look up a cancel", func(ctx context.Context) (err error) {
		marker, cancelled, err = w.cancels.Cancelled(ctx, work.Queue, work.Job)
		return err
	})
	switch {
	case err != nil:
		return nil
	case cancelled:
		return uncalled(result, causeOf(marker.Code))
	case !started.Before(work.Deadline):
		return uncalled(result, errExpired)
	}
	call, cancel := context.WithDeadlineCause(call, work.Deadline, errExpired)
	defer cancel()
	out := w.cfg.Router.Do(call, router.Request{
		Endpoint: work.Endpoint, Body: work.Body, Timeout: work.Timeout, Header: traceHeader(work.Trace), NoPark: true,
	})
	if out.Status == schema.StatusCancelled && ctx.Err() != nil {
		return nil // not the job was ended, but we
	}
	finished := time.Now().UTC()
	result.Status, result.Response, result.Error = out.Status, out.Response, out.Error
	result.Attempts, result.Usage = out.Attempts, out.Usage
	result.StartedAt, result.FinishedAt = &started, &finished
	return result
}

// uncalled is the result of a request whose job had ended before its call.
func uncalled(result *schema.Result, err *schema.Error) *schema.Result {
	now := time.Now().UTC()
	result.FinishedAt, result.Error = &now, err
	result.Status = schema.StatusCancelled
	if err.Class == schema.ClassExpired {
		result.Status = schema.StatusExpired
	}
	return result
}

func traceHeader(trace string) http.Header {
	if trace == "" {
		return nil
	}
	return http.Header{"Traceparent": {trace}}
}

// store stores the result, whatever it takes: an answer that was paid for is
// not thrown away because the broker is down or full. Until it is taken no
// further work is pulled. Only the hard stop ends the trying, after one more try.
func (w *worker) store(work *jobs.Work, result *schema.Result) (out jobs.Outcome, err error) {
	try := func(ctx context.Context) error {
		out, err = w.cfg.Broker.PutResult(ctx, work.Queue, result, work.Total)
		if errors.Is(err, jobs.ErrStored) {
			out, _, err = w.cfg.Broker.StoredOutcome(ctx, work.Queue, work.Job, work.Index)
		}
		return err
	}
	stuck := false
	err = w.insist(w.hard, "store a result", func(ctx context.Context) error {
		err := try(ctx)
		if err != nil && !stuck {
			stuck = true
			w.stuck.Add(1)
		}
		return err
	})
	if stuck {
		w.stuck.Add(-1)
	}
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(w.hard), lastTry)
		defer cancel()
		err = try(last)
	}
	return out, err
}

// Timing of what is asked of the broker.
const (
	oneTry     = 5 * time.Second
	lastTry    = time.Second
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
)

// insist calls try until it succeeds or ctx ends, and says so once when it is
// not the first time.
func (w *worker) insist(ctx context.Context, what string, try func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		one, cancel := context.WithTimeout(ctx, oneTry)
		err := try(one)
		cancel()
		if err == nil {
			return nil
		}
		level := w.cfg.Log.Debug()
		if pause > longPause/2 && pause < longPause { // by now it is no hiccup
			level = w.cfg.Log.Warn()
		}
		level.Err(err).Msg("cannot " + what + " yet; trying again")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
