package jobs

import (
	"context"
	"time"
)

// A broker can forget a request without deleting it: its consumer has lost what
// it knew of a delivery and takes the message for done, and the message stays in
// the work stream. Nobody is given it any more, and while it is there nothing is
// fed in its place. It has been seen after kills and purges under load.

// overdue is how long after its feeding the broker is asked whether it has
// forgotten a request, and how often. Calls that take so long cost their job two
// questions each time.
const overdue = 2 * AckWait

// freeForgotten takes the messages of this job that the consumer is done with out
// of the stream, and has their requests fed again.
func (j *owned) freeForgotten(ctx context.Context) error {
	key := j.name()
	return j.b.Work.EachForgotten(ctx, key, func(index int) error { return j.freeOne(ctx, key, index) })
}

func (j *owned) freeOne(ctx context.Context, key JobKey, index int) error {
	out, stored, err := j.b.Results.Meta(ctx, j.rec.Queue, j.rec.ID, index)
	if err != nil {
		return err
	}
	if err := j.b.Work.Remove(ctx, key, index); err != nil {
		return err
	}
	fed, ours := j.window[index]
	switch {
	case stored:
		j.inbox.put(out)
	case ours && !fed.parked:
		j.o.cfg.Log.Info().Str("job", j.rec.ID).Int("index", index).Msg("the broker has forgotten a request that it holds: it is fed again")
		return j.lostOrParked(ctx, index)
	}
	return nil
}

// isOverdue reports whether it is time to ask, where a request was fed at.
func (j *owned) isOverdue(fed, now time.Time) bool {
	return j.o.cfg.Local == nil && now.Sub(fed) > overdue && now.Sub(j.sought) > overdue
}
