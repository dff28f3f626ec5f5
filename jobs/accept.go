package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"pelton/internal/nats/denied"
	"pelton/internal/nats/pull"
	"pelton/schema"
)

// own takes a job message through its life: read it, see whose it is, and run
// it, replay it or refuse it. It returns nil when the message is done with.
func (o *Owner) own(d *pull.Delivery) error {
	ctx := d.Context()
	at, ok := o.b.names.Parse("jobs", d.Msg.Subject)
	if !ok {
		return fmt.Errorf("%s is no subject of a job", d.Msg.Subject)
	}
	job, want, problem := o.b.readJob(at.Queue, d)
	if problem == nil {
		var err error
		if want.Hash, problem, err = o.b.identify(ctx, d.Msg.Data, job); err != nil {
			return err
		}
	}
	rec, how, err := o.b.claim(ctx, want, o.token())
	if rec != nil {
		rec.trace = want.trace
	}
	switch {
	case err != nil:
		return err
	case how == claimEnded && rec.Callback != nil && rec.Callback.Attempts > 0: // all else was done before
		return o.callBack(ctx, rec, job)
	case how == claimEnded:
		return o.repeatEnd(ctx, rec, job)
	case how == claimDuplicate:
		o.cfg.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Msg("the same job was published again: it is not run twice")
		if want.Input != rec.Input {
			o.b.dropCopy(ctx, want.Input)
		}
		return o.replay(ctx, rec, job)
	case how == claimConflict:
		return o.refuse(ctx, conflict(want, d.Sequence), schema.Reason{Code: schema.ReasonIDConflict,
			Message: fmt.Sprintf("the id %s belongs to a job with other content; choose another id", want.ID)}, job)
	case problem != nil:
		return o.refuse(ctx, rec, invalid(problem), job)
	}
	j := &owned{o: o, b: o.b, d: d, job: job, rec: rec, trace: o.traceOf(rec),
		deadline: o.b.set.deadline(job, d.Published)}
	o.cfg.Cancels.Begun(rec.Queue, rec.ID, d.Published)
	err = j.open(ctx)
	if problems := (*schema.Problems)(nil); errors.As(err, &problems) {
		rec.Total = problems.Requests
		return o.refuse(ctx, rec, invalid(err), job)
	}
	if err != nil {
		return err
	}
	defer j.src.Close()
	if how == claimTakeover {
		if o.cfg.Observer != nil {
			o.cfg.Observer.TookOver(rec.Queue)
		}
		o.cfg.Log.Info().Str("job", rec.ID).Str("queue", rec.Queue).Msg("going on with a job that another worker began")
	}
	return j.see(ctx, how == claimTakeover)
}

// token is an owner's name in a record: that of the worker, and what tells one
// ownership from every other, also of workers that were given the same name.
func (o *Owner) token() string { return o.cfg.Name + " " + nuid.Next() }

func (b *Broker) limits() schema.Limits {
	return schema.Limits{Prefix: b.names.Prefix, AutoConcurrency: b.set.AutoConcurrency}
}

// readJob reads a job message and the record it would begin with. A job that is
// not valid is returned as far as it could be read, with what is wrong.
func (b *Broker) readJob(queue string, d *pull.Delivery) (*schema.Job, record, error) {
	now := time.Now().UTC()
	want := record{Seq: d.Sequence, Hash: hashOf(d.Msg.Data), trace: traceText(d.Msg.Header.Get(schema.HeaderTrace)), State: schema.State{
		Queue: queue, State: schema.Running, CreatedAt: d.Published.UTC(), StartedAt: &now,
	}}
	data, id, err := unwrap(d.Msg)
	job := &schema.Job{}
	if err == nil {
		job, err = schema.ParseJob(data, b.limits())
		if job == nil {
			job = &schema.Job{}
		}
	}
	want.ID, want.ExternalID = jobID(job, id, d.Sequence)
	if err == nil {
		err = b.checkJob(job, d.Published)
	}
	if of := d.Msg.Header.Get(schema.HeaderRetryOf); schema.ValidQueue(of) { // the alphabet of ids that were given, too
		want.RetryOf = of
	}
	if job.Callback != "" && b.set.checkCallback(job.Callback) == "" {
		want.Callback = &schema.Callback{Name: job.Callback, Status: schema.CallbackPending}
	}
	want.Metadata, want.Input, want.Total = job.Metadata, inputOf(job), len(job.Requests)
	if problems := (*schema.Problems)(nil); errors.As(err, &problems) {
		want.Total = problems.Requests
	}
	return job, want, err
}

// unwrap returns a message's job and the id its envelope gives it: that of a
// CloudEvent, else that of the Nats-Msg-Id header.
func unwrap(m *nats.Msg) (data []byte, id string, err error) {
	data, id, ok, err := schema.FromCloudEvent(m.Header, m.Data)
	if ok || err != nil {
		return data, id, err
	}
	return m.Data, m.Header.Get(nats.MsgIdHdr), nil
}

// jobID is a job's own id, else the one of its message, else that of its place.
func jobID(job *schema.Job, id string, seq uint64) (name, external string) {
	if job.ID != "" {
		return job.ID, ""
	}
	if name, external = schema.NormalizeID(id); name != "" {
		return name, external
	}
	return "j" + strconv.FormatUint(seq, 10), ""
}

func inputOf(job *schema.Job) string {
	if job.Input == nil {
		return ""
	}
	return job.Input.Object
}

// checkJob judges what depends on this installation.
func (b *Broker) checkJob(job *schema.Job, published time.Time) error {
	var list []schema.Problem
	if most := b.set.longestDeadline(); b.set.deadline(job, published).After(published.Add(most + time.Second)) {
		list = append(list, schema.Problem{Code: schema.ProblemTooLarge, Index: -1, Field: "deadline",
			Message: fmt.Sprintf("at most %s after publish is allowed, half the time results are kept", most)})
	}
	if job.Reply != "" && !replyAllowed(job.Reply, b.set.ReplyAllow) {
		list = append(list, schema.Problem{Code: schema.ProblemValue, Index: -1, Field: "reply",
			Message: fmt.Sprintf("%q is not among the subjects that PELTON_REPLY_ALLOW permits", job.Reply)})
	}
	if job.Notify != "" && !replyAllowed(job.Notify, b.set.ReplyAllow) {
		list = append(list, schema.Problem{Code: schema.ProblemValue, Index: -1, Field: "notify",
			Message: fmt.Sprintf("%q is not among the subjects that PELTON_REPLY_ALLOW permits", job.Notify)})
	}
	if problem := b.set.checkCallback(job.Callback); problem != "" {
		list = append(list, schema.Problem{Code: schema.ProblemValue, Index: -1, Field: "callback", Message: problem})
	}
	if len(list) == 0 {
		return nil
	}
	return &schema.Problems{List: list, Total: len(list)}
}

// replyAllowed matches a subject against patterns with NATS wildcards.
func replyAllowed(subject string, patterns []string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return subjectMatches(p, subject) })
}

// identify returns the hash by which a job that is published again is known: of
// the message, with the content of its input in the place of the input's name.
// problem is what is wrong with the job, err what is wrong with the broker.
func (b *Broker) identify(ctx context.Context, message []byte, job *schema.Job) (hash string, problem, err error) {
	if job.Input == nil {
		return hashOf(message), nil, nil
	}
	var info *jetstream.ObjectInfo
	err = b.objects(ctx, b.names.InputBucket(), func(ctx context.Context, store jetstream.ObjectStore) (err error) {
		info, err = store.GetInfo(ctx, job.Input.Object)
		return err
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return hashOf(message), noInput(job.Input.Object, b.names.InputBucket()), nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("look up the input %s: %w", job.Input.Object, err)
	}
	return hashWithInput(message, info.Digest), nil, nil
}

func hashWithInput(message []byte, digest string) string {
	var envelope map[string]json.RawMessage
	_ = json.Unmarshal(message, &envelope)
	if input := (map[string]json.RawMessage{}); json.Unmarshal(envelope["input"], &input) == nil && input["endpoint"] != nil {
		envelope["input"] = input["endpoint"]
	} else {
		delete(envelope, "input")
	}
	rest, _ := json.Marshal(envelope) // sorts the keys
	return hashOf(rest, []byte(digest))
}

func hashOf(parts ...[]byte) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// invalid is the reason of a job that cannot be run as it is.
func invalid(problem error) schema.Reason {
	reason := schema.Reason{Code: schema.ReasonInvalidJob, Message: problem.Error()}
	if all := (*schema.Problems)(nil); errors.As(problem, &all) {
		reason.Problems = all.List[:min(len(all.List), schema.MaxReasonProblems)]
	}
	return reason
}

// conflict is the record of a job that cannot have the id it asks for.
func conflict(want record, seq uint64) *record {
	want.ID, want.ExternalID = "j"+strconv.FormatUint(seq, 10), want.ID
	return &want
}

// refuse ends a job that is not run. The message stays in the jobs stream under
// the sequence in its record.
func (o *Owner) refuse(ctx context.Context, rec *record, reason schema.Reason, job *schema.Job) error {
	if rec.revision == 0 { // not claimed yet
		claimed, how, err := o.b.claim(ctx, *rec, o.token())
		if err != nil {
			return err
		}
		claimed.trace, rec = rec.trace, claimed
		if how == claimEnded {
			return o.repeatEnd(ctx, rec, job)
		}
	}
	rec.State.State, rec.Reason = schema.Failed, &reason
	rec.Counts.NotStarted = rec.Total
	if err := o.b.closeRecord(ctx, rec); err != nil {
		return err
	}
	o.logEnd(rec)
	return o.repeatEnd(ctx, rec, job)
}

// repeatEnd publishes the end of a job that has one, as often as it takes, and
// relays what the dead owner did not.
func (o *Owner) repeatEnd(ctx context.Context, rec *record, job *schema.Job) error {
	if err := o.b.publishEnd(ctx, rec); err != nil {
		return err
	}
	if err := o.replayFrom(ctx, rec, job, rec.Relayed); err != nil {
		return err
	}
	return o.callBack(ctx, rec, job)
}

// replay sends all results of a job to the reply subject of its repetition.
func (o *Owner) replay(ctx context.Context, rec *record, job *schema.Job) error {
	return o.replayFrom(ctx, rec, job, 0)
}

func (o *Owner) replayFrom(ctx context.Context, rec *record, job *schema.Job, from uint64) error {
	if job.Reply == "" || !replyAllowed(job.Reply, o.b.set.ReplyAllow) {
		return nil
	}
	switch err := (&Handle{b: o.b, queue: rec.Queue, id: rec.ID}).readable(ctx); {
	case errors.Is(err, ErrAgedOut): // there is no end to wait for
		return o.replyGone(ctx, rec, job.Reply)
	case err != nil:
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	copied := *rec
	copied.Relayed = from
	r := o.b.startRelay(ctx, &copied, job.Reply, job.Order)
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
func (o *Owner) replyGone(ctx context.Context, rec *record, reply string) error {
	o.cfg.Log.Warn().Str("job", rec.ID).Str("queue", rec.Queue).
		Msg("the job was published again after its results had aged out: its reply gets its final state alone")
	data, err := json.Marshal(rec.State)
	if err != nil {
		return err
	}
	call := o.b.watch.Begin(func(*denied.Error) {}, reply)
	defer call.End()
	if err := o.b.nc.PublishMsg(endMsg(reply, &rec.State, data)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err = o.b.nc.FlushWithContext(ctx)
	if refused := o.b.explain(call.Err()); refused != nil {
		o.b.refused(rec, refused)
		return nil
	}
	return err
}
