package worker

import (
	"context"
	"fmt"
	"time"

	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// A request that may have been begun before is looked up first: its result may
// be there, or word that it waits. Then its starts are counted, before its call:
// a request that kills its workers must not do so for ever.

// suspectStarts is the number of counted starts from which on such requests run one at
// a time in a process. A worker that dies takes everything it has in hand with
// it: alone, the one that did it is told from those that were beside it.
const suspectStarts = 2

// lookAgain is how long before its call a request may have been looked up, when
// the broker was slow or full in between.
const lookAgain = 250 * time.Millisecond

// callAgain is what happens to a request that may have been begun before.
func (w *worker) callAgain(ctx context.Context, it *queue.Item) (store.ResultMeta, error) {
	if meta, stored, err := w.findResult(ctx, it); err != nil || stored {
		return meta, err
	}
	switch over, err := w.isOver(ctx, it); {
	case err != nil:
		return store.ResultMeta{}, err
	case over:
		return store.ResultMeta{}, errOver
	}
	looked := time.Now()
	var known *schema.Parked
	err := w.retry(ctx, it, "look up earlier attempts", func(ctx context.Context) (err error) {
		known, err = w.cfg.Store.Parked.Get(ctx, it.Queue, it.Job, it.Index)
		return err
	})
	switch {
	case err != nil:
		return store.ResultMeta{}, err
	case known != nil && time.Until(known.ReadyAt) > time.Second:
		// Its worker died after it had parked it: the owner is told once more.
		return store.ResultMeta{Index: it.Index, Status: schema.StatusParked, ReadyAt: known.ReadyAt, Wait: store.WaitOf(known)}, nil
	case known != nil && known.Starts >= store.MaxStarts:
		return w.store(it, workerDied(it, known))
	}
	if known != nil && known.Starts >= suspectStarts {
		select {
		case w.suspectLock <- struct{}{}:
			defer func() { <-w.suspectLock }()
		case <-ctx.Done():
			return store.ResultMeta{}, errGivenUp
		}
	}
	err = w.retry(ctx, it, "count a start", func(ctx context.Context) (err error) {
		known, err = w.cfg.Store.Parked.CountStart(ctx, it.JobKey(), it.Index, it.Timeout, known)
		return err
	})
	if err != nil {
		return store.ResultMeta{}, err
	}
	if time.Since(looked) > lookAgain {
		// Who had it before may have had an answer to store all the while.
		if meta, stored, err := w.findResult(ctx, it); err != nil || stored {
			return meta, err
		}
	}
	out := w.call(ctx, it, known)
	if out.result == nil && out.parked == nil {
		w.uncount(it, known)
	}
	return w.storeOrPark(ctx, it, out)
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
// lives. What fails costs the request one of its starts.
func (w *worker) uncount(it *queue.Item, known *schema.Parked) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.hard), lastTry)
	defer cancel()
	if err := w.cfg.Store.Parked.UncountStart(ctx, it.JobKey(), it.Index, known); err != nil {
		w.cfg.Log.Debug().Err(err).Str("job", it.Job).Int("index", it.Index).Msg("cannot take back a start")
	}
}

// workerDied is the result of a request that was begun as often as it may be.
func workerDied(it *queue.Item, known *schema.Parked) *schema.Result {
	result := it.Result()
	now := time.Now().UTC()
	result.Status, result.Attempts, result.FinishedAt = schema.StatusFailed, known.Attempts, &now
	result.SetBill(schema.BillOf(known.Attempts))
	result.Error = &schema.Error{Class: schema.ClassInternal, Code: schema.CodeWorkerDied,
		Message: fmt.Sprintf("it was begun %d times, and each time its worker was not heard of again: it is taken for what kills them", known.Starts+1)}
	return result
}
