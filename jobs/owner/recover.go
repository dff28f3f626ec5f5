package owner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// overdue is how long after its feeding the queue is asked whether it has
// forgotten a request, and how often. Calls that take so long cost their job two
// questions each time.
const overdue = 2 * store.AckWait

// reconcile looks at what has been out for a while: what has left the queue is
// stored, or was lost with it. That catches every word that did not reach us, and a
// broker that came back without its memory.
func (r *run) reconcile(ctx context.Context) {
	now := time.Now()
	old := r.window.older(now.Add(-reconcileEvery))
	if len(old) == 0 && len(r.window.requeued) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTime/2)
	defer cancel()
	key, log := r.rec.Key(), r.o.Log.With().Str("job", r.rec.ID).Logger()
	// The list first: what has left it was stored before.
	present, _, err := r.o.Feeder.Pending(ctx, key)
	if errors.Is(err, queue.ErrMissing) {
		err = r.o.Store.SetupOnce(ctx, map[string]int{key.Queue: r.o.Queues[key.Queue]})
	}
	if err != nil {
		log.Debug().Err(err).Msg("could not look at the queue")
		return
	}
	if now.Sub(r.timers.reclaimed) > overdue && len(r.window.older(now.Add(-overdue))) > 0 {
		r.timers.reclaimed = now
		if err := r.o.Feeder.Reclaim(ctx, key, func(index int, meta store.ResultMeta, stored bool) error {
			if !stored && r.window.isOut(index) && !r.window.isParked(index) {
				log.Info().Int("index", index).Msg("the broker has forgotten a request that it holds: it is fed again")
			}
			return r.resolve(ctx, index, meta, stored)
		}); err != nil {
			log.Debug().Err(err).Msg("could not find out what the broker has forgotten")
		}
	}
	for _, index := range old {
		if present[index] {
			continue
		}
		meta, stored, err := r.o.Store.Results.Meta(ctx, key.Queue, key.ID, index)
		if err == nil {
			err = r.resolve(ctx, index, meta, stored)
		}
		if err != nil { // the next round asks again
			log.Debug().Err(err).Int("index", index).Msg("could not find out where a request is")
			return
		}
	}
	r.inbox.nudge()
}

// resolve decides on a request that is not in the queue: it is stored, or the word
// that it was parked has been lost, or the request itself.
func (r *run) resolve(ctx context.Context, index int, meta store.ResultMeta, stored bool) error {
	switch {
	case stored:
		r.inbox.put(meta)
		return nil
	case !r.window.isOut(index) || r.window.isParked(index):
		return nil
	case r.ending != nil:
		held, err := r.inHand.ask(ctx, r.o.Feeder, r.rec.Key(), time.Now())
		if err != nil || held[index] > queue.HeldNot {
			return err // the next round asks again
		}
		return r.storeLeftover(ctx, index)
	}
	p, err := r.o.Store.Parked.Get(ctx, r.rec.Queue, r.rec.ID, index)
	switch {
	case err != nil:
		return err
	case p == nil:
		r.requeue(index)
	default:
		r.park(index, p.ReadyAt, store.WaitOf(p))
	}
	return nil
}

// wake makes parked requests ready now. That is written down, for their workers go by it.
func (r *run) wake(ctx context.Context, waits map[int]*schema.Parked) error {
	for index, p := range waits {
		if !r.window.isParked(index) {
			continue
		}
		if err := r.rec.renewIfDue(ctx); err != nil {
			return err
		}
		now := *p
		now.ReadyAt = time.Now().UTC()
		if err := r.o.Store.Parked.Put(ctx, r.rec.Key(), index, &now); err != nil {
			r.o.Log.Debug().Err(err).Str("job", r.rec.ID).Int("index", index).Msg("a request that waits is not called before its time")
			continue
		}
		r.park(index, now.ReadyAt, store.WaitOf(p))
	}
	return nil
}

// catchUp learns what an earlier owner left: what is in the queue, then what is
// stored. In this order: a request that moves from the one to the other meanwhile is
// seen.
func (r *run) catchUp(ctx context.Context) error {
	key := r.rec.Key()
	present, since, err := r.o.Feeder.Pending(ctx, key)
	queueForgot := errors.Is(err, queue.ErrMissing)
	if err != nil && !queueForgot {
		return err
	}
	queueForgot = queueForgot || since.After(r.rec.CreatedAt)
	dead := map[string]bool{}
	err = r.o.Store.Results.EachMeta(ctx, key.Queue, key.ID, func(meta store.ResultMeta) error {
		if meta.Index < r.rec.Total {
			if _, first := r.window.done(meta.Index); first {
				r.tally.add(meta)
			}
			if meta.DeadModel != "" {
				dead[meta.DeadModel] = true
			}
		}
		return r.rec.renewIfDue(ctx)
	})
	if err != nil {
		return err
	}
	now := time.Now()
	for index := range present {
		r.window.restore(index, now)
	}
	parked := func(index int) bool {
		return index < r.rec.Total && !r.window.finished.Has(index) && !present[index]
	}
	waits := map[int]*schema.Parked{}
	err = r.o.Store.Parked.Each(ctx, key.Queue, key.ID, parked, func(index int, p *schema.Parked) {
		r.window.restore(index, now)
		r.park(index, p.ReadyAt, store.WaitOf(p))
		if p.HeldSince == nil {
			waits[index] = p
		}
	})
	if err != nil {
		return err
	}
	if err := r.wake(ctx, r.asking.begin(waits, now)); err != nil {
		return err
	}
	// Requests are fed in their order: the earlier owner had come no further.
	most := r.limit.most()
	r.window.inherit(r.tally.counts.Stored()+most+r.o.Feeder.Ahead(most, 0), queueForgot)
	return r.decide(ctx, slices.Sorted(maps.Keys(dead)))
}
