package worker

import (
	"errors"

	"pelton/jobs/owner"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// Observer counts what a worker does. Its methods are called concurrently and
// must not block: a request waits for them.
type Observer interface {
	owner.Observer

	// Began is told that a slot is busy with a request, Ended that it is free.
	Began()
	Ended()

	// Duplicate is told of a request that was called here although it had its
	// result from elsewhere: the other one's stands.
	Duplicate(queue string)
}

// observeStored tells what came of the first try to store a result. A later try
// may find what an earlier one has stored.
func (w *worker) observeStored(it *queue.Item, r *schema.Result, err error) {
	o := w.cfg.Observer
	switch {
	case o == nil:
	case !errors.Is(err, store.ErrStored):
		o.Stored(it.Queue, r)
	case len(r.Attempts) > 0:
		o.Duplicate(it.Queue)
	}
}
