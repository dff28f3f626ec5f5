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

// tooLate is the error of a request that nothing can take before its job's deadline.
func tooLate(readyAt time.Time) *schema.Error {
	return &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired,
		Message: "it would have had to wait until " + readyAt.UTC().Format(time.RFC3339) + ", past the job's deadline"}
}

// answer is what becomes of a request here: its result, or a wait that is longer
// than a slot should be held for, or neither, when the work was given up because
// this process may not go on with it.
type answer struct {
	result *schema.Result
	parked *schema.Parked
}

func (w *worker) answer(ctx context.Context, work *jobs.Work, earlier *schema.Parked) (a answer) {
	result := work.Result()
	var at struct{ started, finished time.Time }
	at.started = time.Now().UTC()
	job := w.join(work)
	defer w.leave(work, job)
	call, done := job.within(ctx, w.hard)
	defer done()
	// After join, so that no cancel falls between the two.
	marker, cancelled, err := w.cancelOf(ctx, work)
	if err != nil {
		return answer{}
	}
	if cancelled {
		return answer{result: uncalled(result, causeOf(marker.Code), earlier)}
	}
	if cause := context.Cause(job.ctx); cause != nil {
		var ended *schema.Error
		if errors.As(cause, &ended) {
			return answer{result: uncalled(result, ended, earlier)}
		}
	}
	request := router.Request{
		Job: work.Job, Index: work.Index, Endpoint: work.Endpoint, Body: work.Body, Timeout: work.Timeout, Header: traceHeader(work.Trace), Tags: work.Tags,
	}
	work.Via(w.cfg.Broker.Live)
	request.Listener, request.Events = work, work.Watched()
	if request.Events {
		work.Event(schema.Event{Kind: schema.EventStarted})
	}
	if earlier != nil {
		// At least a moment of it is left; 0 would mean the default.
		request.Earlier, request.Timeout = earlier.Attempts, max(1, time.Duration(earlier.LeftMs)*time.Millisecond)
	}
	if w.cfg.Tracer != nil {
		trace := w.cfg.Tracer.Request(work, at.started, request.Earlier)
		request.Trace = trace
		defer func() { trace.Ended(a.result, a.parked) }()
	}
	out := w.cfg.Router.Do(call, request)
	if p := out.Park; p != nil {
		if !p.ReadyAt.Before(work.Deadline) {
			return answer{result: uncalled(result, tooLate(p.ReadyAt), &schema.Parked{Attempts: out.Attempts})}
		}
		return answer{parked: &schema.Parked{
			ReadyAt: p.ReadyAt.UTC(), LeftMs: p.Left.Milliseconds(), Reason: p.Reason, Attempts: out.Attempts,
		}}
	}
	// Not the job was ended, but we: a hard stop reaches the job's context, from
	// which the call has its own, before or after that of the delivery.
	if out.Status == schema.StatusCancelled && (ctx.Err() != nil || w.hard.Err() != nil) {
		return answer{}
	}
	at.finished = time.Now().UTC()
	result.Status, result.Response, result.Error = out.Status, out.Response, out.Error
	result.Attempts, result.Usage, result.Cost = out.Attempts, out.Usage, out.Cost
	result.StartedAt, result.FinishedAt = &at.started, &at.finished
	if n := len(out.Attempts); n > 0 {
		result.TTFTMs = out.Attempts[n-1].TTFTMs
	}
	if len(out.Attempts) > 0 && out.Attempts[0].StartedAt.Before(at.started) {
		result.StartedAt = &out.Attempts[0].StartedAt // before it was parked
	}
	if out.Error != nil && out.Error.Code == schema.CodeNoDeployment {
		result.Model, _ = schema.StringField(work.Body, "model")
	}
	return answer{result: result}
}

// cancelOf tells whether the job is cancelled: from memory where it can.
func (w *worker) cancelOf(ctx context.Context, work *jobs.Work) (marker schema.Cancel, cancelled bool, err error) {
	if marker, cancelled, known := w.cancels.Known(work.Queue, work.Job); known {
		return marker, cancelled, nil
	}
	err = w.insist(ctx, work, "look up a cancel", func(ctx context.Context) (err error) {
		marker, cancelled, err = w.cancels.Find(ctx, work.Queue, work.Job)
		return err
	})
	return marker, cancelled, err
}

// uncalled is the result of a request whose job had ended before its call, or
// before the next call after it was parked.
func uncalled(result *schema.Result, err *schema.Error, earlier *schema.Parked) *schema.Result {
	now := time.Now().UTC()
	if earlier != nil {
		result.Attempts = earlier.Attempts
	}
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
func (w *worker) store(work *jobs.Work, result *schema.Result) (jobs.ResultMeta, error) {
	out, err := w.cfg.Broker.Results.Put(w.hard, work.Queue, result, work.Total)
	w.observeStored(work, result, err)
	if err == nil {
		return out, nil
	}
	return w.storeAgain(work, result)
}

func (w *worker) storeAgain(work *jobs.Work, result *schema.Result) (out jobs.ResultMeta, err error) {
	try := func(ctx context.Context) error {
		out, err = w.cfg.Broker.Results.PutOrFind(ctx, work.Queue, result, work.Total)
		return err
	}
	stuck := false
	err = w.insist(w.hard, work, "store a result", func(ctx context.Context) error {
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

// park stores that the request has to wait. What is lost when that fails is the
// memory of its attempts, not the request.
func (w *worker) park(ctx context.Context, work *jobs.Work, p *schema.Parked) (out jobs.ResultMeta, err error) {
	err = w.insist(ctx, work, "park a request", func(ctx context.Context) error {
		return w.cfg.Broker.Parked.Put(ctx, work.Of(), work.Index, p)
	})
	return jobs.ResultMeta{Index: work.Index, Status: schema.StatusParked, ReadyAt: p.ReadyAt}, err
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
func (w *worker) insist(ctx context.Context, work *jobs.Work, what string, try func(context.Context) error) error {
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
		level.Err(err).Str("queue", work.Queue).Str("job", work.Job).Int("index", work.Index).Msg("cannot " + what + " yet; trying again")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
