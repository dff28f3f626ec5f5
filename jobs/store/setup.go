package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/retry"
	"pelton/jobs/store/internal/jet"
)

// Setup makes the installation's streams and buckets, and the consumers of the
// given queues (queue to cap), unless they exist. It looks first: where all is
// there it needs no right to make anything, and else a [*MissingError] says what
// lacks. It is idempotent and safe to run from many processes at once; until ctx
// ends it retries what a cluster that is still starting refuses.
func (s *Store) Setup(ctx context.Context, queues map[string]int) error {
	return retry.Do(ctx, retry.Policy{
		Pause: setupPause, Try: setupTry, Late: setupLate,
		Again: func(_ context.Context, err error) bool { return jet.IsStarting(err) },
		Failed: func(err error, late bool) {
			if late {
				s.c.Log.Warn().Err(err).Msg("the NATS cluster is not ready; waiting for it")
			}
		},
	}, func(ctx context.Context) error { return s.SetupOnce(ctx, queues) })
}

const (
	setupPause = 300 * time.Millisecond

	// setupTry is how long one look at everything may take. A cluster without a
	// leader answers nothing at all; what was made by then is there.
	setupTry = 5 * time.Second

	// setupLate is how long the wait for a cluster goes unmentioned.
	setupLate = 3 * time.Second
)

// SetupOnce is [Store.Setup] that does not try again.
func (s *Store) SetupOnce(ctx context.Context, queues map[string]int) error {
	missing := &MissingError{}
	for _, cfg := range s.streams() {
		what := "stream " + cfg.Name
		if err := missing.note(what, s.ensureStream(ctx, cfg)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := s.ensureBuckets(ctx, missing); err != nil {
		return err
	}
	s.c.CopiesKnown()
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		err := missing.note("queue "+queue, s.EnsureQueue(ctx, queue, queues[queue]))
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

// streams are those of an installation, as they are made.
func (s Settings) streams() []jetstream.StreamConfig {
	n, age := s.Names, s.maxAge()
	workStorage := jetstream.FileStorage
	if s.WorkInMemory {
		workStorage = jetstream.MemoryStorage
	}
	discard := jetstream.DiscardOld
	if jet.ResultsOnce {
		discard = jetstream.DiscardNew
	}
	return []jetstream.StreamConfig{
		{
			Name: n.JobsStream(), Subjects: []string{n.Jobs("*")},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxAge: 2 * age, Replicas: s.copies(), AllowDirect: true,
		},
		{
			Name: n.WorkStream(), Subjects: []string{n.WorkIn("*")},
			Retention: jetstream.WorkQueuePolicy, Storage: workStorage,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
			Replicas: s.copies(), AllowDirect: true,
		},
		{
			Name: n.ResultsStream(), Subjects: []string{n.ResultsOf("*", "*")},
			Retention: jetstream.LimitsPolicy,
			Discard:   discard, DiscardNewPerSubject: jet.ResultsOnce, MaxMsgsPerSubject: 1,
			MaxAge: age, Replicas: s.copies(), AllowDirect: true,
		},
		{
			Name: n.ParkedStream(), Subjects: []string{n.ParkedOf("*", "*")},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1,
			MaxAge: 2 * age, Replicas: s.copies(), AllowDirect: true,
		},
		{
			Name: n.CancelsStream(), Subjects: []string{n.Cancel("*", "*")},
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1,
			MaxAge: 2 * age, Replicas: s.copies(), AllowDirect: true,
		},
	}
}

// ensureStream makes a stream, or brings the settings that may change up to
// date on the one that is there.
func (s *Store) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	return s.ensure(ctx, want.Name, want.MaxAge, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, want)
		return err
	})
}

// ensure is ensureStream for what is a stream or has one beneath it. Copies are
// added, never taken away: a worker that was started without the setting must
// not cost the installation its safety.
func (s *Store) ensure(ctx context.Context, name string, age time.Duration, create func(context.Context, jetstream.JetStream) error) error {
	var have *jetstream.StreamConfig
	err := s.find(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			have = &stream.CachedInfo().Config
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.c.HasCopies(s.copies())
		return making(s.find(ctx, create))
	}
	if err != nil {
		return err
	}
	was, copies := *have, max(have.Replicas, s.copies())
	s.c.HasCopies(copies)
	if was.MaxAge == age && was.Replicas == copies {
		return nil
	}
	have.MaxAge, have.Replicas = age, copies
	err = s.find(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.UpdateStream(ctx, *have)
		return err
	})
	if errors.Is(err, jet.ErrDenied) {
		return fmt.Errorf("keeps messages for %s in %d copies, where this process is configured for %s and %d: "+
			"set PELTON_RESULTS_MAX_AGE and PELTON_REPLICAS as they were when it was made, or change it with `pelton check --create` (%w)",
			was.MaxAge, was.Replicas, age, copies, err)
	}
	return err
}

// find is ask with the API's own errors for what does not exist.
func (s *Store) find(ctx context.Context, f func(context.Context, jetstream.JetStream) error) error {
	var own error
	err := s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		own = f(ctx, js)
		return own
	})
	if errors.Is(err, jet.ErrDenied) {
		return err
	}
	return own
}

// ensureBuckets makes the key-value bucket and the object stores, or brings
// the streams beneath them up to date.
func (s *Store) ensureBuckets(ctx context.Context, missing *MissingError) error {
	age := 2 * s.maxAge()
	state := s.c.Names.StateBucket()
	what := "bucket " + state
	err := missing.note(what, s.ensure(ctx, "KV_"+state, age, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: state, History: 1, TTL: age, Replicas: s.copies()})
		return err
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, bucket := range []string{s.c.Names.InputBucket(), s.c.Names.BodiesBucket()} {
		what := "object store " + bucket
		err := missing.note(what, s.ensure(ctx, "OBJ_"+bucket, age, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucket, TTL: age, Replicas: s.copies()})
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
// that an existing queue has is kept, since [Store.SetQueueCap] changes it;
// one that differs is logged.
func (s *Store) EnsureQueue(ctx context.Context, queue string, limit int) error {
	owners := jetstream.ConsumerConfig{
		Durable: s.c.Names.OwnersConsumer(queue), FilterSubject: s.c.Names.Jobs(queue),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		MaxAckPending: -1, MaxDeliver: -1, MaxWaiting: maxWaiting,
	}
	if _, err := s.ensureConsumer(ctx, s.c.Names.JobsStream(), owners); err != nil {
		return err
	}
	workers := jetstream.ConsumerConfig{
		Durable: s.c.Names.WorkersConsumer(queue), FilterSubject: s.c.Names.WorkIn(queue),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		MaxAckPending: limit, MaxDeliver: -1, MaxWaiting: maxWaiting,
	}
	have, err := s.ensureConsumer(ctx, s.c.Names.WorkStream(), workers)
	if err == nil && have.MaxAckPending != limit {
		s.c.Log.Warn().Str("queue", queue).Int("cap", have.MaxAckPending).Int("configured", limit).
			Msg("the queue keeps the cap it has; `pelton queue set` changes it")
	}
	return err
}

func (s *Store) ensureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.ConsumerConfig, error) {
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
	err := s.find(ctx, look)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = making(s.find(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			return keep(js.CreateConsumer(ctx, stream, cfg))
		}))
		if errors.Is(err, jetstream.ErrConsumerExists) { // somebody was quicker, with another cap
			err = s.find(ctx, look)
		}
	}
	if err != nil {
		return have, fmt.Errorf("consumer %s: %w", cfg.Durable, err)
	}
	return have, nil
}
