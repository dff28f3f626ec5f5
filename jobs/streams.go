package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Setup makes the installation's streams and buckets, and the consumers of the
// given queues (queue to cap), unless they exist. It is idempotent and safe to
// run from many processes at once; until ctx ends it retries what a cluster
// that is still starting refuses.
func (b *Broker) Setup(ctx context.Context, queues map[string]int) error {
	for {
		err := b.setup(ctx, queues)
		if err == nil || !startingUp(err) {
			return err
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w (gave up: %w)", err, context.Cause(ctx))
		}
	}
}

// startingUp tells what a young cluster says from what waiting will not change.
func startingUp(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 503 && !strings.Contains(api.Description, "not enabled")
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

func (b *Broker) setup(ctx context.Context, queues map[string]int) error {
	for _, cfg := range b.streams() {
		if err := b.ensureStream(ctx, cfg); err != nil {
			return fmt.Errorf("stream %s: %w", cfg.Name, err)
		}
	}
	if err := b.ensureBuckets(ctx); err != nil {
		return err
	}
	for queue, limit := range queues {
		if err := b.EnsureQueue(ctx, queue, limit); err != nil {
			return fmt.Errorf("queue %s: %w", queue, err)
		}
	}
	return nil
}

func (b *Broker) replicas() int { return max(1, b.set.Replicas) }

func (b *Broker) streams() []jetstream.StreamConfig {
	n, age := b.names, b.set.maxAge()
	workStorage := jetstream.FileStorage
	if b.set.WorkInMemory {
		workStorage = jetstream.MemoryStorage
	}
	return []jetstream.StreamConfig{
		{
			Name: n.JobsStream(), Subjects: []string{n.Jobs("*")},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxAge: 2 * age, Replicas: b.replicas(), AllowDirect: true,
		},
		{
			Name: n.WorkStream(), Subjects: []string{n.WorkIn("*")},
			Retention: jetstream.WorkQueuePolicy, Storage: workStorage,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
			Replicas: b.replicas(), AllowDirect: true,
		},
		{
			Name: n.ResultsStream(), Subjects: []string{n.ResultsOf("*", "*")},
			Retention: jetstream.LimitsPolicy,
			Discard:   jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
			MaxAge: age, Replicas: b.replicas(), AllowDirect: true,
		},
		{
			Name: n.ParkedStream(), Subjects: []string{n.ParkedOf("*", "*")},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1,
			MaxAge: 2 * age, Replicas: b.replicas(), AllowDirect: true,
		},
		{
			Name: n.CancelsStream(), Subjects: []string{n.Cancel("*", "*")},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1,
			MaxAge: 2 * age, Replicas: b.replicas(), AllowDirect: true,
		},
	}
}

// ensureStream makes a stream, or brings the settings that may change up to
// date on the one that is there.
func (b *Broker) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	stream, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	have := stream.CachedInfo().Config
	if have.MaxAge == want.MaxAge && have.Replicas == want.Replicas {
		return nil
	}
	have.MaxAge, have.Replicas = want.MaxAge, want.Replicas
	_, err = b.js.UpdateStream(ctx, have)
	return err
}

func (b *Broker) ensureBuckets(ctx context.Context) error {
	age := 2 * b.set.maxAge()
	bucket := b.names.StateBucket()
	if _, err := b.js.KeyValue(ctx, bucket); errors.Is(err, jetstream.ErrBucketNotFound) {
		cfg := jetstream.KeyValueConfig{Bucket: bucket, History: 1, TTL: age, Replicas: b.replicas()}
		if _, err := b.js.CreateKeyValue(ctx, cfg); err != nil {
			return fmt.Errorf("bucket %s: %w", bucket, err)
		}
	} else if err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	for _, bucket := range []string{b.names.InputBucket(), b.names.BodiesBucket()} {
		if _, err := b.js.ObjectStore(ctx, bucket); errors.Is(err, jetstream.ErrBucketNotFound) {
			cfg := jetstream.ObjectStoreConfig{Bucket: bucket, TTL: age, Replicas: b.replicas()}
			if _, err := b.js.CreateObjectStore(ctx, cfg); err != nil {
				return fmt.Errorf("object store %s: %w", bucket, err)
			}
		} else if err != nil {
			return fmt.Errorf("object store %s: %w", bucket, err)
		}
	}
	return nil
}

// maxWaiting is how many pull requests a consumer holds open, over all workers.
const maxWaiting = 8192

// EnsureQueue makes the two consumers of a queue unless they exist. limit is
// the cap: the requests of this queue in flight on all workers together. A cap
// that an existing queue has is kept, since [Broker.SetQueueCap] changes it;
// one that differs is logged.
func (b *Broker) EnsureQueue(ctx context.Context, queue string, limit int) error {
	owners := jetstream.ConsumerConfig{
		Durable: b.names.OwnersConsumer(queue), FilterSubject: b.names.Jobs(queue),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		MaxAckPending: -1, MaxDeliver: -1, MaxWaiting: maxWaiting,
	}
	if _, err := b.ensureConsumer(ctx, b.names.JobsStream(), owners); err != nil {
		return err
	}
	workers := jetstream.ConsumerConfig{
		Durable: b.names.WorkersConsumer(queue), FilterSubject: b.names.WorkIn(queue),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		MaxAckPending: limit, MaxDeliver: -1, MaxWaiting: maxWaiting,
	}
	have, err := b.ensureConsumer(ctx, b.names.WorkStream(), workers)
	if err == nil && have.MaxAckPending != limit {
		b.set.Log.Warn().Str("queue", queue).Int("cap", have.MaxAckPending).Int("configured", limit).
			Msg("the queue keeps the cap it has; `pelton queue set` changes it")
	}
	return err
}

func (b *Broker) ensureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.ConsumerConfig, error) {
	consumer, err := b.js.Consumer(ctx, stream, cfg.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = b.js.CreateConsumer(ctx, stream, cfg)
		if errors.Is(err, jetstream.ErrConsumerExists) { // somebody was quicker, with another cap
			consumer, err = b.js.Consumer(ctx, stream, cfg.Durable)
		}
	}
	if err != nil {
		return jetstream.ConsumerConfig{}, fmt.Errorf("consumer %s: %w", cfg.Durable, err)
	}
	return consumer.CachedInfo().Config, nil
}
