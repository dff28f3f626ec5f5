package owner

import (
	"context"
	"sync/atomic"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// run is one job in the hands of this process, from the claim of its record to its
// end or to the next owner. Only its loop's goroutine touches it, but for what says
// otherwise.
type run struct {
	o        *Owner // read only
	job      *schema.Job
	rec      lease
	input    input
	deadline time.Time

	window  window
	tally   tally
	limit   concurrency
	policy  policy
	ending  *ending   // set once the job is to end before all requests have results
	aborted time.Time // when a worker was first seen to have aborted a request: nothing is fed until it is known why

	inbox    *inbox[store.ResultMeta] // results that are stored; any goroutine puts
	feeder   feeder
	progress progress
	timers   timers
	isolated isolated
	asking   asking
	inHand   inHand
	relay    *relay // nil: the job has no reply
}

// progress is when a snapshot was published last, and whether one is asked for.
type progress struct {
	at        time.Time
	requested atomic.Bool // set by any goroutine: somebody has begun to listen
}

// timers wake the loop; nil: they are not set.
type timers struct {
	parked    <-chan time.Time // the next parked request is ready
	grace     <-chan time.Time // what is out has had time to come back
	reclaimed time.Time        // when the queue was last asked what it has forgotten
}

// Periods of the loop.
const (
	progressEvery  = 350 * time.Millisecond // with the final one at most four a second
	progressGap    = 334 * time.Millisecond
	reconcileEvery = 3 * time.Second
	graceTime      = 3 * time.Second // for calls to be aborted and stored after a cancel
)

// start runs the job to its end.
func (r *run) start(ctx context.Context, takeover bool) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()

	key := r.rec.Key()
	r.o.runs.add(r)
	defer r.o.unregister(r)
	stopListening, err := r.o.Store.Live.OnStored(key, r.inbox.put)
	if err != nil {
		return err
	}
	defer stopListening()
	cancelled := make(chan schema.Cancel, 1)
	defer r.o.Cancels.OnCancel(key.Queue, key.ID, func(c schema.Cancel) { cancelled <- c })()

	if err := r.rec.renewIfDue(ctx); err != nil { // reading the input may have taken long
		return err
	}
	if takeover {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
	}
	// Asked after OnCancel, so that no cancel falls between the two.
	if marker, found, err := r.o.Cancels.Find(ctx, key.Queue, key.ID); err != nil {
		return err
	} else if found {
		if err := r.end(ctx, cancelledBy(marker)); err != nil {
			return err
		}
	}
	if r.job.Reply != "" {
		r.relay = startRelay(inner, r.o.Store, r.rec.Record, r.job.Reply, r.job.Order)
	}
	r.publishDemand()
	return r.loop(ctx, cancelled)
}

func (r *run) loop(ctx context.Context, cancelled <-chan schema.Cancel) error {
	renew := time.NewTicker(store.Heartbeat)
	defer renew.Stop()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	reconcile := time.NewTicker(reconcileEvery)
	defer reconcile.Stop()
	deadline := time.NewTimer(time.Until(r.deadline))
	defer deadline.Stop()
	var spare []store.ResultMeta
	var err error
	for {
		if r.tally.counts.Stored() == r.rec.Total || r.ending != nil && r.window.empty() {
			return r.conclude(ctx)
		}
		if err = r.feed(ctx); err != nil {
			return err
		}
		select {
		case <-r.inbox.wake:
			spare = r.inbox.take(spare)
			err = r.count(ctx, spare)
		case <-r.feeder.rejected.wake:
			for _, index := range r.feeder.rejected.take(nil) {
				r.requeue(index)
			}
		case now := <-r.timers.parked:
			r.unpark(ctx, now)
		case <-renew.C:
			err = r.rec.renew(ctx)
		case <-progress.C:
			r.publishProgress()
		case <-reconcile.C:
			if err = r.checkCancel(ctx); err == nil {
				r.reconcile(ctx)
			}
		case <-deadline.C:
			err = r.end(ctx, expired(r.deadline))
		case marker := <-cancelled:
			err = r.end(ctx, cancelledBy(marker))
		case <-r.timers.grace:
			r.timers.grace = nil
			err = r.storeLeftovers(ctx, false)
		case <-r.o.quit: // the next owner goes on from what is written down
			if err = r.rec.renew(ctx); err == nil {
				err = errReleased
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// count takes note of stored results.
func (r *run) count(ctx context.Context, list []store.ResultMeta) error {
	sawAborted, sawExpired := false, false
	var dead []string
	for _, meta := range list {
		if meta.Index >= r.rec.Total {
			continue
		}
		if fedAt, ok := r.window.fedAt(meta.Index); ok && !isHeld(meta.Wait) {
			r.limit.observe(meta, fedAt, time.Now(), r.window.full(r.limit.now()))
		}
		if meta.Status == schema.StatusParked {
			if r.park(meta.Index, meta.ReadyAt, meta.Wait); r.ending == nil {
				continue
			}
			if err := r.storeLeftovers(ctx, true); err != nil { // it would come back to be fed
				return err
			}
			continue
		}
		object, first := r.window.done(meta.Index)
		if !first {
			continue
		}
		r.tally.add(meta)
		delete(r.isolated, meta.Index)
		publishEvent(r.o.Store.Live, r.rec.Key(), meta.Index, schema.Event{Kind: schema.EventFinished, Status: meta.Status,
			Usage: meta.Usage, UnknownAttempts: meta.UnknownAttempts})
		if meta.DeadModel != "" {
			dead = append(dead, meta.DeadModel)
		}
		r.o.Store.Objects.DeleteBody(ctx, object)
		if follow := r.asking.answered(meta.Index, meta.Status, time.Now()); r.ending == nil {
			if err := r.wake(ctx, follow); err != nil {
				return err
			}
		}
		sawAborted = sawAborted || meta.Status == schema.StatusCancelled
		sawExpired = sawExpired || meta.Status == schema.StatusExpired
	}
	r.publishDemand()
	// A worker may have heard of the end before us: nothing more is fed.
	var err error
	switch {
	case sawAborted && r.ending == nil:
		err = r.explainAbort(ctx)
	case sawExpired && deadlineAtHand(r.rec.CreatedAt, r.deadline, time.Now(), clockSkew):
		err = r.end(ctx, expired(r.deadline))
	}
	if err != nil {
		return err
	}
	return r.decide(ctx, dead)
}

// clockSkew is by how much the clocks of two processes may differ.
const clockSkew = time.Minute

// decide ends the job where a policy says so; dead are the models that were newly
// found to have no deployment left.
func (r *run) decide(ctx context.Context, dead []string) error {
	if r.ending != nil {
		return nil
	}
	why, err := r.policy.after(&r.tally, &r.window, dead, func(index int) (string, bool, error) {
		if err := r.rec.renewIfDue(ctx); err != nil {
			return "", false, err
		}
		return modelAt(r.job, r.input, index)
	})
	if why == nil || err != nil {
		return err
	}
	return r.end(ctx, *why)
}

// publishDemand tells the queue's shares what this job could use.
func (r *run) publishDemand() { r.o.shares[r.rec.Queue].set(r.rec.ID, r.demand(), r.inbox.wakeUp) }

// demand is how many requests this job could have in flight now.
func (r *run) demand() int {
	if r.ending != nil {
		return 0
	}
	return max(0, min(r.limit.now(), r.rec.Total-r.tally.counts.Stored())-r.window.waiting)
}

// writeState brings the job's record up to date.
func (r *run) writeState() {
	r.tally.pace(time.Now())
	r.tally.write(&r.rec.State, min(r.window.inQueue(), r.limit.now()))
	r.rec.Waiting = r.window.waits()
	r.rec.Isolated = len(r.isolated)
	if r.relay != nil {
		r.rec.Relayed = r.relay.checkpoint()
	}
}

// publishProgress publishes a snapshot when something has changed, and now and
// then when nothing has, so that other owners know of this job.
func (r *run) publishProgress() {
	now, p := time.Now(), &r.progress
	if now.Sub(p.at) < progressGap { // the last tick came late
		return
	}
	requested := p.requested.Swap(false)
	if !r.tally.changed && !requested && now.Sub(p.at) < store.Heartbeat {
		return
	}
	r.writeState()
	p.at, r.tally.changed = now, false
	r.o.Store.Live.PublishProgress(&r.rec.State, r.demand())
}
