package owner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"pelton/jobs/store"
	"pelton/schema"
)

// acceptJob takes a job message through its life: read it, see whose it is, and run
// it, replay it or refuse it. It returns nil when the message is done with.
func (o *Owner) acceptJob(d *store.JobDelivery) error {
	ctx := d.Context()
	job, want, problem := o.Store.Jobs.Parse(d.JobMessage)
	if err := o.needsRoom(ctx, want); err != nil {
		return err
	}
	if problem == nil {
		var err error
		if want.Hash, problem, err = o.Store.Jobs.Identify(ctx, d.Data, job); err != nil {
			return err
		}
	}
	rec, how, err := o.Store.Records.Claim(ctx, want, newToken(o.Name))
	if rec != nil {
		rec.Trace = want.Trace
	}
	switch {
	case err != nil:
		return err
	case how == store.ClaimEnded && rec.Callback != nil && rec.Callback.Attempts > 0: // all else was done before
		return o.callBack(ctx, rec, job)
	case how == store.ClaimEnded:
		return o.republishEnd(ctx, rec, job)
	case how == store.ClaimDuplicate:
		o.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Msg("the same job was published again: it is not run twice")
		if want.Input != rec.Input {
			o.Store.EraseCopy(ctx, want.Input)
		}
		return o.replayResults(ctx, rec, job, 0)
	case how == store.ClaimConflict:
		return o.refuse(ctx, conflict(want, d.Seq), schema.Reason{Code: schema.ReasonIDConflict,
			Message: fmt.Sprintf("the id %s belongs to a job with other content; choose another id", want.ID)}, job)
	case problem != nil:
		return o.refuse(ctx, rec, invalid(problem), job)
	}
	return o.runJob(ctx, job, rec, how == store.ClaimTakeover)
}

// needsRoom hands a job back that nobody has begun while the store is nearly full. It
// may have been asked for when there still was room.
func (o *Owner) needsRoom(ctx context.Context, want store.Record) error {
	if !o.Store.Full(ctx) {
		return nil
	}
	have, err := o.Store.Records.Load(ctx, want.Queue, want.ID)
	if err != nil || have != nil {
		return err
	}
	return &laterError{retryJob}
}

// runJob runs a job that this process has claimed, or ends it where its input shows
// that it cannot be run.
func (o *Owner) runJob(ctx context.Context, job *schema.Job, rec *store.Record, takeover bool) error {
	o.Cancels.SetPublishedAt(rec.Queue, rec.ID, rec.CreatedAt)
	r := &run{
		o: o, job: job, deadline: o.Store.Deadline(job, rec.CreatedAt),
		tally: tally{first: -1}, limit: newConcurrency(job.Concurrency), policy: newPolicy(job), inbox: newInbox[store.ResultMeta](),
	}
	r.rec = lease{Record: rec, records: o.Store.Records, update: r.writeState, log: o.Log}
	in, err := openInput(ctx, o.Store, job)
	if err == nil {
		defer in.Close()
		rec.Total = in.Len()
		err = checkPrices(job, in, o.Priced, func() error { return r.rec.renewIfDue(ctx) })
	}
	if problems := (*schema.Problems)(nil); errors.As(err, &problems) {
		rec.Total = problems.Requests
		return o.refuse(ctx, rec, invalid(err), job)
	}
	if err != nil {
		return err
	}
	r.input, r.window, r.feeder = in, newWindow(rec.Total), newFeeder(o, job, rec, r.deadline)
	if takeover {
		if o.Observer != nil {
			o.Observer.TookOver(rec.Queue)
		}
		o.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Msg("going on with a job that another worker began")
	}
	return r.start(ctx, takeover)
}

// newToken returns an owner's name in a record: that of the worker, and what tells one
// ownership from every other, also of workers that were given the same name.
func newToken(name string) string { return name + " " + rand.Text() }

// invalid is the reason of a job that cannot be run as it is.
func invalid(problem error) schema.Reason {
	reason := schema.Reason{Code: schema.ReasonInvalidJob, Message: problem.Error()}
	if all := (*schema.Problems)(nil); errors.As(problem, &all) {
		reason.Problems = all.List[:min(len(all.List), schema.MaxReasonProblems)]
	}
	return reason
}

// conflict is the record of a job that cannot have the id it asks for.
func conflict(want store.Record, seq uint64) *store.Record {
	want.ID, want.ExternalID = "j"+strconv.FormatUint(seq, 10), want.ID
	return &want
}

// refuse ends a job that is not run. The message stays in the jobs stream under
// the sequence in its record.
func (o *Owner) refuse(ctx context.Context, rec *store.Record, reason schema.Reason, job *schema.Job) error {
	if rec.Revision == 0 { // not claimed yet
		claimed, how, err := o.Store.Records.Claim(ctx, *rec, newToken(o.Name))
		if err != nil {
			return err
		}
		claimed.Trace, rec = rec.Trace, claimed
		if how == store.ClaimEnded {
			return o.republishEnd(ctx, rec, job)
		}
	}
	rec.State.State, rec.Reason = schema.Failed, &reason
	rec.Counts.NotStarted = rec.Total
	if err := o.Store.Records.Close(ctx, rec); err != nil {
		return err
	}
	o.logEnd(rec)
	return o.republishEnd(ctx, rec, job)
}

// republishEnd publishes the end of a job that has one, as often as it takes, and
// relays what the dead owner did not.
func (o *Owner) republishEnd(ctx context.Context, rec *store.Record, job *schema.Job) error {
	if err := o.Store.Results.PutEnd(ctx, rec); err != nil {
		return err
	}
	if err := o.replayResults(ctx, rec, job, rec.Relayed); err != nil {
		return err
	}
	return o.callBack(ctx, rec, job)
}

// replayResults sends the results of a job behind a place to the reply subject of
// its repetition, or of the job that a dead owner did not send them of.
func (o *Owner) replayResults(ctx context.Context, rec *store.Record, job *schema.Job, from uint64) error {
	if job.Reply == "" || !o.Store.MayReply(job.Reply) {
		return nil
	}
	switch err := o.Store.Results.Readable(ctx, &rec.State); {
	case errors.Is(err, store.ErrAgedOut): // there is no end to wait for
		return o.replyGone(ctx, rec, job.Reply)
	case err != nil:
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	copied := *rec
	copied.Relayed = from
	r := startRelay(ctx, o.Store, &copied, job.Reply, job.Order)
	select {
	case err := <-r.done:
		return err
	case <-o.quit:
		cancel()
		<-r.done
		return errReleased
	}
}

// replyGone sends the final state of a job whose results have aged out.
func (o *Owner) replyGone(ctx context.Context, rec *store.Record, reply string) error {
	o.Log.Warn().Str("job", rec.ID).Str("queue", rec.Queue).
		Msg("the job was published again after its results had aged out: its reply gets its final state alone")
	to := o.Store.Live.Reply(reply)
	defer to.Close()
	err := to.SendEnd(&rec.State)
	if err == nil {
		err = to.Flush(ctx)
	}
	if errors.Is(err, store.ErrDenied) {
		logRefused(o.Store, rec, err)
		return nil
	}
	return err
}
