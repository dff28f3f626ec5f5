package jobs

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
func (c *Client) Queues(ctx context.Context) ([]QueueInfo, error) {
	var list []QueueInfo
	err := c.b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) (err error) {
		list, err = c.b.queues(ctx, js)
		return err
	})
	return list, err
}

func (b *Broker) queues(ctx context.Context, js jetstream.JetStream) ([]QueueInfo, error) {
	work, err := js.Stream(ctx, b.names.WorkStream())
	if err != nil {
		return nil, err
	}
	var list []QueueInfo
	consumers := work.ListConsumers(ctx)
	for info := range consumers.Info() {
		name, ok := strings.CutPrefix(info.Name, b.names.WorkersConsumer(""))
		if !ok {
			continue
		}
		q := QueueInfo{Name: name, Cap: info.Config.MaxAckPending, InFlight: info.NumAckPending, Waiting: int(info.NumPending)}
		owners, err := js.Consumer(ctx, b.names.JobsStream(), b.names.OwnersConsumer(name))
		if err == nil {
			q.Owned, q.Queued = owners.CachedInfo().NumAckPending, int(owners.CachedInfo().NumPending)
		} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
		list = append(list, q)
	}
	slices.SortFunc(list, func(a, b QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return list, consumers.Err()
}

// ErrNoQueue means that no worker has ever served the queue.
var ErrNoQueue = errors.New("no such queue")

// SetQueueCap changes the cap of a queue while it works: the requests that may
// be in flight on all workers together, from 1.
func (c *Client) SetQueueCap(ctx context.Context, queue string, limit int) error {
	if limit < 1 {
		return fmt.Errorf("cap %d: must be at least 1", limit)
	}
	b := c.b
	return b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		consumer, err := js.Consumer(ctx, b.names.WorkStream(), b.names.WorkersConsumer(queue))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("%w: %q; a worker that names it in PELTON_QUEUES makes it", ErrNoQueue, queue)
		}
		if err != nil {
			return err
		}
		cfg := consumer.CachedInfo().Config
		cfg.MaxAckPending = limit
		_, err = js.UpdateConsumer(ctx, b.names.WorkStream(), cfg)
		return err
	})
}
