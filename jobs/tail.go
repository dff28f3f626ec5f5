package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/denied"
)

// tail reads the messages of one filter of a stream in their order: what is
// there, then what comes. It survives lost connections and restarted servers,
// buffers little, and is not safe for concurrent use.
type tail struct {
	b       *Broker
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
	pending  uint64 // messages that were there when the consumer was made
}

// What a tail asks for ahead, in messages and bytes.
const (
	aheadMessages = 4096
	aheadBytes    = 8 << 20
)

// tailBeat is how often the server of an idle tail says that it lives: the
// consumer lies on one node of a cluster, and is made anew elsewhere when that
// has been silent for twice as long.
const tailBeat = 3 * time.Second

// forgottenAfter is how long the server keeps a reader that asks for nothing.
// One that comes back later is made again where it was. The client's 5 minutes
// would let thousands pile up, each with goroutines of its own.
const forgottenAfter = 10 * time.Second

// newTail starts behind the sequence after.
func (b *Broker) newTail(stream, filter string, after uint64, headersOnly bool) *tail {
	return &tail{b: b, stream: stream, filter: filter, last: after, headers: headersOnly}
}

// open makes the consumer unless there is one.
func (t *tail) open(ctx context.Context) error {
	if t.it != nil {
		return nil
	}
	ctx, call := t.b.watch.Guard(unhurried{ctx})
	defer call.End()
	js, err := jetstream.New(t.b.nc, traced(call))
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
		return t.b.explain(call.Or(err))
	}
	// A limit below the largest message would stop the consumer for good.
	limit := max(aheadBytes, 2*t.b.maxPayload())
	t.pending = consumer.CachedInfo().NumPending
	stop := make(chan struct{})
	t.call = t.b.watch.Begin(func(*denied.Error) { close(stop) }, "$JS.API.CONSUMER.MSG.NEXT."+t.stream+".*")
	t.consumer = consumer
	it, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(aheadMessages, limit), jetstream.PullHeartbeat(tailBeat))
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

// next waits for the next message, through whatever happens to the connection,
// until ctx ends.
func (t *tail) next(ctx context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	if !t.left.IsZero() && time.Since(t.left) > forgottenAfter/2 {
		t.close() // it may be forgotten, which would be noticed only after a while
	}
	for {
		m, meta, err := t.try(ctx)
		if err == nil {
			t.left = time.Now()
			return m, meta, nil
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if permanent(err) || !t.opened && errors.Is(err, ErrNotSetUp) {
			return nil, nil, err
		}
		t.b.set.Log.Debug().Err(err).Str("filter", t.filter).Msg("reading was interrupted")
		t.close()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

func (t *tail) try(ctx context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	if err := t.open(ctx); err != nil {
		return nil, nil, err
	}
	m, err := t.it.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, nil, t.b.explain(t.call.Or(err))
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.Subject(), err)
	}
	t.last = meta.Sequence.Stream
	return m, meta, nil
}

// history calls f for every message that is there now, and not for later ones.
func (t *tail) history(ctx context.Context, f func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	defer t.close()
	if err := t.open(ctx); err != nil {
		return err
	}
	if t.pending == 0 {
		return nil
	}
	for left := true; left; {
		m, meta, more, err := t.past(ctx)
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

// past is next for what is there already. left says whether more of it is; without
// a message it was looked up again.
func (t *tail) past(ctx context.Context) (m jetstream.Msg, meta *jetstream.MsgMetadata, left bool, err error) {
	one, cancel := context.WithTimeout(ctx, pastGap)
	defer cancel()
	m, meta, err = t.next(one)
	if err == nil {
		return m, meta, meta.NumPending > 0, nil
	}
	if ctx.Err() != nil || one.Err() == nil {
		return nil, nil, false, err
	}
	t.close()
	if err := t.open(ctx); err != nil {
		if permanent(err) {
			return nil, nil, false, err
		}
		return nil, nil, true, nil // it cannot be told yet
	}
	return nil, nil, t.pending > 0, nil
}

func (t *tail) close() {
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
func (t *tail) removeConsumer() {
	if info := t.consumer.CachedInfo(); info != nil {
		_ = t.b.nc.Publish("$JS.API.CONSUMER.DELETE."+t.stream+"."+info.Name, nil)
	}
}
