package owner

import (
	"context"

	"pelton/schema"
)

// countUnlisted adds to the job's unknown attempts the starts that no result lists: of
// requests that were begun again while the worker that had them before was paused, or
// out of reach, and then stored its answer first. Each was noted before its call.
func (r *run) countUnlisted(ctx context.Context) error {
	if r.o.Store.Alone { // one process begins nothing beside itself
		return nil
	}
	key := r.rec.Key()
	noted := map[int]*schema.Parked{}
	some, err := r.o.Store.Parked.Any(ctx, key.Queue, key.ID)
	if err == nil && some {
		err = r.o.Store.Parked.Each(ctx, key.Queue, key.ID, r.window.finished.Has, func(index int, p *schema.Parked) { noted[index] = p })
	}
	if err != nil {
		return err
	}
	for index, p := range noted {
		result, err := r.o.Store.Results.Get(ctx, key.Queue, key.ID, index)
		if err != nil {
			return err
		}
		if result != nil {
			r.tally.unknown += unlisted(p, result.Attempts)
		}
		if err := r.rec.renewIfDue(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unlisted is how many starts of a request its result does not list: it lists those that
// were lost before it, and is of one itself.
func unlisted(p *schema.Parked, attempts []schema.Attempt) int {
	starts := len(p.Lost(p.ReadyAt, false))
	listed := lost(attempts) - lost(p.Attempts)
	return max(0, starts-listed-1)
}

func lost(attempts []schema.Attempt) (n int) {
	for i := range attempts {
		if attempts[i].Lost() {
			n++
		}
	}
	return n
}
