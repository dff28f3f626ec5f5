package owner

import (
	"context"
	"errors"
	"time"

	"pelton/internal/retry"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// end begins the end of a job that is not complete: nothing more is fed, and every
// request that may ever have reached a worker is waited for. With an ending that
// aborts, every worker is told to stop, and what is out gets a while to come back.
// Without, a next owner comes to the same end by itself.
func (r *run) end(ctx context.Context, why ending) error {
	if r.ending != nil || r.tally.counts.Stored() == r.rec.Total {
		return nil
	}
	r.ending = &why
	r.window.close(r.o.Feeder.Withdraw(r.rec.Key()), time.Now())
	r.publishDemand()
	if why.abort {
		r.timers.grace = time.After(graceTime)
	}
	if why.abort && !why.published {
		marker := schema.Cancel{Reason: why.reason.Message, Code: why.reason.Code, Index: why.reason.Index}
		err := retry.Do(ctx, r.rec.again(func(err error) {
			r.o.Log.Debug().Err(err).Str("job", r.rec.ID).Msg("could not publish the cancel; trying again")
		}), func(ctx context.Context) error {
			return r.o.Store.Cancels.Publish(ctx, r.rec.Queue, r.rec.ID, marker)
		})
		if err != nil {
			return err
		}
	}
	return r.storeLeftovers(ctx, true)
}

// checkCancel ends the job if it is cancelled and we have not heard of it.
func (r *run) checkCancel(ctx context.Context) error {
	switch {
	case r.ending != nil:
		return nil
	case !r.aborted.IsZero():
		return r.explainAbort(ctx)
	}
	marker, found, err := r.o.Cancels.Find(ctx, r.rec.Queue, r.rec.ID)
	if err != nil || !found {
		return nil //nolint:nilerr // looked for again with every reconciliation
	}
	return r.end(ctx, cancelledBy(marker))
}

// explainAbort looks for the cancel that had a worker abort a call. Where the
// store surely has none, now and [reconcileEvery] after the abort was seen, the
// cancel reached workers alone: its marker was never stored, and the owner of
// that time did not hear it. Workers go on to abort what is fed, so the job
// adopts the cancel.
func (r *run) explainAbort(ctx context.Context) error {
	now, first := time.Now(), r.aborted.IsZero()
	if first {
		r.aborted = now
	}
	asking, cancel := context.WithTimeout(ctx, leaseTime/2)
	marker, found, err := r.o.Cancels.LookUp(asking, r.rec.Queue, r.rec.ID)
	cancel()
	log := r.o.Log.With().Str("job", r.rec.ID).Str("queue", r.rec.Queue).Logger()
	switch {
	case found:
		return r.end(ctx, cancelledBy(marker))
	case first:
		log.Warn().Err(err).Msg("a worker has aborted a request as cancelled, and no cancel is found: nothing more is fed until it is known why")
	}
	if err != nil || now.Sub(r.aborted) < reconcileEvery { // the next reconciliation asks again
		return nil //nolint:nilerr // as above
	}
	log.Warn().Msg("no cancel of the job is stored, though a worker was told of one: the job is cancelled")
	why := cancelledBy(schema.Cancel{Reason: "a worker was told to cancel this job"})
	why.published = false
	return r.end(ctx, why)
}

// storeLeftovers gives every request that is out and has not come back the
// result that the ending gives it, or only those that are parked and so in
// nobody's hands. One of which a worker holds the answer is waited for: that is paid
// for. A result that a worker stores first stands.
func (r *run) storeLeftovers(ctx context.Context, onlyParked bool) error {
	var held map[int]queue.Hold
	if !onlyParked {
		var err error
		if held, err = r.inHand.ask(ctx, r.o.Feeder, r.rec.Key(), time.Now()); err != nil {
			r.o.Log.Debug().Err(err).Str("job", r.rec.ID).Msg("cannot ask yet what workers have in hand; trying again")
			r.timers.grace = time.After(2 * heldPause)
			return nil
		}
	}
	for _, index := range r.window.unfinished(onlyParked) {
		if held[index] == queue.HeldAnswered {
			r.timers.grace = time.After(2 * heldPause)
			continue
		}
		if !r.window.isOut(index) { // it has come meanwhile
			continue
		}
		if err := r.storeLeftover(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) storeLeftover(ctx context.Context, index int) error {
	if err := r.rec.renewIfDue(ctx); err != nil {
		return err
	}
	request, err := r.input.At(index)
	if err != nil {
		return err
	}
	it, err := r.feeder.item(index, request)
	if err != nil {
		return err
	}
	result := it.Result()
	known, err := r.o.Store.Parked.Get(ctx, r.rec.Queue, r.rec.ID, index)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	result.Status, result.FinishedAt = r.ending.leftover, &now
	result.Error = &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled,
		Message: "the job ended (" + r.ending.reason.Code + ") before this request had an answer"}
	tellAttempts(&r.window, result, known)
	if result.Status == schema.StatusExpired {
		result.Error.Class, result.Error.Code = schema.ClassExpired, schema.CodeExpired
	}
	return r.storeOwnResult(ctx, result)
}

// tellAttempts adds to the result of a request that does not come back what is known
// of its attempts: of one that waits all; of one that may be in the hands of a worker
// that is not heard of, or that waits since no such worker was, that it may have been
// called.
func tellAttempts(w *window, result *schema.Result, known *schema.Parked) {
	parked := w.isParked(result.Index)
	if fed, out := w.fedAt(result.Index); out && (!parked || known != nil && known.HeldSince != nil) {
		result.Attempts = known.Lost(fed, false)
	}
	if known != nil {
		result.Attempts = append(result.Attempts, known.Attempts...)
	}
	if known != nil && parked {
		result.Error.Message += "; it waited: " + known.Reason
	}
	if len(result.Attempts) > 0 {
		result.StartedAt = &result.Attempts[0].StartedAt
	}
	result.SetBill(schema.BillOf(result.Attempts))
}

// conclude writes the final state, publishes it, and clears up.
func (r *run) conclude(ctx context.Context) error {
	o, key := r.o, r.rec.Key()
	starts, err := countUnlisted(ctx, o.Store, &r.rec, r.window.finished.Has)
	if err != nil {
		return err
	}
	r.tally.unknown += starts
	r.tally.write(&r.rec.State, 0)
	r.rec.Waiting = nil
	r.rec.Isolated = 0
	r.rec.State.State, r.rec.Reason = verdict(&r.tally, r.rec.Total, r.ending)
	r.rec.Counts.NotStarted = r.rec.Total - r.tally.counts.Stored()
	if err := o.Store.Records.Close(ctx, r.rec.Record); err != nil {
		return err
	}
	o.logEnd(r.rec.Record)
	if err := o.Store.Results.PutEnd(ctx, r.rec.Record); err != nil {
		return err
	}
	o.Store.Live.PublishProgress(&r.rec.State, 0)
	if err := errors.Join(o.Feeder.Purge(ctx, key), o.Store.Parked.Purge(ctx, key.Queue, key.ID)); err != nil {
		o.Log.Debug().Err(err).Str("job", r.rec.ID).Msg("what is left of its work ages out")
	}
	if err := r.relay.wait(ctx); err != nil {
		return err
	}
	return o.callBack(ctx, r.rec.Record, r.job)
}

// logEnd writes the one line that a job's end is worth.
func (o *Owner) logEnd(rec *store.Record) {
	c := rec.Counts
	line := o.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Str("state", string(rec.State.State)).
		Int("total", rec.Total).Int("succeeded", c.Succeeded).Int("failed", c.Failed)
	if rec.Reason != nil {
		line = line.Str("reason", rec.Reason.Code).Str("why", rec.Reason.Message)
	}
	if rec.StartedAt != nil {
		line = line.Dur("took", rec.FinishedAt.Sub(*rec.StartedAt))
	}
	line.Msg("job ended")
	if o.Tracer != nil {
		o.Tracer.JobEnded(rec.Trace, rec.State)
	}
}
