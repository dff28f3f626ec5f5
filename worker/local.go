package worker

import (
	"sync"

	"pelton/jobs"
	"pelton/schema"
)

// takeLocal gives every slot a goroutine that takes what the owner in this
// process feeds.
func (w *worker) takeLocal(local *jobs.LocalWork) (stop func()) {
	var slots sync.WaitGroup
	for range w.cfg.Slots {
		slots.Go(func() {
			for work, ok := local.Take(nil); ok; work, ok = local.Take(work) {
				w.handleLocal(work)
			}
		})
	}
	return func() {
		local.Close()
		slots.Wait()
		w.storing.Wait()
	}
}

// handleLocal is handle for a request that came by hand. Its slot is free for
// the next while the result is being stored: how many results may be on that way
// is bounded by what the owner feeds.
func (w *worker) handleLocal(work *jobs.Work) {
	if work.Again {
		out, err := w.finish(w.hard, work, false)
		w.owner.Settle(work, out, err)
		return
	}
	free := w.busy()
	a := w.answer(w.hard, work, nil)
	free()
	if a.result == nil {
		out, err := w.keep(w.hard, work, a)
		w.owner.Settle(work, out, err)
		return
	}
	l := &leaving{w, work, a.result}
	w.storing.Add(1)
	w.cfg.Broker.Results.PutAsync(w.hard, work.Queue, a.result, work.Total, l.sent)
}

// leaving is a request that has left its slot, and has yet to be stored.
type leaving struct {
	w      *worker
	work   *jobs.Work
	result *schema.Result
}

// sent is told what came of the first try to store the result.
func (l *leaving) sent(out jobs.ResultMeta, err error) {
	l.w.observeStored(l.work, l.result, err)
	if err != nil {
		go l.sendAgain() // which waits
		return
	}
	l.stored(out, nil)
}

func (l *leaving) sendAgain() { l.stored(l.w.storeAgain(l.work, l.result)) }

func (l *leaving) stored(out jobs.ResultMeta, err error) {
	defer l.w.storing.Done()
	if err == nil {
		l.work.Stored(out)
	}
	l.w.owner.Settle(l.work, out, err)
}
