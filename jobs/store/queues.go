package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// QueueInfo is a queue as it stands.
type QueueInfo struct {
	Name     string `json:"name"`
	Cap      int    `json:"cap"`       // requests in flight at most, on all workers together
	InFlight int    `json:"in_flight"` // requests in workers' hands
	Waiting  int    `json:"waiting"`   // requests that are fed and wait for a worker
	Owned    int    `json:"owned"`     // jobs that are being run
	Queued   int    `json:"queued"`    // jobs that no worker has taken yet
}

// Queues lists the queues that were ever served, by name.
func (s *Store) Queues(ctx context.Context) (list []QueueInfo, err error) {
	err = s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		work, err := js.Stream(ctx, s.c.Names.WorkStream())
		if err != nil {
			return err
		}
		consumers := work.ListConsumers(ctx)
		for info := range consumers.Info() {
			name, ok := strings.CutPrefix(info.Name, s.c.Names.WorkersConsumer(""))
			if !ok {
				continue
			}
			q := QueueInfo{Name: name, Cap: info.Config.MaxAckPending, InFlight: info.NumAckPending, Waiting: int(info.NumPending)}
			owners, err := js.Consumer(ctx, s.c.Names.JobsStream(), s.c.Names.OwnersConsumer(name))
			if err == nil {
				q.Owned, q.Queued = owners.CachedInfo().NumAckPending, int(owners.CachedInfo().NumPending)
			} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return err
			}
			list = append(list, q)
		}
		slices.SortFunc(list, func(a, b QueueInfo) int { return strings.Compare(a.Name, b.Name) })
		return consumers.Err()
	})
	return list, err
}

// SetQueueCap changes the cap of a queue while it works: the requests that may
// be in flight on all workers together, from 1.
func (s *Store) SetQueueCap(ctx context.Context, queue string, limit int) error {
	if limit < 1 {
		return fmt.Errorf("cap %d: must be at least 1", limit)
	}
	return s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		consumer, err := js.Consumer(ctx, s.c.Names.WorkStream(), s.c.Names.WorkersConsumer(queue))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("%w: %q; a worker that names it in PELTON_QUEUES makes it", ErrNoQueue, queue)
		}
		if err != nil {
			return err
		}
		cfg := consumer.CachedInfo().Config
		cfg.MaxAckPending = limit
		_, err = js.UpdateConsumer(ctx, s.c.Names.WorkStream(), cfg)
		return err
	})
}

// QueueCap returns the cap of a queue: the requests it may have in flight on
// all workers together.
func (s *Store) QueueCap(ctx context.Context, queue string) (int, error) {
	info, err := s.c.Consumer(ctx, s.c.Names.WorkStream(), s.c.Names.WorkersConsumer(queue))
	if err != nil {
		return 0, err
	}
	return info.Config.MaxAckPending, nil
}

// Served reports whether a worker has ever served the queue.
func (s *Store) Served(ctx context.Context, queue string) (bool, error) {
	_, err := s.c.Consumer(ctx, s.c.Names.JobsStream(), s.c.Names.OwnersConsumer(queue))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, nil
	}
	return err == nil, err
}
