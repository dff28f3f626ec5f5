package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nuid"

	"pelton/schema"
)

// own takes a job message through its life: read it, see whose it is, and run
// it, replay it or refuse it. It returns nil when the message is done with.
func (o *Owner) own(d *JobDelivery) error {
	ctx := d.Context()
	job, want, problem := o.b.Jobs.Parse(d.JobMessage)
	if problem == nil {
		var err error
		if want.Hash, problem, err = o.b.Jobs.Identify(ctx, d.Data, job); err != nil {
			return err
		}
	}
	rec, how, err := o.b.Records.Claim(ctx, want, o.token())
	if rec != nil {
		rec.Trace = want.Trace
	}
	switch {
	case err != nil:
		return err
	case how == ClaimEnded && rec.Callback != nil && rec.Callback.Attempts > 0: // all else was done before
		return o.callBack(ctx, rec, job)
	case how == ClaimEnded:
		return o.repeatEnd(ctx, rec, job)
	case how == ClaimDuplicate:
		o.cfg.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Msg("the same job was published again: it is not run twice")
		if want.Input != rec.Input {
			o.b.EraseCopy(ctx, want.Input)
		}
		return o.replay(ctx, rec, job)
	case how == ClaimConflict:
		return o.refuse(ctx, conflict(want, d.Seq), schema.Reason{Code: schema.ReasonIDConflict,
			Message: fmt.Sprintf("the id %s belongs to a job with other content; choose another id", want.ID)}, job)
	case problem != nil:
		return o.refuse(ctx, rec, invalid(problem), job)
	}
	j := &owned{o: o, b: o.b, d: d, job: job, rec: rec, trace: o.traceOf(rec),
		deadline: o.b.Deadline(job, d.Published)}
	o.cfg.Cancels.SetPublishedAt(rec.Queue, rec.ID, d.Published)
	err = j.open(ctx)
	if problems := (*schema.Problems)(nil); errors.As(err, &problems) {
		rec.Total = problems.Requests
		return o.refuse(ctx, rec, invalid(err), job)
	}
	if err != nil {
		return err
	}
	defer j.src.Close()
	if how == ClaimTakeover {
		if o.cfg.Observer != nil {
			o.cfg.Observer.TookOver(rec.Queue)
		}
		o.cfg.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Msg("going on with a job that another worker began")
	}
	return j.see(ctx, how == ClaimTakeover)
}

// token is an owner's name in a record: that of the worker, and what tells one
// ownership from every other, also of workers that were given the same name.
func (o *Owner) token() string { return o.cfg.Name + " " + nuid.Next() }

// invalid is the reason of a job that cannot be run as it is.
func invalid(problem error) schema.Reason {
	reason := schema.Reason{Code: schema.ReasonInvalidJob, Message: problem.Error()}
	if all := (*schema.Problems)(nil); errors.As(problem, &all) {
		reason.Problems = all.List[:min(len(all.List), schema.MaxReasonProblems)]
	}
	return reason
}

// conflict is the record of a job that cannot have the id it asks for.
func conflict(want Record, seq uint64) *Record {
	want.ID, want.ExternalID = "j"+strconv.FormatUint(seq, 10), want.ID
	return &want
}

// refuse ends a job that is not run. The message stays in the jobs stream under
// the sequence in its record.
func (o *Owner) refuse(ctx context.Context, rec *Record, reason schema.Reason, job *schema.Job) error {
	if rec.Revision == 0 { // not claimed yet
		claimed, how, err := o.b.Records.Claim(ctx, *rec, o.token())
		if err != nil {
			return err
		}
		claimed.Trace, rec = rec.Trace, claimed
		if how == ClaimEnded {
			return o.repeatEnd(ctx, rec, job)
		}
	}
	rec.State.State, rec.Reason = schema.Failed, &reason
	rec.Counts.NotStarted = rec.Total
	if err := o.b.Records.Close(ctx, rec); err != nil {
		return err
	}
	o.logEnd(rec)
	return o.repeatEnd(ctx, rec, job)
}

// repeatEnd publishes the end of a job that has one, as often as it takes, and
// relays what the dead owner did not.
func (o *Owner) repeatEnd(ctx context.Context, rec *Record, job *schema.Job) error {
	if err := o.b.Results.PutEnd(ctx, rec); err != nil {
		return err
	}
	if err := o.replayFrom(ctx, rec, job, rec.Relayed); err != nil {
		return err
	}
	return o.callBack(ctx, rec, job)
}

// replay sends all results of a job to the reply subject of its repetition.
func (o *Owner) replay(ctx context.Context, rec *Record, job *schema.Job) error {
	return o.replayFrom(ctx, rec, job, 0)
}

func (o *Owner) replayFrom(ctx context.Context, rec *Record, job *schema.Job, from uint64) error {
	if job.Reply == "" || !o.b.MayReply(job.Reply) {
		return nil
	}
	switch err := ClientOn(o.b, rec.Queue).Job(rec.Queue, rec.ID).readable(ctx); {
	case errors.Is(err, ErrAgedOut): // there is no end to wait for
		return o.replyGone(ctx, rec, job.Reply)
	case err != nil:
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	copied := *rec
	copied.Relayed = from
	r := startRelay(ctx, o.b, &copied, job.Reply, job.Order)
	select {
	case err := <-r.done:
		return err
	case <-o.quit:
		cancel()
		<-r.done
		return errHandedBack
	}
}

// replyGone sends the final state of a job whose results have aged out.
func (o *Owner) replyGone(ctx context.Context, rec *Record, reply string) error {
	o.cfg.Log.Warn().Str("job", rec.ID).Str("queue", rec.Queue).
		Msg("the job was published again after its results had aged out: its reply gets its final state alone")
	to := o.b.Live.Reply(reply)
	defer to.Close()
	err := to.SendEnd(&rec.State)
	if err == nil {
		err = to.Flush(ctx)
	}
	if errors.Is(err, ErrDenied) {
		refused(o.b, rec, err)
		return nil
	}
	return err
}
