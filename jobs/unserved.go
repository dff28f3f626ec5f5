package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/pull"
	"pelton/schema"
)

// endUnserved ends jobs of queues that nobody has ever served, which no owner
// would ever see. Any process may do it: the record decides who was first.
func (o *Owner) endUnserved() {
	ctx, cancel := context.WithTimeout(o.hard, 5*time.Second)
	defer cancel()
	if err := o.endUnservedBefore(ctx, time.Now().Add(-o.cfg.UnservedAfter)); err != nil && ctx.Err() == nil {
		o.cfg.Log.Debug().Err(err).Msg("could not look for jobs of unknown queues")
	}
}

func (o *Owner) endUnservedBefore(ctx context.Context, before time.Time) error {
	b := o.b
	info, err := b.subjects(ctx, b.names.JobsStream(), b.names.Jobs("*"))
	if err != nil {
		return err
	}
	for subject := range info.State.Subjects {
		at, ok := b.names.Parse("jobs", subject)
		if !ok {
			continue
		}
		_, err := b.consumer(ctx, b.names.JobsStream(), b.names.OwnersConsumer(at.Queue))
		if !errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err := o.endQueue(ctx, at.Queue, subject, before); err != nil {
			return err
		}
	}
	return nil
}

// endQueue ends the jobs of one unknown queue that were published before.
func (o *Owner) endQueue(ctx context.Context, queue, subject string, before time.Time) error {
	t := o.b.newTail(o.b.names.JobsStream(), subject, 0, false)
	return t.history(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		if meta.Timestamp.After(before) {
			return nil
		}
		d := &pull.Delivery{Msg: natsMsg(m), Sequence: meta.Sequence.Stream, Published: meta.Timestamp}
		job, want, _ := o.b.readJob(queue, d)
		have, err := o.b.loadRecord(ctx, queue, want.ID)
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
