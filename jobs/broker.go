package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/denied"
	"pelton/schema"
)

// Timing of ownership and delivery. The two belong together: what dies is
// noticed after AckWait, and what lives renews every Heartbeat.
const (
	AckWait   = 6 * time.Second
	Heartbeat = 1500 * time.Millisecond
)

// ackTime is how long the acknowledgement of a publish is waited for.
const ackTime = 5 * time.Second

// DefaultResultsMaxAge is how long results are kept.
const DefaultResultsMaxAge = 72 * time.Hour

// Settings describe one installation on a NATS account. The zero value is a
// single-server installation with the default names.
type Settings struct {
	Names           schema.Names
	Replicas        int           // of every stream, 0 means 1; where there are more, they stay
	ResultsMaxAge   time.Duration // 0: [DefaultResultsMaxAge]; everything else is kept twice as long
	AutoConcurrency bool          // jobs may leave their concurrency to be found (experimental)
	WorkInMemory    bool          // the work stream in memory: for a server in the same process
	Alone           bool          // no other process reaches the server: work and results are handed on in memory
	ReplyAllow      []string      // subject patterns a job's reply must match; empty: any that is valid
	Log             zerolog.Logger

	// Callbacks are the webhooks that jobs may name. Nil: none.
	Callbacks Callbacks

	// CallbackPauses are the pauses between tries to deliver a callback; after
	// them it has failed. Nil: eight, from 5 s to 10 h.
	CallbackPauses []time.Duration

	// StoreUsage tells the bytes used and the most there may be, where the
	// account itself has no limit that says so. Nil: ask the account.
	StoreUsage func() (used, most int64)
}

func (s Settings) maxAge() time.Duration {
	if s.ResultsMaxAge > 0 {
		return s.ResultsMaxAge
	}
	return DefaultResultsMaxAge
}

// longestDeadline keeps a job's results alive at least as long after its end as
// the job took.
func (s Settings) longestDeadline() time.Duration { return s.maxAge() / 2 }

// deadline returns when a job published at t must have ended.
func (s Settings) deadline(job *schema.Job, t time.Time) time.Time {
	if job.Deadline == (schema.Deadline{}) {
		return t.Add(min(schema.DefaultDeadline, s.longestDeadline()))
	}
	return job.Deadline.Time(t)
}

// Broker is one installation's streams as seen over one connection: what the
// owner, the worker and the client have in common. It is safe for concurrent use.
type Broker struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	names schema.Names
	set   Settings
	watch *denied.Watcher

	// asksService is of a client: what it may not read, it asks of a worker.
	asksService bool

	counted    atomic.Bool // it is known how many copies of each stream there are
	replicated atomic.Bool // there are several

	most  int // bytes of a message, where that cannot change: see maxPayload
	fill  fill
	pub   *publisher
	local *LocalWork // set where the installation is this process
	taps  taps

	listeners listeners
}

// jobKey names a job among those of all queues.
type jobKey struct{ queue, job string }

// NewBroker wraps a connection. It does not talk to the server; [Broker.Setup]
// does.
func NewBroker(nc *nats.Conn, set Settings) (*Broker, error) {
	// Without a time an acknowledgement that is lost would be awaited for ever.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(ackTime))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	b := &Broker{nc: nc, js: js, names: set.Names, set: set, watch: denied.Watch(nc)}
	b.pub = newPublisher(nc, b.watch)
	if set.Alone {
		b.local = newLocalWork()
		b.most = int(nc.MaxPayload())
	}
	return b, nil
}

// maxPayload is how many bytes a message may have. A connection asks under its
// lock, and may get another answer from the server that it finds next.
func (b *Broker) maxPayload() int {
	if b.most > 0 {
		return b.most
	}
	return int(b.nc.MaxPayload())
}

// losses counts how often the connection was lost. One within the process is not.
func (b *Broker) losses() uint64 {
	if b.set.Alone {
		return 0
	}
	return b.nc.Stats().Reconnects
}

// Names returns the installation's names.
func (b *Broker) Names() schema.Names { return b.names }

// Conn returns the connection the broker was made with.
func (b *Broker) Conn() *nats.Conn { return b.nc }

// ask makes calls of the JetStream API, of which one that the server refuses
// returns [ErrDenied] at once. sends are what f publishes besides; they may hold
// wildcards.
func (b *Broker) ask(ctx context.Context, f func(context.Context, jetstream.JetStream) error, sends ...string) error {
	ctx, call := b.watch.Guard(unhurried{ctx}, sends...)
	defer call.End()
	js, err := jetstream.New(b.nc, traced(call))
	if err == nil {
		err = f(ctx, js)
	}
	return b.explain(call.Or(err))
}

// traced makes the calls of an API known before they are sent.
func traced(call *denied.Call) jetstream.JetStreamOpt {
	return jetstream.WithClientTrace(&jetstream.ClientTrace{
		RequestSent: func(subject string, _ []byte) { call.Sends(subject) },
	})
}

// publish stores a message, or says why not; [ErrDenied] at once.
func (b *Broker) publish(ctx context.Context, m *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, call := b.watch.Guard(unhurried{ctx}, m.Subject)
	defer call.End()
	ack, err := b.js.PublishMsg(ctx, m, options...)
	return ack, call.Or(err)
}

// unhurried is a context that ends when its parent does and does not say when
// that will be. The client library waits for the answer to a call as long as its
// context says it may, and only where that says nothing for its own 5 s: an
// answer that died with a server would be waited for until the caller's last
// moment, instead of being asked for again.
type unhurried struct{ context.Context }

// Deadline says that there is none.
func (unhurried) Deadline() (time.Time, bool) { return time.Time{}, false }

// steadily tries what is harmless to do twice again while nobody answers for the
// stream, for as long as the election of a leader may take.
func (b *Broker) steadily(ctx context.Context, stream string, try func(context.Context) error) error {
	for began := time.Now(); ; {
		err := try(ctx)
		again := passing(err) || b.leaderless(ctx, err, stream)
		if !again || ctx.Err() != nil || time.Since(began) > electionTime {
			return err
		}
		if err := sleep(ctx, retryFeed); err != nil {
			return err
		}
	}
}

// electionTime is how long a cluster may take to find the leader of a stream
// whose node has gone, with room to spare: an election begins after 4 to 9 s,
// and may have to be held again.
const electionTime = 20 * time.Second

// request asks whoever serves a subject.
func (b *Broker) request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	ctx, call := b.watch.Guard(ctx, subject)
	defer call.End()
	reply, err := b.nc.RequestWithContext(ctx, subject, data)
	return reply, b.explain(call.Or(err))
}

// states gives the state bucket to f.
func (b *Broker) states(ctx context.Context, f func(context.Context, jetstream.KeyValue) error) error {
	return b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		kv, err := js.KeyValue(ctx, b.names.StateBucket())
		if err != nil {
			return err
		}
		return f(ctx, kv)
	}, "$KV."+b.names.StateBucket()+".>")
}

// objects gives an object store to f.
func (b *Broker) objects(ctx context.Context, bucket string, f func(context.Context, jetstream.ObjectStore) error) error {
	return b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		store, err := js.ObjectStore(ctx, bucket)
		if err != nil {
			return err
		}
		return f(ctx, store)
	}, "$O."+bucket+".>")
}

// ErrNotSetUp means that no worker has made the streams on this account yet.
var ErrNotSetUp = errors.New("Pelton's streams do not exist on this NATS account: start `pelton worker` on it first") //nolint:staticcheck // a name begins it

// ErrDenied means that the server refused an action for want of permission. The
// error that wraps it names the subject.
var ErrDenied = errors.New("permission denied")

// explain turns what the broker says about missing streams into what to do.
func (b *Broker) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound),
		errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w (%w)", ErrNotSetUp, err)
	case errors.Is(err, nats.ErrPermissionViolation) && !errors.Is(err, ErrDenied):
		return &deniedError{err}
	}
	return err
}

// deniedError is [ErrDenied] with the text of the error that says what was denied.
type deniedError struct{ error }

func (e *deniedError) Unwrap() []error { return []error{ErrDenied, e.error} }

// passing reports whether err is one of those that a cluster gives while it has
// no leader, or that come of an answer that died with a node: it passes.
func passing(err error) bool {
	return startingUp(err) || errors.Is(err, nats.ErrTimeout)
}

// leaderless reports whether nobody answered for a stream because it has no
// leader now, rather than because there is no such stream.
func (b *Broker) leaderless(ctx context.Context, err error, stream string) bool {
	if !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, leaderTime)
	defer cancel()
	err = b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.Stream(ctx, stream)
		return err
	})
	return err == nil || passing(err)
}

// leaderTime is how long a stream's leader gets to say that there is one.
const leaderTime = 2 * time.Second

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, ErrDenied) || errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, errTooLarge)
}

// retry tries until it works, cannot work, or ctx ends: for reading what is
// certainly there from a broker that may be away for a while.
func (b *Broker) retry(ctx context.Context, try func(context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := try(one)
		cancel()
		if err == nil || permanent(err) || ctx.Err() != nil {
			return err
		}
		b.set.Log.Debug().Err(err).Msg("reading was interrupted")
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// occupied reports whether err says that a subject holds a message already:
// the expected last sequence of 0 was refused. Replicated streams have a code
// of their own for it. A full stream is refused with another.
func occupied(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// expectNew makes a publish fail unless its subject holds no message.
func expectNew(m *nats.Msg) *nats.Msg {
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	return m
}
