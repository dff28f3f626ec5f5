package worker

import (
	"sync"

	"pelton/jobs"
)

// takeLocal gives every slot a goroutine that takes what the owner in this
// process feeds.
func (w *worker) takeLocal(local *jobs.LocalWork) (stop func()) {
	var slots sync.WaitGroup
	for range w.cfg.Slots {
		slots.Go(func() {
			for work, ok := local.Take(); ok; work, ok = local.Take() {
				w.handleLocal(local, work)
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
func (w *worker) handleLocal(local *jobs.LocalWork, work *jobs.Work) {
	settle := func(out jobs.Outcome, err error) {
		local.Done(work)
		if err == nil {
			w.owner.Stored(work.Queue, work.Job, out)
		}
	}
	if work.Again {
		out, err := w.finish(w.hard, work, false)
		local.Finished(work)
		settle(out, err)
		return
	}
	free := w.busy()
	a := w.answer(w.hard, work, nil)
	free()
	local.Finished(work)
	if a.result == nil {
		settle(w.keep(w.hard, work, a))
		return
	}
	w.storing.Add(1)
	w.cfg.Broker.SendResult(w.hard, work.Queue, a.result, work.Total, func(out jobs.Outcome, err error) {
		w.observeStored(work, a.result, err)
		if err == nil {
			work.Stored(out)
			settle(out, nil)
			w.storing.Done()
			return
		}
		go func() { // trying again waits
			defer w.storing.Done()
			out, err := w.storeAgain(work, a.result)
			if err == nil {
				work.Stored(out)
			}
			settle(out, err)
		}()
	})
}
