package worker

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"pelton/internal/retry"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// A request that may have been begun before is looked up first: its result may
// be there, or word that it waits. Then its start is noted, before its call: a
// request that kills its workers must not do so for ever. What is concluded from
// the starts of which no word came is in suspect.go.

// lookAgain is how long before its call a request may have been looked up, when
// the broker was slow or full in between.
const lookAgain = 250 * time.Millisecond

// callAgain is what happens to a request that may have been begun before.
func (w *worker) callAgain(ctx context.Context, l queue.Lease, it *queue.Item) (store.ResultMeta, error) {
	if meta, stored, err := w.awaitOther(ctx, l, it); err != nil || stored {
		return meta, err
	}
	looked := time.Now()
	if l.Redelivered() {
		w.trials.disturb(looked)
	}
	switch over, err := w.isOver(ctx, it); {
	case err != nil:
		return store.ResultMeta{}, err
	case over:
		return store.ResultMeta{}, errOver
	}
	known, err := w.lookUp(ctx, it)
	switch {
	case err != nil:
		return store.ResultMeta{}, err
	case time.Until(known.ReadyAt) > time.Second:
		// Its worker died after it had parked it: the owner is told once more.
		return waits(it, known), nil
	case guilty(known.Begun):
		return w.store(it, w.workerDied(it, known))
	}
	t, held, err := w.turn(ctx, l, it, known)
	if held != nil {
		return *held, nil
	}
	if err != nil {
		return store.ResultMeta{}, err
	}
	defer t.leave()
	return w.begin(ctx, l, it, t, looked)
}

// turn waits until a request may be begun again, or says that it is held: held is the
// word to its owner then.
func (w *worker) turn(ctx context.Context, l queue.Lease, it *queue.Item, known *schema.Parked) (t trial, held *store.ResultMeta, err error) {
	switch n := len(known.Begun); {
	case n >= apartFrom:
		return w.apart(ctx, it, known)
	case l.Redelivered() || it.MaybeBegun:
		err = w.spread(ctx, n)
	}
	return trial{leave: func() {}}, nil, err
}

// begin counts the start of a request, and calls for it. It was looked up at looked.
func (w *worker) begin(ctx context.Context, l queue.Lease, it *queue.Item, t trial, looked time.Time) (store.ResultMeta, error) {
	start := schema.Start{At: time.Now().UTC(), Worker: w.cfg.Name, ApartMs: t.length.Milliseconds()}
	known, err := w.countStart(ctx, it, start)
	if err != nil {
		return store.ResultMeta{}, err
	}
	if time.Since(looked) > lookAgain {
		// Who had it before may have had an answer to store all the while.
		if meta, stored, err := w.findResult(ctx, it); err != nil || stored {
			return meta, err
		}
	}
	l.Begin()
	stop := w.signs(ctx, it, start.At)
	out := w.call(ctx, it, known)
	stop()
	if out.result == nil && out.parked == nil {
		w.uncount(it, start.At, out.given)
	}
	return w.storeOrPark(ctx, l, it, out)
}

// awaitOther looks for a stored result, and waits while another process has the
// request in hand, though the broker has given it to this one: what is called there,
// or answered and not stored yet, is not called here.
func (w *worker) awaitOther(ctx context.Context, l queue.Lease, it *queue.Item) (meta store.ResultMeta, stored bool, err error) {
	for first := true; ; first = false {
		if meta, stored, err = w.findResult(ctx, it); err != nil || stored {
			return meta, stored, err
		}
		held, err := l.Elsewhere(ctx)
		if err == nil && !held {
			return meta, false, nil
		}
		if held && first {
			w.cfg.Log.Info().Str("queue", it.Queue).Str("job", it.Job).Int("index", it.Index).
				Msg("another worker has this request in hand, which the broker has given out again: waiting for its result")
		}
		if retry.Sleep(ctx, otherPause) != nil {
			return meta, false, errGivenUp
		}
	}
}

// otherPause lies between two questions whether another worker has a request in hand.
const otherPause = 250 * time.Millisecond

// waits is the word to its owner that a request waits.
func waits(it *queue.Item, p *schema.Parked) store.ResultMeta {
	return store.ResultMeta{Index: it.Index, Status: schema.StatusParked, ReadyAt: p.ReadyAt, Wait: store.WaitOf(p)}
}

// lookUp returns what is known of a request, which may be nothing.
func (w *worker) lookUp(ctx context.Context, it *queue.Item) (known *schema.Parked, err error) {
	err = w.retry(ctx, it, "look up earlier attempts", func(ctx context.Context) (err error) {
		known, err = w.cfg.Store.Parked.Get(ctx, it.Queue, it.Job, it.Index)
		return err
	})
	if known == nil {
		known = &schema.Parked{}
	}
	return known, err
}

// spread waits for a part of the time over which the starts after a death are
// spread: what was not begun yet when the next worker dies has had no part in it.
func (w *worker) spread(ctx context.Context, starts int) error {
	if retry.Sleep(ctx, rand.N(spread<<starts)) != nil {
		return errGivenUp
	}
	return nil
}

// trial is a time in which a suspected request is begun here.
type trial struct {
	length time.Duration // 0: it has none, since it has waited for one too long
	leave  func()
}

// apart begins the trial of a request that was in flight at so many deaths that it is
// suspected, or has it wait for one: held is the word to its owner then.
func (w *worker) apart(ctx context.Context, it *queue.Item, known *schema.Parked) (t trial, held *store.ResultMeta, err error) {
	length, now := trialOf(known.Begun), time.Now().UTC()
	log := w.cfg.Log.With().Str("queue", it.Queue).Str("job", it.Job).Int("index", it.Index).Int("starts", len(known.Begun)).Logger()
	leave, at := w.trials.enter(now, length, len(known.Begun) >= aloneFrom)
	if leave != nil {
		log.Info().Dur("trial", length).Msg("begun in a trial: each worker that had begun it was not heard of again")
		return trial{length, func() { leave(time.Now()) }}, nil, nil
	}
	since := now
	if known.HeldSince != nil {
		since = *known.HeldSince
	}
	last := since.Add(patience(length))
	if !now.Before(last) {
		log.Info().Msg("begun without waiting longer for a trial")
		return trial{leave: func() {}}, nil, nil
	}
	if at.After(last) {
		at = last
	}
	err = w.retry(ctx, it, "hold a request apart", func(ctx context.Context) (err error) {
		known, err = w.cfg.Store.Parked.Change(ctx, it.JobKey(), it.Index, func(p *schema.Parked) bool {
			p.HeldSince, p.ReadyAt, p.Model, p.Cause, p.Reason = &since, at, "", schema.CodeWorkerDied, "each of "+strconv.Itoa(len(p.Begun))+" workers that had begun it was not heard of again: it is begun in a trial"
			return true
		})
		return err
	})
	if err != nil {
		return trial{}, nil, err
	}
	log.Debug().Time("until", at).Msg("held until it can be begun in a trial")
	if it.Listened() {
		it.Event(schema.Event{Kind: schema.EventRetryAt, RetryAt: &at})
	}
	meta := waits(it, known)
	return trial{}, &meta, nil
}

// countStart notes that a request is begun, before it is.
func (w *worker) countStart(ctx context.Context, it *queue.Item, start schema.Start) (known *schema.Parked, err error) {
	err = w.retry(ctx, it, "count a start", func(ctx context.Context) (err error) {
		known, err = w.cfg.Store.Parked.Change(ctx, it.JobKey(), it.Index, func(p *schema.Parked) bool {
			if startOf(p, start.At) >= 0 { // by a try whose answer was lost
				return false
			}
			if p.ReadyAt.IsZero() {
				p.LeftMs = it.Timeout.Milliseconds()
			}
			p.ReadyAt, p.HeldSince, p.Model, p.Cause, p.Reason = start.At, nil, "", "", "begun again"
			p.Begun = append(p.Begun, start)
			return true
		})
		return err
	})
	return known, err
}

// startOf finds a start by its time; -1: it is not there.
func startOf(p *schema.Parked, at time.Time) int {
	return slices.IndexFunc(p.Begun, func(s schema.Start) bool { return s.At.Equal(at) })
}

// signs notes now and then that the worker of a start still lives, until the returned
// function is called: the time of its death is known by them.
func (w *worker) signs(ctx context.Context, it *queue.Item, at time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for after := firstSign; ; after *= 2 {
			select {
			case <-time.After(time.Until(at.Add(after))):
			case <-ctx.Done():
				return
			}
			_, err := w.cfg.Store.Parked.Change(ctx, it.JobKey(), it.Index, func(p *schema.Parked) bool {
				i := startOf(p, at)
				if i >= 0 {
					p.Begun[i].AliveMs = after.Milliseconds()
				}
				return i >= 0
			})
			if err != nil && ctx.Err() == nil {
				w.cfg.Log.Debug().Err(err).Str("job", it.Job).Int("index", it.Index).Msg("cannot note that its worker lives")
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// findResult looks for a stored result.
func (w *worker) findResult(ctx context.Context, it *queue.Item) (meta store.ResultMeta, stored bool, err error) {
	err = w.retry(ctx, it, "look up a result", func(ctx context.Context) error {
		meta, stored, err = w.cfg.Store.Results.Meta(ctx, it.Queue, it.Job, it.Index)
		return err
	})
	return meta, stored, err
}

// isOver asks whether the job has ended. A request of it is from an owner that
// was paused while another ended the job.
func (w *worker) isOver(ctx context.Context, it *queue.Item) (over bool, err error) {
	err = w.retry(ctx, it, "look up a job's end", func(ctx context.Context) error {
		over, err = w.cfg.Store.Results.Ended(ctx, it.Queue, it.Job)
		return err
	})
	return over, err
}

// uncount takes back the start of a request that is given up by a process that
// lives: at once where the broker can be reached, else when it can be again. What it
// has come to is kept in its place: calls that were cut off may be billed.
func (w *worker) uncount(it *queue.Item, at time.Time, made []schema.Attempt) {
	change := func(ctx context.Context) error {
		_, err := w.cfg.Store.Parked.Change(ctx, it.JobKey(), it.Index, func(p *schema.Parked) bool {
			i := startOf(p, at)
			if i >= 0 {
				p.Begun = slices.Delete(p.Begun, i, i+1)
				if len(made) > len(p.Attempts) {
					p.Attempts = made
				}
			}
			return i >= 0
		})
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.hard), lastTry)
	defer cancel()
	if change(ctx) == nil || w.hard.Err() != nil {
		return
	}
	w.pending.Go(func() {
		if err := w.retry(w.hard, it, "take back a start", change); err != nil {
			w.cfg.Log.Debug().Err(err).Str("job", it.Job).Int("index", it.Index).Msg("cannot take back a start")
		}
	})
}

// workerDied is the result of a request that is taken for what kills its workers.
func (w *worker) workerDied(it *queue.Item, known *schema.Parked) *schema.Result {
	result := it.Result()
	now := time.Now().UTC()
	result.Status, result.FinishedAt = schema.StatusFailed, &now
	result.Attempts = append(known.Lost(it.FedAt, false), known.Attempts...)
	if len(result.Attempts) > 0 {
		result.StartedAt = &result.Attempts[0].StartedAt
	}
	result.SetBill(schema.BillOf(result.Attempts))
	result.Error = &schema.Error{Class: schema.ClassInternal, Code: schema.CodeWorkerDied, Message: verdict(known.Begun)}
	w.cfg.Log.Warn().Str("queue", it.Queue).Str("job", it.Job).Int("index", it.Index).Int("starts", len(known.Begun)).
		Msg("a request is taken for what kills its workers: it has failed")
	return result
}
