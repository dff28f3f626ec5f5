package worker

import (
	"context"
	"time"

	"pelton/internal/retry"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// store stores the result, whatever it takes: an answer that was paid for is
// not thrown away because the broker is down or full. Until it is taken no
// further work is pulled. Only the hard stop ends the trying, after one more try.
func (w *worker) store(it *queue.Item, result *schema.Result) (store.ResultMeta, error) {
	meta, err := w.cfg.Store.Results.Put(w.hard, it.Queue, result, it.Total)
	w.observeStored(it, result, err)
	if err == nil {
		return meta, nil
	}
	return w.storeAgain(it, result)
}

func (w *worker) storeAgain(it *queue.Item, result *schema.Result) (meta store.ResultMeta, err error) {
	try := func(ctx context.Context) error {
		meta, err = w.cfg.Store.Results.PutOrFind(ctx, it.Queue, result, it.Total)
		return err
	}
	blocked := false
	err = w.retry(w.hard, it, "store a result", func(ctx context.Context) error {
		err := try(ctx)
		if err != nil && !blocked {
			blocked = true
			w.held.add(err)
		}
		return err
	})
	if blocked {
		w.held.done()
	}
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(w.hard), lastTry)
		defer cancel()
		err = try(last)
	}
	return meta, err
}

// storeAsync stores the result of a request whose slot is free already, and then
// ends its lease. How many results may be on that way is bounded by what the owner
// feeds.
func (w *worker) storeAsync(l queue.Lease, it *queue.Item, result *schema.Result) {
	p := &pendingResult{w, l, it, result}
	w.pending.Add(1)
	w.cfg.Store.Results.PutAsync(w.hard, it.Queue, result, it.Total, p.stored)
}

// pendingResult is the result of a request that has left its slot, and has yet to
// be stored.
type pendingResult struct {
	w      *worker
	lease  queue.Lease
	item   *queue.Item
	result *schema.Result
}

// stored is told what came of the first try to store the result.
func (p *pendingResult) stored(meta store.ResultMeta, err error) {
	p.w.observeStored(p.item, p.result, err)
	if err != nil {
		p.lease.Answered()
		go func() { p.end(p.w.storeAgain(p.item, p.result)) }() // which waits
		return
	}
	p.end(meta, nil)
}

func (p *pendingResult) end(meta store.ResultMeta, err error) {
	defer p.w.pending.Done()
	if err != nil {
		p.lease.Return()
		return
	}
	p.item.Stored(meta)
	p.lease.Done(meta)
}

// park stores that the request has to wait, so that it can give its slot and its
// place under the queue's cap back. What is lost when that fails is the memory of its
// attempts, not the request. The returned word is for the job's owner, which feeds
// it again at its ready time.
func (w *worker) park(ctx context.Context, it *queue.Item, p *schema.Parked) (store.ResultMeta, error) {
	err := w.retry(ctx, it, "park a request", func(ctx context.Context) error {
		return w.cfg.Store.Parked.Put(ctx, it.JobKey(), it.Index, p)
	})
	return store.ResultMeta{Index: it.Index, Status: schema.StatusParked, ReadyAt: p.ReadyAt, Wait: store.WaitOf(p)}, err
}

// Timing of what is asked of the broker.
const (
	oneTry     = 5 * time.Second
	lastTry    = time.Second
	firstPause = 100 * time.Millisecond
	longPause  = 500 * time.Millisecond
	noHiccup   = 1500 * time.Millisecond // the first failure after so long is a warning
)

// retry calls try until it succeeds or ctx ends, and says so in the log.
func (w *worker) retry(ctx context.Context, it *queue.Item, what string, try func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return retry.Do(ctx, retry.Policy{
		Pause: firstPause, MaxPause: longPause, Try: oneTry, Late: noHiccup,
		Failed: func(err error, late bool) {
			line := w.cfg.Log.Debug()
			if late {
				line = w.cfg.Log.Warn()
			}
			line.Err(err).Str("queue", it.Queue).Str("job", it.Job).Int("index", it.Index).Msg("cannot " + what + " yet; trying again")
		},
	}, try)
}
