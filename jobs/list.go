package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/pull"
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
	var states []schema.State
	err := b.states(ctx, func(ctx context.Context, kv jetstream.KeyValue) (err error) {
		states, err = recorded(ctx, kv, b.names.StateKey(queue, "*"))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	known := map[string]bool{}
	for _, s := range states {
		known[b.names.StateKey(s.Queue, s.ID)] = true
	}
	err = b.eachQueued(ctx, queue, false, func(s *schema.State) bool {
		if key := b.names.StateKey(s.Queue, s.ID); !known[key] {
			known[key] = true
			states = append(states, *s)
		}
		return true
	})
	if errors.Is(err, ErrDenied) && b.asksService && queue != "*" {
		states, err = b.servedList(ctx, queue, err)
	}
	slices.SortStableFunc(states, func(a, b schema.State) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return states, err
}

// recorded returns the states under the keys that are there now.
func recorded(ctx context.Context, kv jetstream.KeyValue, keys string) ([]schema.State, error) {
	watch, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer func() { _ = watch.Stop() }()
	var states []schema.State
	for entry := range watch.Updates() {
		if entry == nil { // all that was there
			return states, nil
		}
		rec, err := decodeRecord(entry.Key(), entry.Value(), entry.Revision())
		if err != nil {
			return nil, err
		}
		states = append(states, rec.State)
	}
	return states, context.Cause(ctx)
}

// queuedJob looks for a job that no owner has taken yet, nil when there is none.
func (b *Broker) queuedJob(ctx context.Context, queue, id string) (*schema.State, error) {
	found, err := b.findQueued(ctx, queue, id, false)
	if errors.Is(err, ErrDenied) && b.asksService {
		return b.servedState(ctx, queue, id, err)
	}
	return found, err
}

// heldJob is queuedJob for a job whose message an owner has been given, and that
// has no record all the same: the owner is slow, or died before it wrote one.
// It reads every message that is not acknowledged, and those between them.
func (b *Broker) heldJob(ctx context.Context, queue, id string) (*schema.State, error) {
	return b.findQueued(ctx, queue, id, true)
}

func (b *Broker) findQueued(ctx context.Context, queue, id string, held bool) (*schema.State, error) {
	var found *schema.State
	err := b.eachQueued(ctx, queue, held, func(s *schema.State) bool {
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
// the messages themselves are read. A queue of "*" means all. With held the walk
// begins with the first message that no owner is done with.
func (b *Broker) eachQueued(ctx context.Context, queue string, held bool, f func(*schema.State) bool) error {
	info, err := b.subjects(ctx, b.names.JobsStream(), b.names.Jobs(queue))
	if err != nil {
		return err
	}
	for subject := range info.State.Subjects {
		at, ok := b.names.Parse("jobs", subject)
		if !ok {
			continue
		}
		if err := b.queuedIn(ctx, at.Queue, held, f); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) queuedIn(ctx context.Context, queue string, held bool, f func(*schema.State) bool) error {
	behind := uint64(0)
	owners, err := b.consumer(ctx, b.names.JobsStream(), b.names.OwnersConsumer(queue))
	switch {
	case err == nil && held:
		behind = owners.AckFloor.Stream
	case err == nil:
		behind = owners.Delivered.Stream
	case !errors.Is(err, jetstream.ErrConsumerNotFound): // a queue that nobody serves has none
		return err
	}
	t := b.newTail(b.names.JobsStream(), b.names.Jobs(queue), behind, false)
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

// consumer describes a consumer as it is now.
func (b *Broker) consumer(ctx context.Context, stream, name string) (info *jetstream.ConsumerInfo, err error) {
	err = b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		c, err := js.Consumer(ctx, stream, name)
		if err == nil {
			info = c.CachedInfo()
		}
		return err
	})
	return info, err
}

func natsMsg(m jetstream.Msg) *nats.Msg {
	return &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}
}

func rawMsg(m *jetstream.RawStreamMsg) *nats.Msg {
	return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
}
