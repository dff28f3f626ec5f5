package jet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/denied"
	"pelton/internal/retry"
)

// Reader reads the messages of one filter of a stream in their order: what is
// there, then what comes. It survives lost connections and restarted servers,
// buffers little, and is not safe for concurrent use.
type Reader struct {
	c       *Conn
	stream  string
	filter  string
	headers bool   // leave out the content
	opened  bool   // there was a stream to read from once: that it is away will pass
	last    uint64 // sequence of the last message handed out

	consumer jetstream.Consumer
	left     time.Time // when the last message was handed out
	it       jetstream.MessagesContext
	call     *denied.Call // of the iterator
	closed   chan struct{}
	Pending  uint64 // messages that were there when the consumer was made
}

// What a reader asks for ahead, in messages and bytes.
const (
	aheadMessages = 4096
	aheadBytes    = 8 << 20
)

// readerBeat is how often the server of an idle reader says that it lives: the
// consumer lies on one node of a cluster, and is made anew elsewhere when that
// has been silent for twice as long.
const readerBeat = 3 * time.Second

// forgottenAfter is how long the server keeps a reader that asks for nothing.
// One that comes back later is made again where it was. The client's 5 minutes
// would let thousands pile up, each with goroutines of its own.
const forgottenAfter = 10 * time.Second

// NewReader starts behind the sequence after.
func (c *Conn) NewReader(stream, filter string, after uint64, headersOnly bool) *Reader {
	return &Reader{c: c, stream: stream, filter: filter, last: after, headers: headersOnly}
}

// Open makes the consumer unless there is one.
func (t *Reader) Open(ctx context.Context) error {
	if t.it != nil {
		return nil
	}
	ctx, call := t.c.watch.Guard(noDeadline{ctx})
	defer call.End()
	js, err := jetstream.New(t.c.nc, traced(call))
	if err != nil {
		return err
	}
	consumer, err := js.OrderedConsumer(ctx, t.stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{t.filter}, HeadersOnly: t.headers,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.last + 1,
		MaxResetAttempts:  1, // we make the next one ourselves, with a context
		InactiveThreshold: forgottenAfter,
	})
	if err != nil {
		return Explain(call.Or(err))
	}
	// A limit below the largest message would stop the consumer for good.
	limit := max(aheadBytes, 2*t.c.MaxPayload())
	t.Pending = consumer.CachedInfo().NumPending
	stop := make(chan struct{})
	t.call = t.c.watch.Begin(func(*denied.Error) { close(stop) }, "$JS.API.CONSUMER.MSG.NEXT."+t.stream+".*")
	t.consumer = consumer
	it, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(aheadMessages, limit), jetstream.PullHeartbeat(readerBeat))
	if err != nil {
		t.call.End()
		return err
	}
	t.it, t.opened, t.closed = it, true, make(chan struct{})
	go func(closed chan struct{}) {
		select {
		case <-stop: // it would wait for what never comes
			it.Stop()
		case <-closed:
		}
	}(t.closed)
	return nil
}

// Next waits for the next message, through whatever happens to the connection,
// until ctx ends.
func (t *Reader) Next(ctx context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	if !t.left.IsZero() && time.Since(t.left) > forgottenAfter/2 {
		t.Close() // it may be forgotten, which would be noticed only after a while
	}
	m, meta, err := t.try(ctx)
	if err != nil {
		m, meta, err = t.nextAgain(ctx, err)
	}
	if err == nil {
		t.left = time.Now()
	}
	return m, meta, err
}

// nextAgain is next after a try that failed.
func (t *Reader) nextAgain(ctx context.Context, failed error) (m jetstream.Msg, meta *jetstream.MsgMetadata, err error) {
	err = retry.Do(ctx, retry.Policy{
		Pause: readPause,
		Again: func(_ context.Context, err error) bool {
			return !isPermanent(err) && (t.opened || !errors.Is(err, ErrNotSetUp))
		},
		Failed: func(err error, _ bool) {
			t.c.Log.Debug().Err(err).Str("filter", t.filter).Msg("reading was interrupted")
			t.Close()
		},
	}, func(ctx context.Context) (err error) {
		if err, failed = failed, nil; err == nil {
			m, meta, err = t.try(ctx)
		}
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m, meta, err
}

func (t *Reader) try(ctx context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	if err := t.Open(ctx); err != nil {
		return nil, nil, err
	}
	m, err := t.it.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, nil, Explain(t.call.Or(err))
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.Subject(), err)
	}
	t.last = meta.Sequence.Stream
	return m, meta, nil
}

// ReadStored calls f for every message that is there now, and not for later ones.
func (t *Reader) ReadStored(ctx context.Context, f func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	defer t.Close()
	if err := t.Open(ctx); err != nil {
		return err
	}
	if t.Pending == 0 {
		return nil
	}
	for left := true; left; {
		m, meta, more, err := t.NextStored(ctx)
		if err != nil {
			return err
		}
		if m != nil {
			if err := f(m, meta); err != nil {
				return err
			}
		}
		left = more
	}
	return nil
}

// pastGap is how long the next message of what is there already is waited for
// before it is asked whether there still is one: it may have been removed meanwhile.
const pastGap = 2 * time.Second

// NextStored is next for what is there already. left says whether more of it is; without
// a message it was looked up again.
func (t *Reader) NextStored(ctx context.Context) (m jetstream.Msg, meta *jetstream.MsgMetadata, left bool, err error) {
	one, cancel := context.WithTimeout(ctx, pastGap)
	defer cancel()
	m, meta, err = t.Next(one)
	if err == nil {
		return m, meta, meta.NumPending > 0, nil
	}
	if ctx.Err() != nil || one.Err() == nil {
		return nil, nil, false, err
	}
	t.Close()
	if err := t.Open(ctx); err != nil {
		if isPermanent(err) {
			return nil, nil, false, err
		}
		return nil, nil, true, nil // it cannot be told yet
	}
	return nil, nil, t.Pending > 0, nil
}

// Close gives up what the reader holds. It may be called twice.
func (t *Reader) Close() {
	if t.it != nil {
		t.it.Stop()
		t.call.End()
		close(t.closed)
		t.it = nil
		t.removeConsumer()
	}
}

// removeConsumer takes the consumer off the server, which would keep it for a
// while and bounds how many there are. It does not wait: what a broken
// connection leaves goes by itself.
func (t *Reader) removeConsumer() {
	if info := t.consumer.CachedInfo(); info != nil {
		_ = t.c.Broadcast(&nats.Msg{Subject: "$JS.API.CONSUMER.DELETE." + t.stream + "." + info.Name})
	}
}

// Anything reports whether a message is there behind the last, as far as whichever
// server has a copy of the stream knows. It makes no consumer.
func (t *Reader) Anything(ctx context.Context) (bool, error) {
	if t.it != nil {
		return true, nil
	}
	m, err := t.c.NextMsg(ctx, t.stream, t.filter, t.last)
	return m != nil, err
}
