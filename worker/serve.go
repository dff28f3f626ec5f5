package worker

import (
	"context"
	"errors"

	"pelton/jobs/queue"
	"pelton/jobs/store"
)

// errGivenUp means that this process may not go on with a request.
var errGivenUp = errors.New("given up")

// errOver means that the job has ended without this request.
var errOver = errors.New("its job has ended")

// serve is what happens to one request: the list at the top of worker.go. The slot
// is free when it returns. The lease may end later, when the result is stored.
func (w *worker) serve(l queue.Lease) {
	ctx, it := l.Context(), l.Item()
	if it == nil {
		return
	}
	free := w.occupySlot()
	var meta store.ResultMeta
	var err error
	if l.Fresh() { // nobody can have begun it before: there is nothing to look up
		out := w.call(ctx, it, nil)
		if out.result != nil && l.Early() {
			free()
			w.storeAsync(l, it, out.result)
			return
		}
		meta, err = w.storeOrPark(ctx, l, it, out)
	} else {
		meta, err = w.callAgain(ctx, l, it)
	}
	free()
	switch {
	case err == nil:
		l.Done(meta)
	case errors.Is(err, errOver):
		l.Discard()
	default:
		l.Return()
	}
}

// storeOrPark stores what became of a request.
func (w *worker) storeOrPark(ctx context.Context, l queue.Lease, it *queue.Item, out callResult) (store.ResultMeta, error) {
	switch {
	case out.parked != nil:
		return w.park(ctx, it, out.parked)
	case out.result != nil:
		l.Answered()
		meta, err := w.store(it, out.result)
		if err == nil {
			it.Stored(meta)
		}
		return meta, err
	}
	return store.ResultMeta{}, errGivenUp
}

// occupySlot has a slot counted as busy until the returned function is called.
func (w *worker) occupySlot() (free func()) {
	o := w.cfg.Observer
	if o == nil {
		return func() {}
	}
	o.Began()
	return o.Ended
}
