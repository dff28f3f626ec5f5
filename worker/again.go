package worker

import (
	"context"
	"fmt"
	"time"

	"pelton/jobs"
	"pelton/schema"
)

// A request that may have been begun before is looked up first: its result may
// be there, or word that it waits. Then its starts are counted, before its call:
// a request that kills its workers must not do so for ever.

// suspect is the number of counted starts from which on such requests run one at
// a time in a process. A worker that dies takes everything it has in hand with
// it: alone, the one that did it is told from those that were beside it.
const suspect = 2

// lookAgain is how long before its call a request may have been looked up, when
// the broker was slow or full in between.
const lookAgain = 250 * time.Millisecond

// finishAgain is finish for a request that may have been begun before.
func (w *worker) finishAgain(ctx context.Context, work *jobs.Work) (jobs.ResultMeta, error) {
	if out, stored, err := w.lookUp(ctx, work); err != nil || stored {
		return out, err
	}
	switch over, err := w.isOver(ctx, work); {
	case err != nil:
		return jobs.ResultMeta{}, err
	case over:
		return jobs.ResultMeta{}, errOver
	}
	looked := time.Now()
	var known *schema.Parked
	err := w.insist(ctx, work, "look up earlier attempts", func(ctx context.Context) (err error) {
		known, err = w.cfg.Broker.Parked.Get(ctx, work.Queue, work.Job, work.Index)
		return err
	})
	switch {
	case err != nil:
		return jobs.ResultMeta{}, err
	case known != nil && time.Until(known.ReadyAt) > time.Second:
		// Its worker died after it had parked it: the owner is told once more.
		return jobs.ResultMeta{Index: work.Index, Status: schema.StatusParked, ReadyAt: known.ReadyAt}, nil
	case known != nil && known.Starts >= jobs.MaxStarts:
		return w.store(work, workerDied(work, known))
	}
	if known != nil && known.Starts >= suspect {
		select {
		case w.alone <- struct{}{}:
			defer func() { <-w.alone }()
		case <-ctx.Done():
			return jobs.ResultMeta{}, errGivenUp
		}
	}
	err = w.insist(ctx, work, "count a start", func(ctx context.Context) (err error) {
		known, err = w.cfg.Broker.Parked.CountStart(ctx, work.Of(), work.Index, work.Timeout, known)
		return err
	})
	if err != nil {
		return jobs.ResultMeta{}, err
	}
	if time.Since(looked) > lookAgain {
		// Who had it before may have had an answer to store all the while.
		if out, stored, err := w.lookUp(ctx, work); err != nil || stored {
			return out, err
		}
	}
	a := w.answer(ctx, work, known)
	if a.result == nil && a.parked == nil {
		w.uncount(work, known)
	}
	return w.keep(ctx, work, a)
}

// isOver asks whether the job has ended. A request of it is from an owner that
// was paused while another ended the job.
func (w *worker) isOver(ctx context.Context, work *jobs.Work) (over bool, err error) {
	err = w.insist(ctx, work, "look up a job's end", func(ctx context.Context) error {
		over, err = w.cfg.Broker.Results.Ended(ctx, work.Queue, work.Job)
		return err
	})
	return over, err
}

// uncount takes back the start of a request that is given up by a process that
// lives. What fails costs the request one of its starts.
func (w *worker) uncount(work *jobs.Work, known *schema.Parked) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.hard), lastTry)
	defer cancel()
	if err := w.cfg.Broker.Parked.UncountStart(ctx, work.Of(), work.Index, known); err != nil {
		w.cfg.Log.Debug().Err(err).Str("job", work.Job).Int("index", work.Index).Msg("cannot take back a start")
	}
}

// workerDied is the result of a request that was begun as often as it may be.
func workerDied(work *jobs.Work, known *schema.Parked) *schema.Result {
	result := work.Result()
	now := time.Now().UTC()
	result.Status, result.Attempts, result.FinishedAt = schema.StatusFailed, known.Attempts, &now
	result.Error = &schema.Error{Class: schema.ClassInternal, Code: schema.CodeWorkerDied,
		Message: fmt.Sprintf("it was begun %d times, and each time its worker was not heard of again: it is taken for what kills them", known.Starts+1)}
	return result
}
