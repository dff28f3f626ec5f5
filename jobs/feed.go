package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// feed fills the job's window: at most its concurrency and its share of the
// queue, and only while the lease holds.
func (j *owned) feed(ctx context.Context) error {
	share, ahead := j.o.shares[j.rec.Queue].of(j.rec.ID), j.ahead()
	for j.ending == nil && len(j.window)-ahead < j.bound.now() && len(j.window)-j.parked-ahead < share && j.mayFeed(time.Now()) {
		index, ok := j.nextIndex()
		if !ok {
			return nil
		}
		if err := j.feedOne(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

// mostAhead is how many requests are fed to this process's own slots beyond what
// may be in flight, so that a slot that has an answer begins the next call while
// that is being stored. What ends with the process is called again: so many
// answers more, at the most, than were in flight.
const mostAhead = 64

// mostAheadBytes bounds what the bodies of those take, as far as the last few tell.
const mostAheadBytes = 16 << 20

// ahead is how many requests of this job are fed ahead. A job that is to end at
// a failure or a cost has none: what has not been counted is not followed by
// another call.
func (j *owned) ahead() int {
	if j.o.cfg.Local == nil || j.bound.auto || j.job.FailFast != (schema.FailFast{}) || j.job.MaxCost > 0 {
		return 0
	}
	return min(8*j.bound.now(), mostAhead, mostAheadBytes/max(1, j.bulk))
}

// mayFeed reports whether nothing forbids it: a lease that may have ended, a
// broker that did not take the last, or the deadline.
func (j *owned) mayFeed(now time.Time) bool {
	return now.Sub(j.rec.Written) < leaseTime && now.After(j.hold) && now.Before(j.deadline) && j.abortSeenAt.IsZero()
}

// nextIndex picks what was lost on the way first, then the next in the input.
func (j *owned) nextIndex() (int, bool) {
	for len(j.again) > 0 {
		index := j.again[len(j.again)-1]
		j.again = j.again[:len(j.again)-1]
		if !j.tally.done.Has(index) {
			return index, true
		}
	}
	for j.cursor < j.rec.Total {
		index := j.cursor
		j.cursor++
		if _, fed := j.window[index]; !fed && !j.tally.done.Has(index) {
			return index, true
		}
	}
	return 0, false
}

// feedOne publishes one request. The subject must be empty: what is queued or
// in a worker's hands is not fed twice.
func (j *owned) feedOne(ctx context.Context, index int) error {
	request, err := j.src.At(index)
	if err != nil {
		return fmt.Errorf("job %s: read request %d: %w", j.rec.ID, index, err)
	}
	if request.Problem != nil {
		return j.storeInvalid(ctx, index, request)
	}
	w, err := j.work(index, request)
	if err != nil {
		return err
	}
	fed := fedRequest{at: time.Now()}
	w.FedAt, w.Again = fed.at, index < j.doubtful || j.returning.Has(index)
	j.event(index, schema.Event{Kind: schema.EventQueued})
	if j.o.cfg.Local != nil {
		j.window[index], j.bulk = fed, max(len(w.Body), j.bulk*7/8)
		j.o.cfg.Local.put(w, j.bound.now(), j.ahead())
		return nil
	}
	if !j.b.Fits(len(w.Body)) {
		if w.object, err = j.b.Objects.PutBody(ctx, j.key(), w.Body); err != nil {
			return fmt.Errorf("job %s: request %d: %w", j.rec.ID, index, err)
		}
		fed.object = w.object
	}
	j.window[index] = fed
	err = j.b.Work.Put(ctx, workMsg(j.b, w), func(_ uint64, err error) {
		if err != nil && !IsWrongLastSeq(err) { // occupied: it is there, by an earlier publish whose answer was lost
			j.o.cfg.Log.Debug().Err(err).Str("job", w.Job).Int("index", index).Msg("a request was not taken; feeding it again")
			j.unfed.put(index)
		}
	})
	if err != nil {
		j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Int("index", index).Msg("could not feed; trying again")
		j.lost(index)
	}
	return nil
}

// work makes the message for a request: its body with the job's defaults.
func (j *owned) work(index int, r schema.Request) (*Work, error) {
	body, err := schema.Merge(r.Body, j.job.Defaults)
	if err != nil {
		return nil, fmt.Errorf("job %s: request %d: %w", j.rec.ID, index, err)
	}
	w := &Work{
		Queue: j.rec.Queue, Job: j.rec.ID, Index: index, Total: j.rec.Total,
		CustomID: r.CustomID, Endpoint: r.URL, Timeout: r.Timeout, Deadline: j.deadline,
		QueuedAt: j.rec.CreatedAt, Include: j.job.IncludeRequest, Trace: j.trace, Body: body, Tags: j.job.Tags,
	}
	if w.Endpoint == "" {
		w.Endpoint = schema.ChatCompletions
	}
	if w.Timeout == 0 {
		w.Timeout = j.job.Timeout
	}
	if w.Timeout == 0 {
		w.Timeout = schema.DefaultTimeout
	}
	return w, nil
}

// storeInvalid gives a request that the job said to skip its failed result.
func (j *owned) storeInvalid(ctx context.Context, index int, r schema.Request) error {
	w, err := j.work(index, schema.Request{Body: []byte("{}"), CustomID: r.CustomID})
	if err != nil {
		return err
	}
	result := w.Result()
	result.Request = nil
	result.Status, result.Error = schema.StatusFailed, r.Problem
	now := time.Now().UTC()
	result.FinishedAt = &now
	return j.storeOwn(ctx, result)
}

// storeOwn stores a result that the owner itself decides, until it is stored.
func (j *owned) storeOwn(ctx context.Context, r *schema.Result) error {
	for {
		out, err := j.b.Results.Put(ctx, j.rec.Queue, r, j.rec.Total)
		if err == nil && j.o.cfg.Observer != nil {
			j.o.cfg.Observer.Stored(j.rec.Queue, r)
		}
		if errors.Is(err, ErrStored) {
			out, err = j.b.Results.PutOrFind(ctx, j.rec.Queue, r, j.rec.Total)
		}
		if err == nil {
			return j.count(ctx, []ResultMeta{out})
		}
		j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Int("index", r.Index).Msg("could not store; trying again")
		if err := j.pause(ctx, RetryPause); err != nil {
			return err
		}
	}
}

// pause waits, and keeps the lease meanwhile.
func (j *owned) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return j.renew(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lost puts a request that did not reach the work stream, or vanished from it,
// back in line; at the end of a job it is waited for as long as any other.
func (j *owned) lost(index int) {
	if j.ending != nil {
		return
	}
	if fed, ok := j.window[index]; ok && !fed.parked {
		delete(j.window, index)
		j.again = append(j.again, index)
		j.returning.Add(index)
		j.hold = time.Now().Add(RetryPause)
	}
}

// reconcile looks at what has been out for a while: what has left the work
// stream is stored, or was lost with it. That catches every word that did not
// reach us, and a broker that came back without its memory.
func (j *owned) reconcile(ctx context.Context) {
	now := time.Now()
	var old []int
	seek := false
	for index, fed := range j.window {
		if now.Sub(fed.at) > reconcileEvery && !fed.parked {
			old = append(old, index)
			seek = seek || j.isOverdue(fed.at, now)
		}
	}
	if len(old) == 0 && len(j.again) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTime/2)
	defer cancel()
	// The list first: what has left it was stored before.
	present, _, err := j.inWork(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = j.b.SetupOnce(ctx, map[string]int{j.rec.Queue: j.o.cfg.Queues[j.rec.Queue]})
	}
	if err != nil {
		j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Msg("could not look at the work stream")
		return
	}
	if seek {
		j.sought = now
		if err := j.freeForgotten(ctx); err != nil {
			j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Msg("could not find out what the broker has forgotten")
		}
	}
	for _, index := range old {
		if present[index] {
			continue
		}
		out, ok, err := j.b.Results.Meta(ctx, j.rec.Queue, j.rec.ID, index)
		switch {
		case err != nil:
			return
		case ok:
			j.inbox.put(out)
		default:
			if err = j.lostOrParked(ctx, index); err != nil {
				j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Int("index", index).Msg("could not find out where a request is")
				return
			}
		}
	}
	j.inbox.nudge()
}

// lostOrParked decides on a request that is neither queued nor stored: the word
// that it was parked may have been lost, or the request itself.
func (j *owned) lostOrParked(ctx context.Context, index int) error {
	if j.ending != nil {
		return j.storeLeftover(ctx, index)
	}
	p, err := j.b.Parked.Get(ctx, j.rec.Queue, j.rec.ID, index)
	switch {
	case err != nil: // not told yet; the next round asks again
		return err
	case p == nil:
		j.lost(index)
	default:
		j.park(index, p.ReadyAt)
	}
	return nil
}

// catchUp learns what an earlier owner left: what is in the work stream, then
// what is stored. In this order: a request that moves from the one to the other
// meanwhile is seen.
func (j *owned) catchUp(ctx context.Context) error {
	present, since, err := j.inWork(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return Explain(err)
	}
	j.unknown = err != nil || since.After(j.d.Published)
	died := map[string]bool{}
	err = j.b.Results.EachMeta(ctx, j.rec.Queue, j.rec.ID, func(out ResultMeta) error {
		if out.Index < j.rec.Total {
			j.tally.add(out)
			if out.DeadModel != "" {
				died[out.DeadModel] = true
			}
		}
		return j.keepLease(ctx)
	})
	if err != nil {
		return err
	}
	now := time.Now()
	for index := range present {
		if index < j.rec.Total && !j.tally.done.Has(index) {
			j.window[index] = fedRequest{at: now}
		}
	}
	if err := j.readParked(ctx, present); err != nil {
		return err
	}
	// Requests are fed in their order: the earlier owner had come no further.
	j.doubtful = j.tally.counts.Stored() + j.bound.most()
	if j.o.cfg.Local != nil {
		j.doubtful += mostAhead
	}
	for model := range died {
		if err := j.died(ctx, model); err != nil {
			return err
		}
	}
	return errors.Join(j.applyMaxCost(ctx), j.applyFailFast(ctx))
}

// inWork lists the indexes of the job that are queued or in the hands of a worker.
// since is when that began to be known: of what was fed before, nothing is.
func (j *owned) inWork(ctx context.Context) (present map[int]bool, since time.Time, err error) {
	if local := j.o.cfg.Local; local != nil {
		return local.indexes(j.name()), time.Time{}, nil // its readers end with it
	}
	return j.b.Work.Indexes(ctx, j.name())
}

// purgeWork removes what is left of the job there.
func (j *owned) purgeWork(ctx context.Context) error {
	if local := j.o.cfg.Local; local != nil {
		local.purge(j.name())
		return nil
	}
	return j.b.Work.Purge(ctx, j.name())
}

// event publishes what the owner sees of a request, where somebody listens.
func (j *owned) event(index int, e schema.Event) {
	if j.b.Live.Listened(j.name()) {
		j.b.Live.PublishEvent(j.name(), index, e)
	}
}
