package owner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// endUnserved ends jobs of queues that nobody has ever served, which no owner
// would ever see. Any process may do it: the record decides who was first.
func (o *Owner) endUnserved() {
	ctx, cancel := context.WithTimeout(o.hard, 5*time.Second)
	defer cancel()
	if err := o.endUnservedBefore(ctx, time.Now().Add(-o.UnservedAfter)); err != nil && ctx.Err() == nil {
		o.Log.Debug().Err(err).Msg("could not look for jobs of unknown queues")
	}
}

func (o *Owner) endUnservedBefore(ctx context.Context, before time.Time) error {
	queues, _, err := o.Store.Jobs.Queues(ctx)
	if err != nil {
		return err
	}
	for _, queue := range queues {
		if served, err := o.Store.Served(ctx, queue); served || err != nil {
			continue
		}
		if err := o.endQueue(ctx, queue, before); err != nil {
			return err
		}
	}
	return nil
}

// endQueue ends the jobs of one unknown queue that were published before.
func (o *Owner) endQueue(ctx context.Context, queue string, before time.Time) error {
	return o.Store.Jobs.Each(ctx, queue, 0, func(m store.JobMessage) error {
		if m.Published.After(before) {
			return nil
		}
		job, want, _ := o.Store.Jobs.Parse(m)
		have, err := o.Store.Records.Load(ctx, queue, want.ID)
		if err != nil || have != nil {
			return err
		}
		err = o.refuse(ctx, &want, schema.Reason{Code: schema.ReasonUnknownQueue,
			Message: fmt.Sprintf("no worker serves the queue %q; name it in a worker's PELTON_QUEUES, or publish to another", queue)}, job)
		if later := (*laterError)(nil); errors.As(err, &later) {
			return nil // its callback is tried again once somebody serves the queue
		}
		return err
	})
}
