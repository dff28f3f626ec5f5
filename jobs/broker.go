package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/schema"
)

// Timing of ownership and delivery. The two belong together: what dies is
// noticed after AckWait, and what lives renews every Heartbeat.
const (
	AckWait   = 6 * time.Second
	Heartbeat = 1500 * time.Millisecond
)

// Bounds of what is published without waiting for each acknowledgement.
const (
	ackTime    = 5 * time.Second
	maxPending = 16_384
)

// DefaultResultsMaxAge is how long results are kept.
const DefaultResultsMaxAge = 72 * time.Hour

// Settings describe one installation on a NATS account. The zero value is a
// single-server installation with the default names.
type Settings struct {
	Names           schema.Names
	Replicas        int           // of every stream; 0 means 1
	ResultsMaxAge   time.Duration // 0: [DefaultResultsMaxAge]; everything else is kept twice as long
	AutoConcurrency bool          // jobs may leave their concurrency to be found (experimental)
	WorkInMemory    bool          // the work stream in memory: for a server in the same process
	ReplyAllow      []string      // subject patterns a job's reply must match; empty: any that is valid
	Log             zerolog.Logger

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
	fill  fill
}

// NewBroker wraps a connection. It does not talk to the server; [Broker.Setup]
// does.
func NewBroker(nc *nats.Conn, set Settings) (*Broker, error) {
	// Without a time an acknowledgement that is lost would be awaited for ever.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(ackTime), jetstream.WithPublishAsyncMaxPending(maxPending))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &Broker{nc: nc, js: js, names: set.Names, set: set}, nil
}

// Names returns the installation's names.
func (b *Broker) Names() schema.Names { return b.names }

// Conn returns the connection the broker was made with.
func (b *Broker) Conn() *nats.Conn { return b.nc }

func (b *Broker) states(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := b.js.KeyValue(ctx, b.names.StateBucket())
	return kv, b.explain(err)
}

func (b *Broker) objects(ctx context.Context, bucket string) (jetstream.ObjectStore, error) {
	store, err := b.js.ObjectStore(ctx, bucket)
	return store, b.explain(err)
}

// ErrNotSetUp means that no worker has made the streams on this account yet.
var ErrNotSetUp = errors.New("Pelton's streams do not exist on this NATS account: start `pelton worker` on it first") //nolint:staticcheck // a name begins it

// ErrDenied means that the server refused an action for want of permission.
var ErrDenied = errors.New("NATS refused this: the credentials in use lack the permission")

// explain turns what the broker says about missing streams into what to do.
func (b *Broker) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound),
		errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w (%w)", ErrNotSetUp, err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w (%w)", ErrDenied, err)
	}
	return err
}

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, ErrDenied) || errors.Is(err, jetstream.ErrObjectNotFound)
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
