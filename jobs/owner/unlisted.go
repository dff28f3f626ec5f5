package owner

import (
	"context"

	"pelton/jobs/store"
	"pelton/schema"
)

// countUnlisted counts the starts of a job's finished requests that no result lists: of
// requests that were begun again while the worker that had them before was paused, or
// out of reach, and then stored its answer first. Each was noted before its call. It
// keeps the lease meanwhile.
func countUnlisted(ctx context.Context, st *store.Store, rec *lease, finished func(index int) bool) (n int, err error) {
	if st.Alone { // one process begins nothing beside itself
		return 0, nil
	}
	key := rec.Key()
	noted := map[int]*schema.Parked{}
	some, err := st.Parked.Any(ctx, key.Queue, key.ID)
	if err == nil && some {
		err = st.Parked.Each(ctx, key.Queue, key.ID, finished, func(index int, p *schema.Parked) { noted[index] = p })
	}
	if err != nil {
		return 0, err
	}
	for index, p := range noted {
		result, err := st.Results.Get(ctx, key.Queue, key.ID, index)
		if err != nil {
			return 0, err
		}
		if result != nil {
			n += unlisted(p, result.Attempts)
		}
		if err := rec.renewIfDue(ctx); err != nil {
			return 0, err
		}
	}
	return n, nil
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
