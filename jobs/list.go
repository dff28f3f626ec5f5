package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pelton/jobs/store"
	"pelton/schema"
)

// List returns the states of the client's queue, newest first: every job whose
// state is kept, and those that no worker has taken yet.
func (c *Client) List(ctx context.Context) ([]schema.State, error) { return c.list(ctx, c.queue) }

// ListAll is [Client.List] over all queues.
func (c *Client) ListAll(ctx context.Context) ([]schema.State, error) { return c.list(ctx, "*") }

func (c *Client) list(ctx context.Context, queue string) ([]schema.State, error) {
	states, err := c.st.Records.List(ctx, queue)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	known := map[store.JobKey]bool{}
	for _, s := range states {
		known[store.JobKey{Queue: s.Queue, ID: s.ID}] = true
	}
	err = c.st.Jobs.EachQueued(ctx, queue, func(s *schema.State) bool {
		if key := (store.JobKey{Queue: s.Queue, ID: s.ID}); !known[key] {
			known[key] = true
			states = append(states, *s)
		}
		return true
	})
	if errors.Is(err, store.ErrDenied) && c.st.AskService && queue != "*" {
		states, err = servedList(ctx, c.st, queue, err)
	}
	slices.SortStableFunc(states, func(a, b schema.State) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return states, err
}

// Queues lists the queues that were ever served, by name.
func (c *Client) Queues(ctx context.Context) ([]store.QueueInfo, error) { return c.st.Queues(ctx) }

// SetQueueCap changes the cap of a queue while it works: the requests that may
// be in flight on all workers together, from 1. [ErrNoQueue] says that no worker
// has ever served the queue.
func (c *Client) SetQueueCap(ctx context.Context, queue string, limit int) error {
	return c.st.SetQueueCap(ctx, queue, limit)
}

// Storage tells how much of the store each stream and bucket of the
// installation takes. That none is there is [ErrNotSetUp].
func (c *Client) Storage(ctx context.Context) (*store.Storage, error) { return c.st.Storage(ctx, true) }

// What the store tells of itself, for users of the client.
type (
	// QueueInfo is what is known of one queue.
	QueueInfo = store.QueueInfo

	// Storage is how much of the store is taken, by stream and bucket.
	Storage = store.Storage

	// StreamInfo is what one stream or bucket takes.
	StreamInfo = store.StreamInfo

	// Removed counts what [Client.Remove] took away.
	Removed = store.Removed
)
