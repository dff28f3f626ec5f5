package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"pelton/internal/bitset"
	"pelton/schema"
)

// owned is one job in the hands of this process, from the claim of its record
// to its end or to the next owner. Only the loop's goroutine touches it, but
// for the inbox.
type owned struct {
	o   *Owner
	b   *Store
	d   *JobDelivery // the job's message, kept alive while we own the job
	job *schema.Job
	rec *Record
	src source

	deadline time.Time
	bound    bound
	trace    string

	tally     tally
	window    map[int]fedRequest // fed and not known to be stored
	again     []int              // lost on the way, or back from waiting: to be fed once more
	bulk      int                // bytes of a body, of the largest of the last few
	cursor    int                // every index below has been fed or is stored
	inbox     *inbox[ResultMeta] // results that are stored
	waiting   parkList           // the parked requests of the window
	parked    int                // how many they are
	ready     <-chan time.Time   // when the next of them is ready
	returning bitset.Set         // fed before: the next worker looks up what is known of it
	doubtful  int                // so is every index below, by an earlier owner
	unknown   bool               // which of them the earlier owner had fed, the broker has forgotten
	wake      func()             // has the loop look again
	unfed     *inbox[int]        // publishes that failed
	sought    time.Time          // when the broker was last asked what it has forgotten
	hold      time.Time          // nothing is fed before: the broker did not take the last

	told        time.Time   // when progress was last published
	asked       atomic.Bool // somebody has begun to listen
	dead        deadModels
	ending      *ending   // set once the job is to end before all requests are done
	abortSeenAt time.Time // when a worker was first seen to have aborted a call: nothing more is fed until we know why
	grace       <-chan time.Time
	relay       *relay
}

// fedRequest is a request between its feeding and its result.
type fedRequest struct {
	at     time.Time
	object string // its body's object, to be dropped with it
	parked bool   // it is in no worker's hands, but waits
}

// ending is why a job ends early, and what becomes of what was fed.
type ending struct {
	reason   schema.Reason
	leftover schema.Status
}

// leaseTime is how long after a write of the record nobody else can have taken the job:
// the broker redelivers its message after AckWait at the earliest.
const leaseTime = AckWait - Heartbeat

// Periods of the owner's loop.
const (
	progressEvery  = 350 * time.Millisecond // with the final one at most four a second
	progressGap    = 334 * time.Millisecond
	reconcileEvery = 3 * time.Second
	graceTime      = 3 * time.Second // for calls to be aborted and stored after a cancel
)

func (j *owned) name() JobKey { return JobKey{j.rec.Queue, j.rec.ID} }

func (j *owned) key() string { return j.b.Names.StateKey(j.rec.Queue, j.rec.ID) }

// open makes the job's requests readable, and judges what only they can tell.
// An error that is a [*schema.Problems] is the job's own fault.
func (j *owned) open(ctx context.Context) (err error) {
	if j.src, err = openSource(ctx, j.b, j.job); err != nil {
		return err
	}
	j.rec.Total = j.src.Len()
	if err = j.checkPrices(ctx); err != nil {
		j.src.Close()
	}
	return err
}

// see runs the job to its end: one loop that feeds, counts, renews and ends.
func (j *owned) see(ctx context.Context, takeover bool) error {
	j.inbox, j.unfed, j.window = newInbox[ResultMeta](), newInbox[int](), map[int]fedRequest{}
	j.wake = j.inbox.nudge
	j.bound = newBound(j.job.Concurrency)
	j.tally.first = -1
	inner, stop := context.WithCancel(ctx)
	defer stop()

	j.o.enlist(j)
	defer j.o.drop(j)
	deaf, err := j.b.Live.OnStored(j.name(), j.inbox.put)
	if err != nil {
		return err
	}
	defer deaf()
	heard := make(chan schema.Cancel, 1)
	defer j.o.cfg.Cancels.OnCancel(j.rec.Queue, j.rec.ID, func(c schema.Cancel) { heard <- c })()

	if err := j.keepLease(ctx); err != nil { // reading the input may have taken long
		return err
	}
	if takeover {
		if err := j.catchUp(ctx); err != nil {
			return err
		}
	}
	// Asked after OnCancel, so that no cancel falls between the two.
	if marker, was, err := j.o.cfg.Cancels.Find(ctx, j.rec.Queue, j.rec.ID); err != nil {
		return err
	} else if was {
		if err := j.endCancelled(ctx, marker); err != nil {
			return err
		}
	}
	j.startRelay(inner)
	j.want()
	return j.loop(ctx, heard)
}

func (j *owned) loop(ctx context.Context, cancelled <-chan schema.Cancel) error {
	renew := time.NewTicker(Heartbeat)
	defer renew.Stop()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	reconcile := time.NewTicker(reconcileEvery)
	defer reconcile.Stop()
	deadline := time.NewTimer(time.Until(j.deadline))
	defer deadline.Stop()
	var spare []ResultMeta
	var err error
	for {
		if j.complete() {
			return j.conclude(ctx)
		}
		if err = j.feed(ctx); err != nil {
			return err
		}
		select {
		case <-j.inbox.wake:
			spare = j.inbox.take(spare)
			err = j.count(ctx, spare)
		case <-j.unfed.wake:
			for _, index := range j.unfed.take(nil) {
				j.lost(index)
			}
		case now := <-j.ready:
			j.unpark(ctx, now)
		case <-renew.C:
			err = j.renew(ctx)
		case <-progress.C:
			j.tell()
		case <-reconcile.C:
			if err = j.checkCancel(ctx); err == nil {
				j.reconcile(ctx)
			}
		case <-deadline.C:
			err = j.endExpired(ctx)
		case marker := <-cancelled:
			err = j.endCancelled(ctx, marker)
		case <-j.grace:
			j.grace = nil
			err = j.storeLeftovers(ctx, false)
		case <-j.o.quit:
			return j.handBack(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// complete reports whether no result is still to come.
func (j *owned) complete() bool {
	if j.tally.counts.Stored() == j.rec.Total {
		return true
	}
	return j.ending != nil && len(j.window) == 0
}

// count takes note of stored results.
func (j *owned) count(ctx context.Context, list []ResultMeta) error {
	aborted, expired := false, false
	var died []string
	for _, out := range list {
		if out.Index >= j.rec.Total {
			continue
		}
		if fed, ok := j.window[out.Index]; ok {
			j.bound.learn(out, fed.at, time.Now(), len(j.window) >= j.bound.now())
		}
		if out.Status == schema.StatusParked {
			if j.park(out.Index, out.ReadyAt); j.ending == nil {
				continue
			}
			if err := j.storeLeftovers(ctx, true); err != nil { // it would come back to be fed
				return err
			}
			continue
		}
		if !j.tally.add(out) {
			continue
		}
		j.event(out.Index, schema.Event{Kind: schema.EventFinished, Status: out.Status, Usage: out.Usage})
		if out.DeadModel != "" {
			died = append(died, out.DeadModel)
		}
		if fed, ok := j.window[out.Index]; ok {
			j.b.Objects.DeleteBody(ctx, fed.object)
			j.forget(out.Index, fed)
		}
		aborted = aborted || out.Status == schema.StatusCancelled
		expired = expired || out.Status == schema.StatusExpired
	}
	j.want()
	// A worker may have heard of the end before us: nothing more is fed.
	switch {
	case aborted && j.ending == nil:
		if err := j.explainAbort(ctx); err != nil {
			return err
		}
	case expired && j.deadlineAtHand(time.Now()):
		return j.endExpired(ctx)
	}
	for _, model := range died {
		if err := j.died(ctx, model); err != nil {
			return err
		}
	}
	return errors.Join(j.applyMaxCost(ctx), j.applyFailFast(ctx))
}

// applyMaxCost ends the job when it has cost what it may.
func (j *owned) applyMaxCost(ctx context.Context) error {
	if cost := j.tally.cost; j.job.MaxCost == 0 || cost == nil || *cost < j.job.MaxCost {
		return nil
	}
	return j.endSoftly(ctx, schema.Reason{Code: schema.ReasonMaxCost,
		Message: fmt.Sprintf("the results so far cost %.4f USD; max_cost is %.4f", *j.tally.cost, j.job.MaxCost)})
}

// forget takes a request out of the window.
func (j *owned) forget(index int, fed fedRequest) {
	delete(j.window, index)
	if fed.parked {
		j.parked--
	}
}

// applyFailFast ends the job when its policy says so.
func (j *owned) applyFailFast(ctx context.Context) error {
	policy, counts := j.job.FailFast, j.tally.counts
	stored := counts.Stored()
	byCount := policy.Failures > 0 && counts.Failed >= policy.Failures
	byRate := policy.Rate > 0 && stored >= max(1, policy.After) && float64(counts.Failed) >= policy.Rate*float64(stored)
	if !byCount && !byRate || counts.Failed == 0 {
		return nil
	}
	index := j.tally.first
	return j.end(ctx, ending{schema.Reason{Code: schema.ReasonFailFast, Index: &index,
		Message: strconv.Itoa(counts.Failed) + " of " + strconv.Itoa(stored) + " results failed, the first of them index " + strconv.Itoa(index)},
		schema.StatusCancelled})
}

// want tells the queue's shares what this job could use.
func (j *owned) want() {
	j.o.shares[j.rec.Queue].set(j.rec.ID, j.wanted(), j.wake)
}

// wanted is how many requests this job could have in flight now.
func (j *owned) wanted() int {
	if j.ending != nil {
		return 0
	}
	return max(0, min(j.bound.now(), j.rec.Total-j.tally.counts.Stored())-j.parked)
}

// renew writes the state with the revision of our last write: that is the
// lease. Until it works again nothing is fed.
func (j *owned) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Heartbeat)
	defer cancel()
	j.writeState()
	err := j.b.Records.Save(ctx, j.rec)
	if errors.Is(err, ErrFenced) {
		return j.fenced(ctx)
	}
	if err != nil {
		j.o.cfg.Log.Debug().Err(err).Str("job", j.rec.ID).Msg("could not renew the lease")
	}
	return nil
}

// keepLease renews when it is time to; for long work outside of the loop.
func (j *owned) keepLease(ctx context.Context) error {
	if time.Since(j.rec.Written) < Heartbeat {
		return nil
	}
	return j.renew(ctx)
}

// fenced tells a write of our own whose answer was lost from another owner's.
func (j *owned) fenced(ctx context.Context) error {
	have, err := j.b.Records.Load(ctx, j.rec.Queue, j.rec.ID)
	if err != nil {
		return nil // not known yet: the lease decides
	}
	if have == nil || have.Owner != j.rec.Owner || have.Seq != j.rec.Seq || have.State.State.Final() {
		return ErrFenced
	}
	j.rec.Revision = have.Revision
	return nil
}

func (j *owned) writeState() {
	j.tally.pace(time.Now())
	j.tally.write(&j.rec.State, min(len(j.window)-j.parked, j.bound.now()))
	if j.relay != nil {
		j.rec.Relayed = j.relay.checkpoint()
	}
}

// tell publishes a progress snapshot when something has changed, and now and
// then when nothing has, so that other owners know of this job.
func (j *owned) tell() {
	now := time.Now()
	if now.Sub(j.told) < progressGap { // the last tick came late
		return
	}
	asked := j.asked.Swap(false)
	if !j.tally.changed && !asked && now.Sub(j.told) < Heartbeat {
		return
	}
	j.writeState()
	j.told, j.tally.changed = now, false
	j.b.Live.PublishProgress(&j.rec.State, j.wanted())
}

// handBack writes down how far we came and leaves the job to the next owner.
func (j *owned) handBack(ctx context.Context) error {
	if err := j.renew(ctx); err != nil {
		return err
	}
	return errHandedBack
}

// errHandedBack ends the loop of a process that drains.
var errHandedBack = errors.New("the worker is stopping")
