package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"pelton/schema"
)

// end begins the end of a job that is not complete: nothing more is fed, every
// worker is told to stop, and what was fed gets time to come back.
func (j *owned) end(ctx context.Context, why ending) error {
	if j.ending != nil || j.tally.counts.Stored() == j.rec.Total {
		return nil
	}
	j.beginEnd(why)
	marker := schema.Cancel{Reason: why.reason.Message, Code: why.reason.Code, Index: why.reason.Index}
	for {
		err := j.b.Cancels.Publish(ctx, j.rec.Queue, j.rec.ID, marker)
		if err == nil {
			return j.storeLeftovers(ctx, true)
		}
		j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Msg("could not publish the cancel; trying again")
		if err := j.pause(ctx, RetryPause); err != nil {
			return err
		}
	}
}

// deadlineAtHand reports whether the deadline may have passed by another process's
// clock. An expired result says so much only then: a request that would have to
// wait past the deadline expires at once, and its job goes on with the others.
// Clocks may differ by [clockSkew]; in a job that has less than ten minutes, by a
// tenth of its time.
func (j *owned) deadlineAtHand(now time.Time) bool {
	return j.deadline.Sub(now) < min(clockSkew, j.deadline.Sub(j.rec.CreatedAt)/10)
}

// endExpired ends a job whose deadline has passed.
func (j *owned) endExpired(ctx context.Context) error {
	return j.end(ctx, ending{schema.Reason{Code: schema.ReasonDeadline,
		Message: "the deadline passed at " + j.deadline.UTC().Format(time.RFC3339)}, schema.StatusExpired})
}

// checkCancel ends the job if it is cancelled and we have not heard of it.
func (j *owned) checkCancel(ctx context.Context) error {
	switch {
	case j.ending != nil:
		return nil
	case !j.abortSeenAt.IsZero():
		return j.explainAbort(ctx)
	}
	marker, cancelled, err := j.o.cfg.Cancels.Find(ctx, j.rec.Queue, j.rec.ID)
	if err != nil || !cancelled {
		return nil // looked for again with every reconciliation
	}
	return j.endCancelled(ctx, marker)
}

// explainAbort looks for the cancel that had a worker abort a call. Where the
// store surely has none, now and [reconcileEvery] after the abort was seen, the
// cancel reached workers alone: its marker was never stored, and the owner of
// that time did not hear it. Workers go on to abort what is fed, so the job
// adopts the cancel.
func (j *owned) explainAbort(ctx context.Context) error {
	now, first := time.Now(), j.abortSeenAt.IsZero()
	if first {
		j.abortSeenAt = now
	}
	asking, cancel := context.WithTimeout(ctx, leaseTime/2)
	marker, cancelled, err := j.o.cfg.Cancels.LookUp(asking, j.rec.Queue, j.rec.ID)
	cancel()
	switch {
	case cancelled:
		return j.endCancelled(ctx, marker)
	case first:
		j.o.cfg.Log.Warn().Err(err).Str("job", j.rec.ID).Str("queue", j.rec.Queue).
			Msg("a worker has aborted a request as cancelled, and no cancel is found: nothing more is fed until it is known why")
	}
	if err != nil || now.Sub(j.abortSeenAt) < reconcileEvery { // the next reconciliation asks again
		return nil
	}
	j.o.cfg.Log.Warn().Str("job", j.rec.ID).Str("queue", j.rec.Queue).
		Msg("no cancel of the job is stored, though a worker was told of one: the job is cancelled")
	return j.end(ctx, ending{schema.Reason{Code: schema.ReasonCancelled, Message: "a worker was told to cancel this job"},
		schema.StatusCancelled})
}

// endCancelled ends the job for the reason that its cancel gives: that of
// whoever published it, or of an earlier owner that had begun to end it.
func (j *owned) endCancelled(ctx context.Context, marker schema.Cancel) error {
	why := ending{schema.Reason{Code: schema.ReasonCancelled, Message: "cancelled"}, schema.StatusCancelled}
	if marker.Reason != "" {
		why.reason.Message = marker.Reason
	}
	switch marker.Code {
	case schema.ReasonFailFast:
		why.reason.Code, why.reason.Index = marker.Code, marker.Index
	case schema.ReasonDeadline:
		why.reason.Code, why.leftover = marker.Code, schema.StatusExpired
	}
	if j.ending != nil || j.tally.counts.Stored() == j.rec.Total {
		return nil
	}
	j.beginEnd(why)
	return j.storeLeftovers(ctx, true)
}

// endSoftly ends a job without aborting what is in flight, which is paid for.
// A next owner comes to the same end by itself.
func (j *owned) endSoftly(ctx context.Context, reason schema.Reason) error {
	if j.ending != nil || j.tally.counts.Stored() == j.rec.Total {
		return nil
	}
	j.recall(ending{reason, schema.StatusCancelled})
	return j.storeLeftovers(ctx, true)
}

// recall begins the end: every request that may ever have reached a worker is in
// the window from now on, so that it gets a result. An index without one has
// never been begun, and a result behind the end is none.
func (j *owned) recall(why ending) {
	j.ending = &why
	if j.o.cfg.Local != nil { // what was fed ahead has not been begun
		for _, index := range j.o.cfg.Local.recall(JobKey{j.rec.Queue, j.rec.ID}) {
			delete(j.window, index)
		}
	}
	fed := fedRequest{at: time.Now()}
	enter := func(index int) {
		if _, there := j.window[index]; !there && !j.tally.done.Has(index) {
			j.window[index] = fed
		}
	}
	for _, index := range j.again {
		enter(index)
	}
	j.again = nil
	for index := j.cursor; j.unknown && index < min(j.doubtful, j.rec.Total); index++ {
		enter(index)
	}
	j.want()
}

func (j *owned) beginEnd(why ending) {
	j.recall(why)
	j.grace = time.After(graceTime)
}

// storeLeftovers gives every request that was fed and has not come back the
// result that the ending gives it, or only those that are parked and so in
// nobody's hands. A result that a worker stores first stands.
func (j *owned) storeLeftovers(ctx context.Context, onlyParked bool) error {
	for index, fed := range j.window {
		if onlyParked && !fed.parked {
			continue
		}
		if err := j.storeLeftover(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

func (j *owned) storeLeftover(ctx context.Context, index int) error {
	if err := j.keepLease(ctx); err != nil {
		return err
	}
	request, err := j.src.At(index)
	if err != nil {
		return err
	}
	w, err := j.work(index, request)
	if err != nil {
		return err
	}
	result := w.Result()
	now := time.Now().UTC()
	result.Status, result.FinishedAt = j.ending.leftover, &now
	result.Error = &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled,
		Message: "the job ended (" + j.ending.reason.Code + ") before this request had an answer"}
	if result.Status == schema.StatusExpired {
		result.Error.Class, result.Error.Code = schema.ClassExpired, schema.CodeExpired
	}
	return j.storeOwn(ctx, result)
}

// conclude writes the final state, publishes it, and clears up.
func (j *owned) conclude(ctx context.Context) error {
	j.tally.write(&j.rec.State, 0)
	j.rec.State.State, j.rec.Reason = j.verdict()
	j.rec.Counts.NotStarted = j.rec.Total - j.tally.counts.Stored()
	if err := j.b.Records.Close(ctx, j.rec); err != nil {
		return err
	}
	j.o.logEnd(j.rec)
	if err := j.b.Results.PutEnd(ctx, j.rec); err != nil {
		return err
	}
	j.b.Live.PublishProgress(&j.rec.State, 0)
	if err := errors.Join(j.purgeWork(ctx), j.b.Parked.Purge(ctx, j.rec.Queue, j.rec.ID)); err != nil {
		j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Msg("what is left of its work ages out")
	}
	if err := j.relay.wait(ctx); err != nil {
		return err
	}
	return j.o.callBack(ctx, j.rec, j.job)
}

// verdict derives the final state from the counts, and where they do not
// decide, from why the job was ended.
func (j *owned) verdict() (schema.Phase, *schema.Reason) {
	c, total := j.tally.counts, j.rec.Total
	switch {
	case c.Succeeded == total:
		return schema.Succeeded, nil
	case c.Failed == total:
		reason := &schema.Reason{Code: schema.ReasonAllFailed, Message: "every request failed"}
		if total > 0 {
			first := j.tally.first
			reason.Index = &first
		}
		return schema.Failed, reason
	case c.Succeeded+c.Failed == total:
		return schema.CompletedWithErrors, nil
	}
	why := ending{reason: schema.Reason{Code: schema.ReasonCancelled, Message: "cancelled"}}
	if j.ending != nil {
		why = *j.ending
	} else if c.Expired > 0 {
		why.reason = schema.Reason{Code: schema.ReasonDeadline,
			Message: strconv.Itoa(c.Expired) + " of " + strconv.Itoa(total) + " requests could not be answered before the deadline"}
	}
	switch why.reason.Code {
	case schema.ReasonDeadline:
		return schema.Expired, &why.reason
	case schema.ReasonCancelled:
		return schema.Cancelled, &why.reason
	}
	return schema.Failed, &why.reason
}

// logEnd writes the one line that a job's end is worth.
func (o *Owner) logEnd(r *Record) {
	c := r.Counts
	line := o.cfg.Log.Info().Str("job", r.ID).Str("queue", r.Queue).Str("state", string(r.State.State)).
		Int("total", r.Total).Int("succeeded", c.Succeeded).Int("failed", c.Failed)
	if r.Reason != nil {
		line = line.Str("reason", r.Reason.Code).Str("why", r.Reason.Message)
	}
	if r.StartedAt != nil {
		line = line.Dur("took", r.FinishedAt.Sub(*r.StartedAt))
	}
	line.Msg("job ended")
	if o.cfg.Tracer != nil {
		o.cfg.Tracer.JobEnded(r.Trace, r.State)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped waiting: %w", context.Cause(ctx))
	}
}
