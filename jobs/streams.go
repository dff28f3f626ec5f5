package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Setup makes the installation's streams and buckets, and the consumers of the
// given queues (queue to cap), unless they exist. It looks first: where all is
// there it needs no right to make anything, and else a [*MissingError] says what
// lacks. It is idempotent and safe to run from many processes at once; until ctx
// ends it retries what a cluster that is still starting refuses.
func (b *Broker) Setup(ctx context.Context, queues map[string]int) error {
	said, began := false, time.Now()
	for {
		one, cancel := context.WithTimeout(ctx, setupTry)
		err := b.setup(one, queues)
		cancel()
		if err == nil || !startingUp(err) {
			return err
		}
		if !said && time.Since(began) > sayAfter {
			said = true
			b.set.Log.Warn().Err(err).Msg("the NATS cluster is not ready; waiting for it")
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w (gave up: %w)", err, context.Cause(ctx))
		}
	}
}

// setupTry is how long one look at everything may take. A cluster that has no
// leader yet answers nothing at all: who asked then waits for nothing, and asks
// again. What was made by then is there.
const setupTry = 5 * time.Second

// sayAfter is how long the wait for a cluster goes unmentioned.
const sayAfter = 3 * time.Second

// What a cluster answers while too few of its nodes are up.
const (
	errNoPeers         jetstream.ErrorCode = 10005
	errStreamOffline   jetstream.ErrorCode = 10118
	errConsumerOffline jetstream.ErrorCode = 10119
)

// startingUp tells what a young cluster says from what waiting will not change.
func startingUp(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case errNoPeers, errStreamOffline, errConsumerOffline:
			return true
		}
		return api.Code == 503 && !strings.Contains(api.Description, "not enabled")
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

func (b *Broker) setup(ctx context.Context, queues map[string]int) error {
	missing := &MissingError{}
	for _, cfg := range b.streams() {
		what := "stream " + cfg.Name
		if err := missing.note(what, b.ensureStream(ctx, cfg)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := b.ensureBuckets(ctx, missing); err != nil {
		return err
	}
	b.counted.Store(true)
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		err := missing.note("queue "+queue, b.EnsureQueue(ctx, queue, queues[queue]))
		if errors.Is(err, jetstream.ErrStreamNotFound) && missing.What != nil { // its stream is among them
			missing.What = append(missing.What, "queue "+queue)
		} else if err != nil {
			return fmt.Errorf("queue %s: %w", queue, err)
		}
	}
	if missing.What != nil {
		return missing
	}
	return nil
}

// MissingError says what of an installation is not there, and that the
// connection's user may not make it. It wraps [ErrDenied].
type MissingError struct {
	What []string // like "stream PELTON_JOBS", "queue default"
	Err  error    // the first refusal
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: not there, and not for these credentials to make; somebody who may does so with `pelton check --create` (%v)",
		strings.Join(e.What, ", "), e.Err)
}

// Unwrap returns the first refusal.
func (e *MissingError) Unwrap() error { return e.Err }

// errMayNotMake marks the refusal of a call that would have made something, in
// contrast to one that would have looked.
type errMayNotMake struct{ error }

func (e errMayNotMake) Unwrap() error { return e.error }

func making(err error) error {
	if errors.Is(err, ErrDenied) {
		return errMayNotMake{err}
	}
	return err
}

// note takes an error that says that something is missing, and returns any other.
func (e *MissingError) note(what string, err error) error {
	var refused errMayNotMake
	if !errors.As(err, &refused) {
		return err
	}
	if e.Err == nil {
		e.Err = refused.error
	}
	e.What = append(e.What, what)
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
			Discard:   resultsDiscard, DiscardNewPerSubject: resultsOnce, MaxMsgsPerSubject: 1,
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
	return b.ensure(ctx, want.Name, want.MaxAge, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, want)
		return err
	})
}

// ensure is ensureStream for what is a stream or has one beneath it. Copies are
// added, never taken away: a worker that was started without the setting must
// not cost the installation its safety.
func (b *Broker) ensure(ctx context.Context, name string, age time.Duration, create func(context.Context, jetstream.JetStream) error) error {
	var have *jetstream.StreamConfig
	err := b.find(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			have = &stream.CachedInfo().Config
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		b.replicated.Store(b.replicated.Load() || b.replicas() > 1)
		return making(b.find(ctx, create))
	}
	if err != nil {
		return err
	}
	was, copies := *have, max(have.Replicas, b.replicas())
	b.replicated.Store(b.replicated.Load() || copies > 1)
	if was.MaxAge == age && was.Replicas == copies {
		return nil
	}
	have.MaxAge, have.Replicas = age, copies
	err = b.find(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.UpdateStream(ctx, *have)
		return err
	})
	if errors.Is(err, ErrDenied) {
		return fmt.Errorf("keeps messages for %s in %d copies, where this process is configured for %s and %d: "+
			"set PELTON_RESULTS_MAX_AGE and PELTON_REPLICAS as they were when it was made, or change it with `pelton check --create` (%w)",
			was.MaxAge, was.Replicas, age, copies, err)
	}
	return err
}

// find is ask with the API's own errors for what does not exist.
func (b *Broker) find(ctx context.Context, f func(context.Context, jetstream.JetStream) error) error {
	var own error
	err := b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		own = f(ctx, js)
		return own
	})
	if errors.Is(err, ErrDenied) {
		return err
	}
	return own
}

// ensureBuckets makes the key-value bucket and the object stores, or brings
// the streams beneath them up to date.
func (b *Broker) ensureBuckets(ctx context.Context, missing *MissingError) error {
	age := 2 * b.set.maxAge()
	state := b.names.StateBucket()
	what := "bucket " + state
	err := missing.note(what, b.ensure(ctx, "KV_"+state, age, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: state, History: 1, TTL: age, Replicas: b.replicas()})
		return err
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, bucket := range []string{b.names.InputBucket(), b.names.BodiesBucket()} {
		what := "object store " + bucket
		err := missing.note(what, b.ensure(ctx, "OBJ_"+bucket, age, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucket, TTL: age, Replicas: b.replicas()})
			return err
		}))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
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
	var have jetstream.ConsumerConfig
	keep := func(c jetstream.Consumer, err error) error {
		if err == nil {
			have = c.CachedInfo().Config
		}
		return err
	}
	look := func(ctx context.Context, js jetstream.JetStream) error {
		return keep(js.Consumer(ctx, stream, cfg.Durable))
	}
	err := b.find(ctx, look)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = making(b.find(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			return keep(js.CreateConsumer(ctx, stream, cfg))
		}))
		if errors.Is(err, jetstream.ErrConsumerExists) { // somebody was quicker, with another cap
			err = b.find(ctx, look)
		}
	}
	if err != nil {
		return have, fmt.Errorf("consumer %s: %w", cfg.Durable, err)
	}
	return have, nil
}
