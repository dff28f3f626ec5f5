package owner

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/retry"
	"pelton/jobs/store"
)

// leaseTime is how long after a write of the record nobody else can have taken the
// job: the broker redelivers its message after AckWait at the earliest.
const leaseTime = store.AckWait - store.Heartbeat

// lease is a job's record as its owner keeps it: every write is made with the
// revision of the last, and so fails once another owner has written. Only the
// goroutine of the job's loop uses it.
type lease struct {
	*store.Record
	records *store.Records
	update  func() // brings the record up to date before a write
	log     zerolog.Logger
}

// holds reports whether nobody else can have the job by now.
func (l *lease) holds(now time.Time) bool { return now.Sub(l.Written) < leaseTime }

// renew writes the record. Until that works again the lease runs out, which is no
// error; [store.ErrFenced] says that another owner has the job.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, store.Heartbeat)
	defer cancel()
	l.update()
	err := l.records.Save(ctx, l.Record)
	if errors.Is(err, store.ErrFenced) {
		return l.checkFence(ctx)
	}
	if err != nil {
		l.log.Debug().Err(err).Str("job", l.ID).Msg("could not renew the lease")
	}
	return nil
}

// renewIfDue renews when it is time to; for long work outside of the loop.
func (l *lease) renewIfDue(ctx context.Context) error {
	if time.Since(l.Written) < store.Heartbeat {
		return nil
	}
	return l.renew(ctx)
}

// pause waits, and keeps the lease meanwhile. It is the Sleep of a retry policy.
func (l *lease) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return l.renew(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// again is how the loop tries again what must succeed: for ever, and keeping the
// lease meanwhile.
func (l *lease) again(failed func(err error)) retry.Policy {
	return retry.Policy{Pause: store.RetryPause, Sleep: l.pause, Failed: func(err error, _ bool) { failed(err) }}
}

// checkFence tells a write of our own whose answer was lost from another owner's.
func (l *lease) checkFence(ctx context.Context) error {
	have, err := l.records.Load(ctx, l.Queue, l.ID)
	if err != nil {
		return nil //nolint:nilerr // not known yet: the lease decides
	}
	if have == nil || have.Owner != l.Owner || have.Seq != l.Seq || have.State.State.Final() {
		return store.ErrFenced
	}
	l.Revision = have.Revision
	return nil
}
