package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/pull"
	"pelton/schema"
)

// List returns the states of the client's queue, newest first: every job whose
// state is kept, and those that no worker has taken yet.
func (c *Client) List(ctx context.Context) ([]schema.State, error) {
	return c.b.list(ctx, c.queue)
}

// ListAll is [Client.List] over all queues.
func (c *Client) ListAll(ctx context.Context) ([]schema.State, error) { return c.b.list(ctx, "*") }

func (b *Broker) list(ctx context.Context, queue string) ([]schema.State, error) {
	kv, err := b.states(ctx)
	if err != nil {
		return nil, err
	}
	watch, err := kv.Watch(ctx, b.names.StateKey(queue, "*"), jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", b.explain(err))
	}
	defer func() { _ = watch.Stop() }()
	var states []schema.State
	known := map[string]bool{}
	for entry := range watch.Updates() {
		if entry == nil { // all that was there
			break
		}
		rec, err := decodeRecord(entry)
		if err != nil {
			return nil, err
		}
		known[entry.Key()] = true
		states = append(states, rec.State)
	}
	err = b.eachQueued(ctx, queue, func(s *schema.State) bool {
		if key := b.names.StateKey(s.Queue, s.ID); !known[key] {
			known[key] = true
			states = append(states, *s)
		}
		return true
	})
	slices.SortStableFunc(states, func(a, b schema.State) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return states, err
}

// queuedJob looks for a job that no owner has taken yet, nil when there is none.
func (b *Broker) queuedJob(ctx context.Context, queue, id string) (*schema.State, error) {
	var found *schema.State
	err := b.eachQueued(ctx, queue, func(s *schema.State) bool {
		if s.ID == id {
			found = s
		}
		return found == nil
	})
	return found, err
}

// errEnough stops a walk.
var errEnough = errors.New("enough")

// eachQueued calls f for the jobs whose messages wait behind the last that was
// delivered to an owner, until f returns false. These have no record yet, so
// the messages themselves are read. A queue of "*" means all.
func (b *Broker) eachQueued(ctx context.Context, queue string, f func(*schema.State) bool) error {
	stream, err := b.js.Stream(ctx, b.names.JobsStream())
	if err != nil {
		return b.explain(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.names.Jobs(queue)))
	if err != nil {
		return b.explain(err)
	}
	for subject := range info.State.Subjects {
		at, ok := b.names.Parse("jobs", subject)
		if !ok {
			continue
		}
		if err := b.queuedIn(ctx, stream, at.Queue, f); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) queuedIn(ctx context.Context, stream jetstream.Stream, queue string, f func(*schema.State) bool) error {
	delivered := uint64(0)
	consumer, err := stream.Consumer(ctx, b.names.OwnersConsumer(queue))
	switch {
	case err == nil:
		delivered = consumer.CachedInfo().Delivered.Stream
	case !errors.Is(err, jetstream.ErrConsumerNotFound): // a queue that nobody serves has none
		return b.explain(err)
	}
	t := b.newTail(b.names.JobsStream(), b.names.Jobs(queue), delivered, false)
	return t.history(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		if !f(b.queuedState(queue, natsMsg(m), meta)) {
			return errEnough
		}
		return nil
	})
}

func (b *Broker) queuedState(queue string, m *nats.Msg, meta *jetstream.MsgMetadata) *schema.State {
	d := &pull.Delivery{Msg: m, Sequence: meta.Sequence.Stream, Published: meta.Timestamp}
	_, want, _ := b.readJob(queue, d)
	want.State.State, want.StartedAt, want.UpdatedAt = schema.Queued, nil, want.CreatedAt
	return &want.State
}

func natsMsg(m jetstream.Msg) *nats.Msg {
	return &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}
}

func rawMsg(m *jetstream.RawStreamMsg) *nats.Msg {
	return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
}
