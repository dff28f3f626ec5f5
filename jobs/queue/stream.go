package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/pull"
	"pelton/jobs/store"
)

// ErrNotSent means that a request was not put in, as the broker was not reached.
var ErrNotSent = errors.New("the request was not sent")

// ErrMissing means that there is no queue until it is set up anew, and that it
// remembers nothing.
var ErrMissing = errors.New("the queue is not there")

// Stream is the queue that goes through the broker's work stream: requests reach
// the slots of any process. It is safe for concurrent use.
type Stream struct {
	st      *store.Store
	log     zerolog.Logger
	stored  func(store.JobKey, store.ResultMeta, bool)
	pullers []*pull.Puller

	held    held
	mu      sync.Mutex
	running map[string]*streamLease // the requests that are leased here, by key
}

// NewStream returns the queue of a store that is set up.
func NewStream(st *store.Store, log zerolog.Logger) *Stream {
	s := &Stream{st: st, log: log, running: map[string]*streamLease{}}
	s.held.lossesAt = time.Now()
	return s
}

// Ahead implements [Feeder]: nothing is fed ahead, since the broker gives out to
// any process what it holds.
func (s *Stream) Ahead(int, int) int { return 0 }

// Put implements [Feeder]. A body that no message can hold goes to the object store.
// The subject must be empty: what waits or is in a slot is not put in twice.
func (s *Stream) Put(ctx context.Context, it *Item, _, _ int, lost func(index int)) (err error) {
	if !s.st.Fits(len(it.Body)) {
		if it.Object, err = s.st.Objects.PutBody(ctx, s.st.Names.StateKey(it.Queue, it.Job), it.Body); err != nil {
			return fmt.Errorf("job %s: request %d: %w", it.Job, it.Index, err)
		}
	}
	err = s.st.Work.Put(ctx, encode(s.st.Names, it), func(_ uint64, err error) {
		if err != nil && !store.IsWrongLastSeq(err) { // it is there, by an earlier Put whose answer was lost
			s.log.Debug().Err(err).Str("job", it.Job).Int("index", it.Index).Msg("a request was not taken; feeding it again")
			lost(it.Index)
		}
	})
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNotSent, err)
	}
	return nil
}

// Pending implements [Feeder].
func (s *Stream) Pending(ctx context.Context, job store.JobKey) (map[int]bool, time.Time, error) {
	indexes, since, err := s.st.Work.Indexes(ctx, job)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, time.Time{}, fmt.Errorf("%w (%w)", ErrMissing, err)
	}
	return indexes, since, store.Explain(err)
}

// Withdraw implements [Feeder]: what is in the stream may be in a slot.
func (s *Stream) Withdraw(store.JobKey) []int { return nil }

// Reclaim implements [Feeder]. A broker can forget a request without deleting it:
// its consumer has lost what it knew of a delivery and takes the message for done,
// and the message stays in the stream. Nobody is given it any more, and while it is
// there nothing is fed in its place. It has been seen after kills and purges under
// load.
func (s *Stream) Reclaim(ctx context.Context, job store.JobKey, each func(index int, meta store.ResultMeta, stored bool) error) error {
	return s.st.Work.EachForgotten(ctx, job, func(index int) error {
		meta, stored, err := s.st.Results.Meta(ctx, job.Queue, job.ID, index)
		if err != nil {
			return err
		}
		if err := s.st.Work.Remove(ctx, job, index); err != nil {
			return err
		}
		return each(index, meta, stored)
	})
}

// Purge implements [Feeder].
func (s *Stream) Purge(ctx context.Context, job store.JobKey) error { return s.st.Work.Purge(ctx, job) }

// Start implements [Source]: one puller per queue; all share the slots.
func (s *Stream) Start(hard context.Context, how Taking) error {
	s.stored = how.Stored
	s.answerHeld()
	slots := pull.NewSlots(how.Slots)
	slots.Expect(len(how.Queues))
	for queue, limit := range how.Queues {
		p, err := pull.Start(hard, pull.Config{
			Conn: s.st.Conn(), Stream: s.st.Names.WorkStream(), Consumer: s.st.Names.WorkersConsumer(queue),
			AckWait: store.AckWait, Heartbeat: store.Heartbeat, Slots: slots,
			Handle:  func(d *pull.Delivery) { how.Handle(&streamLease{d: d, s: s}) },
			Ensure:  func(ctx context.Context) error { return s.st.Setup(ctx, map[string]int{queue: limit}) },
			LastSeq: s.st.Work.LastSeq, Paused: how.Paused, Log: s.log,
		})
		if err != nil {
			return fmt.Errorf("pull from queue %s: %w", queue, err)
		}
		s.pullers = append(s.pullers, p)
	}
	return nil
}

// Stop implements [Source].
func (s *Stream) Stop() {
	var wg sync.WaitGroup
	for _, p := range s.pullers {
		wg.Go(p.Stop)
	}
	wg.Wait()
	s.held.stop()
}

// streamLease is a message in a slot.
type streamLease struct {
	d    *pull.Delivery
	s    *Stream
	item *Item         // nil before Item
	key  string        // of item
	end  chan struct{} // closed at its end; nil before Item

	hold atomic.Int32 // a [Hold]
}

func (l *streamLease) Context() context.Context { return l.d.Context() }
func (l *streamLease) Early() bool              { return false }

// Fresh implements [Lease].
func (l *streamLease) Fresh() bool {
	fresh := l.d.First() && l.item.surelyFresh(l.d.Published)
	if fresh {
		l.Begin()
	}
	return fresh
}

// Redelivered implements [Lease].
func (l *streamLease) Redelivered() bool { return l.d.Delivered > 1 }

// Begin implements [Lease].
func (l *streamLease) Begin() { l.hold.Store(int32(HeldInCall)) }

// Answered implements [Lease].
func (l *streamLease) Answered() { l.hold.Store(int32(HeldAnswered)) }

func (l *streamLease) Item() *Item {
	ctx := l.d.Context()
	it, err := Decode(ctx, l.s.st, l.d.Msg)
	if err == nil {
		err = l.enter(ctx, it)
	}
	switch {
	case err == nil:
		return it
	case ctx.Err() != nil:
		l.Return()
	default:
		l.logFields(l.s.log.Warn()).Err(err).Msg("cannot read a request; its owner feeds it again")
		l.d.Ack()
	}
	return nil
}

// enter enters the request into the table of running ones, after waiting for the
// same one to end. leave takes it out.
func (l *streamLease) enter(ctx context.Context, it *Item) error {
	key, s := it.Key(), l.s
	for {
		s.mu.Lock()
		other := s.running[key]
		if other == nil {
			l.item, l.key, l.end = it, key, make(chan struct{})
			s.running[key] = l
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-other.end:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *streamLease) leave() {
	if l.end == nil {
		return
	}
	l.s.mu.Lock()
	delete(l.s.running, l.key)
	l.s.mu.Unlock()
	close(l.end)
}

// Done tells the owner and acknowledges, in this order: an owner that hears
// of neither finds the result when it looks.
func (l *streamLease) Done(meta store.ResultMeta) {
	defer l.leave()
	l.s.stored(l.item.JobKey(), meta, true)
	l.d.Ack()
}

// Return leaves the request to others: at once where this process is stopping;
// otherwise the broker has stopped counting on us by itself.
func (l *streamLease) Return() {
	defer l.leave()
	cause := context.Cause(l.d.Context())
	switch {
	case errors.Is(cause, pull.ErrStoodStill):
		l.logFields(l.s.log.Warn()).Msg("aborted a call that could not be kept alive: this process stood still for too long")
		return
	case errors.Is(cause, pull.ErrLost):
		l.logFields(l.s.log.Warn()).Msg("aborted a call that could not be kept alive: the broker does not answer")
		return
	}
	l.d.Nak()
}

func (l *streamLease) Discard() {
	defer l.leave()
	l.d.Ack()
}

// logFields says in a line of the log which request it is about.
func (l *streamLease) logFields(line *zerolog.Event) *zerolog.Event {
	at, ok := l.s.st.Names.Parse("work", l.d.Msg.Subject)
	if !ok {
		return line.Str("subject", l.d.Msg.Subject)
	}
	return line.Str("queue", at.Queue).Str("job", at.Job).Int("index", at.Index)
}
