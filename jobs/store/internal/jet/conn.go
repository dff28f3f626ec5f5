package jet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/denied"
	"pelton/internal/retry"
	"pelton/schema"
)

// Conn is a connection to JetStream as all parts of a store use it.
type Conn struct {
	Names schema.Names
	Log   zerolog.Logger
	*Direct

	nc        *nats.Conn
	js        jetstream.JetStream
	watch     *denied.Watcher
	publisher *publisher

	payload int // bytes of a message, where that cannot change; 0: the connection knows
}

// New wraps a connection. inProcess says that the server is in this process,
// and no other: the connection cannot be lost.
func New(nc *nats.Conn, names schema.Names, log zerolog.Logger, inProcess bool) (*Conn, error) {
	// Without a time an acknowledgement that is lost would be awaited for ever.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(AckTime))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	watch := denied.Watch(nc)
	c := &Conn{Names: names, Log: log, nc: nc, js: js, watch: watch, publisher: newPublisher(nc, watch)}
	c.Direct = &Direct{c: c}
	if inProcess {
		c.payload = int(nc.MaxPayload())
	}
	return c, nil
}

// NATS returns the connection itself.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// Subscribed returns once the server has taken a subscription: what is published
// from then on is heard. [ErrDenied] says that it has not.
func (c *Conn) Subscribed(subject string) error { return Explain(c.watch.Subscribed(subject)) }

// Begin watches for the refusal of what is published to a subject, until the call
// ends: see [denied.Watcher.Begin].
func (c *Conn) Begin(subject string) *denied.Call {
	return c.watch.Begin(func(*denied.Error) {}, subject)
}

// AckTime is how long the acknowledgement of a publish is waited for.
const AckTime = 5 * time.Second

// MaxPayload returns how many bytes a message may have. A connection looks that
// up under its lock, and the next server it finds may say otherwise.
func (c *Conn) MaxPayload() int {
	if c.payload > 0 {
		return c.payload
	}
	return int(c.nc.MaxPayload())
}

// Fits reports whether a message with so many bytes of content can be sent.
func (c *Conn) Fits(bytes int) bool { return bytes+headroom <= c.MaxPayload() }

// headroom is what the headers of a message may take of the broker's limit.
const headroom = 16 << 10

// Losses counts how often the connection was lost.
func (c *Conn) Losses() uint64 {
	if c.payload > 0 { // it is within the process, and cannot be
		return 0
	}
	return c.nc.Stats().Reconnects
}

// Ask makes calls of the JetStream API. A call that the server refuses returns
// [ErrDenied] at once. sends are the subjects that f publishes to besides; they
// may hold wildcards.
func (c *Conn) Ask(ctx context.Context, f func(context.Context, jetstream.JetStream) error, sends ...string) error {
	ctx, call := c.watch.Guard(noDeadline{ctx}, sends...)
	defer call.End()
	js, err := jetstream.New(c.nc, traced(call))
	if err == nil {
		err = f(ctx, js)
	}
	return Explain(call.Or(err))
}

// traced makes the calls of an API known before they are sent.
func traced(call *denied.Call) jetstream.JetStreamOpt {
	return jetstream.WithClientTrace(&jetstream.ClientTrace{
		RequestSent: func(subject string, _ []byte) { call.Sends(subject) },
	})
}

// Request asks whoever serves a subject, and returns the answer.
func (c *Conn) Request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	ctx, call := c.watch.Guard(ctx, subject)
	defer call.End()
	reply, err := c.nc.RequestWithContext(ctx, subject, data)
	return reply, Explain(call.Or(err))
}

// Outgoing says how a stream is to store a message.
type Outgoing struct {
	Done  func(seq uint64, err error) // called once the message is stored or not: see [publisher]; nil: Send waits
	again int                         // how often it is sent again while nobody answers for the stream
}

// Send and [Conn.Broadcast] are the only ways out for a message of ours. Send is
// for messages that a stream stores. It returns an acknowledgement where it waits
// for one.
func (c *Conn) Send(ctx context.Context, m *nats.Msg, how Outgoing) (*jetstream.PubAck, error) {
	m = harnessMsg(m)
	switch {
	case how.Done != nil:
		return nil, c.publisher.send(m, how.Done)
	case how.again == jetstream.DefaultPubRetryAttempts:
		return c.js.PublishMsg(ctx, m)
	}
	return c.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(how.again))
}

// Broadcast sends a message to whoever listens, and does not wait. The message
// may lie on the caller's stack, as one of Send may not.
func (c *Conn) Broadcast(m *nats.Msg) error { return c.nc.PublishMsg(harnessMsg(m)) }

// Publish stores a message, or returns why not; [ErrDenied] at once.
func (c *Conn) Publish(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	return c.publishAgain(ctx, m, jetstream.DefaultPubRetryAttempts)
}

// PublishOnce is publish for a caller that tries again by itself.
func (c *Conn) PublishOnce(ctx context.Context, m *nats.Msg) error {
	_, err := c.publishAgain(ctx, m, 0)
	return err
}

func (c *Conn) publishAgain(ctx context.Context, m *nats.Msg, again int) (*jetstream.PubAck, error) {
	ctx, call := c.watch.Guard(noDeadline{ctx}, m.Subject)
	defer call.End()
	ack, err := c.Send(ctx, m, Outgoing{again: again})
	return ack, call.Or(err)
}

// Store stores a message as the publisher does, and waits for the answer.
func (c *Conn) Store(ctx context.Context, m *nats.Msg) (seq uint64, err error) {
	a := acks.Get().(*ack)
	if _, err := c.Send(ctx, m, Outgoing{Done: a.put}); err != nil {
		acks.Put(a)
		return 0, err
	}
	select {
	case <-a.done:
		seq, err = a.seq, a.err
		acks.Put(a)
		return seq, err
	case <-ctx.Done():
		return 0, context.Cause(ctx) // a is left to whoever still fills it
	}
}

// noDeadline is a context that ends when its parent does and does not say when
// that will be. The client library waits for the answer to a call as long as its
// context says it may, and only where that says nothing for its own 5 s: an
// answer that died with a server would be waited for until the caller's last
// moment, instead of being asked for again.
type noDeadline struct{ context.Context }

// Deadline says that there is none.
func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// electionTime is how long a cluster may take to find the leader of a stream
// whose node has gone, with room to spare: an election begins after 4 to 9 s,
// and may have to be held again.
const electionTime = 20 * time.Second

// RetryPause is the pause after a publish that failed.
const RetryPause = 500 * time.Millisecond

// Steadily calls try again while nobody answers for the stream, for as long as
// the election of a leader may take. try must be harmless to do twice.
func (c *Conn) Steadily(ctx context.Context, stream string, try func(context.Context) error) error {
	return retry.Do(ctx, retry.Policy{
		Pause: RetryPause, For: electionTime,
		Again: func(ctx context.Context, err error) bool { return IsTransient(err) || c.leaderless(ctx, err, stream) },
	}, try)
}

// readPause is the pause after a read that failed.
const readPause = 200 * time.Millisecond

// Read tries until it works, cannot work, or ctx ends: for reading what is
// certainly there from a broker that may be away for a while.
func (c *Conn) Read(ctx context.Context, try func(context.Context) error) error {
	return retry.Do(ctx, retry.Policy{
		Pause: readPause, Try: 10 * time.Second,
		Again:  func(_ context.Context, err error) bool { return !isPermanent(err) },
		Failed: func(err error, _ bool) { c.Log.Debug().Err(err).Msg("reading was interrupted") },
	}, try)
}

// UntilStored tries to store something until it is stored, cannot be, or ctx ends.
func (c *Conn) UntilStored(ctx context.Context, job, what string, final error, try func(context.Context) error) error {
	return retry.Do(ctx, retry.Policy{
		Pause: RetryPause,
		Again: func(_ context.Context, err error) bool { return final == nil || !errors.Is(err, final) },
		Failed: func(err error, _ bool) {
			c.Log.Debug().Err(err).Str("job", job).Msg("could not " + what + "; trying again")
		},
	}, try)
}

// leaderless reports whether nobody answered for a stream because it has no
// leader now, rather than because there is no such stream.
func (c *Conn) leaderless(ctx context.Context, err error, stream string) bool {
	if !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, leaderTime)
	defer cancel()
	_, err = c.Stream(ctx, stream)
	return err == nil || IsTransient(err)
}

// leaderTime is how long a stream's leader gets to say that there is one.
const leaderTime = 2 * time.Second

// Stream describes a stream as it is now.
func (c *Conn) Stream(ctx context.Context, name string) (info *jetstream.StreamInfo, err error) {
	err = c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	return info, err
}

// Consumer describes a consumer as it is now.
func (c *Conn) Consumer(ctx context.Context, stream, name string) (info *jetstream.ConsumerInfo, err error) {
	err = c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		consumer, err := js.Consumer(ctx, stream, name)
		if err == nil {
			info = consumer.CachedInfo()
		}
		return err
	})
	return info, err
}

// Subjects describes a stream with the subjects that match a filter.
func (c *Conn) Subjects(ctx context.Context, stream, filter string) (info *jetstream.StreamInfo, err error) {
	err = c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err == nil {
			info, err = s.Info(ctx, jetstream.WithSubjectFilter(filter))
		}
		return err
	})
	return info, err
}

// Purge removes the messages of a stream that match a filter.
func (c *Conn) Purge(ctx context.Context, stream, filter string) error {
	return c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeSubject(filter))
	})
}

// PurgeUpTo removes all messages of a stream up to a sequence, that one included.
func (c *Conn) PurgeUpTo(ctx context.Context, stream string, seq uint64) error {
	return c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeSequence(seq+1))
	})
}

// ExpectNew makes a publish fail unless its subject holds no message.
func ExpectNew(m *nats.Msg) *nats.Msg {
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	return m
}
