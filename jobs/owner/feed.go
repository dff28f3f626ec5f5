package owner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pelton/internal/retry"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// feeder makes a job's requests ready for the queue, and knows which of them the
// queue did not take. Only the loop's goroutine touches it, but for rejected.
type feeder struct {
	queue       queue.Feeder    // where the requests go
	exact       bool            // none is fed beyond what may be in flight
	base        queue.Item      // what all requests of the job have in common
	defaults    []byte          // of the job, which a body may leave out
	bodyBytes   int             // of a body, of the largest of the last few
	pausedUntil time.Time       // nothing is fed before: the queue did not take the last
	rejected    *inbox[int]     // requests that were not put in; any goroutine puts
	reject      func(index int) // is rejected.put
}

func newFeeder(o *Owner, job *schema.Job, rec *store.Record, deadline time.Time) feeder {
	f := feeder{queue: o.Feeder, exact: feedsExactly(job), defaults: job.Defaults, rejected: newInbox[int](), base: queue.Item{
		Queue: rec.Queue, Job: rec.ID, Total: rec.Total, Timeout: job.RequestTimeout, Attempt: job.Timeout, Deadline: deadline,
		QueuedAt: rec.CreatedAt, Include: job.IncludeRequest, Trace: o.traceOf(rec), Tags: job.Tags,
	}}
	if f.base.Timeout == 0 {
		f.base.Timeout = deadline.Sub(rec.CreatedAt)
	}
	f.reject = f.rejected.put
	return f
}

// feedsExactly reports whether no request of a job is fed beyond what may be in flight: of
// one that finds its concurrency; and of one that is to end at a failure or a cost, where
// what has not been counted is not followed by another call.
func feedsExactly(job *schema.Job) bool {
	return job.Concurrency == schema.AutoConcurrency || job.FailFast != (schema.FailFast{}) || job.MaxCost > 0
}

// prefetch is how many requests are fed beyond the inFlight that may be in flight.
func (f *feeder) prefetch(inFlight int) int {
	if f.exact {
		return 0
	}
	return f.queue.Ahead(inFlight, f.bodyBytes)
}

// item makes a request ready: its body with the job's defaults.
func (f *feeder) item(index int, request schema.Request) (*queue.Item, error) {
	body, err := schema.Merge(request.Body, f.defaults)
	if err != nil {
		return nil, fmt.Errorf("job %s: request %d: %w", f.base.Job, index, err)
	}
	it := f.base
	it.Index, it.Body, it.CustomID, it.Endpoint = index, body, request.CustomID, request.URL
	if it.Endpoint == "" {
		it.Endpoint = schema.ChatCompletions
	}
	if request.Timeout != 0 {
		it.Attempt = request.Timeout
	}
	return &it, nil
}

// invalid is the failed result of a request that the job says to skip.
func (f *feeder) invalid(index int, request schema.Request) *schema.Result {
	it := f.base
	it.Index, it.CustomID, it.Include = index, request.CustomID, false
	result, now := it.Result(), time.Now().UTC()
	result.Status, result.Error, result.FinishedAt = schema.StatusFailed, request.Problem, &now
	return result
}

// feed fills the job's window: at most its concurrency and its share of the
// queue, and only while the lease holds.
func (r *run) feed(ctx context.Context) error {
	share, ahead := r.o.shares[r.rec.Queue].of(r.rec.ID), r.feeder.prefetch(r.limit.now())
	for r.window.room(r.limit.now(), share, ahead) > 0 && r.canFeed(time.Now()) {
		index, ok := r.window.next()
		if !ok {
			return nil
		}
		if err := r.feedOne(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

// canFeed reports whether nothing forbids it: the end of the job, or word of it; a
// lease that may have ended; a queue that did not take the last; or the deadline.
func (r *run) canFeed(now time.Time) bool {
	return r.ending == nil && r.aborted.IsZero() && r.rec.holds(now) && now.After(r.feeder.pausedUntil) && now.Before(r.deadline)
}

// feedOne puts one request into the queue.
func (r *run) feedOne(ctx context.Context, index int) error {
	request, err := r.input.At(index)
	if err != nil {
		return fmt.Errorf("job %s: read request %d: %w", r.rec.ID, index, err)
	}
	if request.Problem != nil {
		return r.storeOwnResult(ctx, r.feeder.invalid(index, request))
	}
	it, err := r.feeder.item(index, request)
	if err != nil {
		return err
	}
	r.feeder.bodyBytes = max(len(it.Body), r.feeder.bodyBytes*7/8)
	it.FedAt, it.MaybeBegun = time.Now(), r.window.begunBefore(index)
	publishEvent(r.o.Store.Live, r.rec.Key(), index, schema.Event{Kind: schema.EventQueued})
	err = r.o.Feeder.Put(ctx, it, r.limit.now(), r.feeder.prefetch(r.limit.now()), r.feeder.reject)
	if err != nil && !errors.Is(err, queue.ErrNotSent) {
		return err
	}
	r.window.put(index, it.FedAt, it.Object)
	if err != nil {
		r.o.Log.Debug().Err(err).Str("job", r.rec.ID).Int("index", index).Msg("could not feed; trying again")
		r.requeue(index)
	}
	return nil
}

// requeue puts a request that did not reach the queue, or vanished from it, back
// in line; at the end of a job it is waited for as long as any other.
func (r *run) requeue(index int) {
	if r.window.requeue(index) {
		r.feeder.pausedUntil = time.Now().Add(store.RetryPause)
	}
}

// park notes that a request waits, for a trial or for what its upstream takes. One that
// would wait past the deadline waits for the job's end.
func (r *run) park(index int, ready time.Time, wait store.Wait) {
	if isHeld(wait) && !r.isolated[index] {
		if r.tally.changed = true; r.isolated.add(index) {
			r.o.Log.Warn().Str("job", r.rec.ID).Str("queue", r.rec.Queue).Int("index", index).
				Msg("requests are isolated: they were in flight each time that a worker was not heard of again, and are begun in trials until it is known whether one of them is the cause; the others go on")
		}
	}
	if !ready.Before(r.deadline) {
		ready = r.deadline.Add(graceTime)
	}
	r.window.park(index, ready, wait)
	r.tally.changed = true
	r.timers.followParked(&r.window)
}

// unpark puts the parked requests that are ready back in line.
func (r *run) unpark(ctx context.Context, now time.Time) {
	for _, object := range r.window.unpark(now) {
		r.o.Store.Objects.DeleteBody(ctx, object)
	}
	r.publishDemand()
	r.timers.followParked(&r.window)
}

// followParked has the loop woken when the next parked request is ready.
func (t *timers) followParked(w *window) {
	t.parked = nil
	if ready, ok := w.nextReady(); ok {
		t.parked = time.After(time.Until(ready))
	}
}

// storeOwnResult stores a result that the owner itself decides, until it is stored.
func (r *run) storeOwnResult(ctx context.Context, result *schema.Result) error {
	var meta store.ResultMeta
	err := retry.Do(ctx, r.rec.again(func(err error) {
		r.o.Log.Debug().Err(err).Str("job", r.rec.ID).Int("index", result.Index).Msg("could not store; trying again")
	}), func(ctx context.Context) (err error) {
		meta, err = r.o.Store.Results.Put(ctx, r.rec.Queue, result, r.rec.Total)
		if err == nil && r.o.Observer != nil {
			r.o.Observer.Stored(r.rec.Queue, result)
		}
		if errors.Is(err, store.ErrStored) {
			meta, err = r.o.Store.Results.PutOrFind(ctx, r.rec.Queue, result, r.rec.Total)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.count(ctx, []store.ResultMeta{meta})
}
