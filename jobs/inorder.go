package jobs

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/bitset"
	"pelton/schema"
)

// item is one message of a job's results: a result, or the end.
type item struct {
	index  int // -1 for the end
	header nats.Header
	data   []byte
	seq    uint64

	// result is there where it was stored in this process a moment ago, in the
	// place of header and data. It is shared: not to be changed.
	result *schema.Result
}

// size is about how much memory it holds, in bytes.
func (i item) size() int {
	n := len(i.data)
	if r := i.result; r != nil {
		n += 512 + len(r.Request)
		if r.Response != nil {
			n += len(r.Response.Body)
		}
	}
	return n
}

func (i item) end() bool { return i.index < 0 }

// sequence is a source of items that ends with the job's end.
type sequence interface {
	next(ctx context.Context) (item, error)
	close()
}

// asStored hands items out in the order in which they were stored.
type asStored struct {
	b    *Broker
	tail *tail
}

func (b *Broker) asStored(queue, job string, after uint64) *asStored {
	return &asStored{b, b.newTail(b.names.ResultsStream(), b.names.ResultsOf(queue, job), after, false)}
}

func (s *asStored) close() { s.tail.close() }

func (s *asStored) next(ctx context.Context) (item, error) {
	for {
		m, meta, err := s.tail.next(ctx)
		if err != nil {
			return item{}, err
		}
		if it, ok := s.b.itemOf(m, meta); ok {
			return it, nil
		}
	}
}

func (b *Broker) itemOf(m jetstream.Msg, meta *jetstream.MsgMetadata) (item, bool) {
	at, ok := b.names.Parse("results", m.Subject())
	if total, err := strconv.Atoi(m.Headers().Get(schema.HeaderTotal)); err == nil && at.Index >= total {
		return item{}, false // no index of this job
	}
	return item{index: at.Index, header: m.Headers(), data: m.Data(), seq: meta.Sequence.Stream}, ok
}

// inOrder hands items out in input order. Results that come before their turn
// are kept up to a bound; beyond it only the fact that they are stored is
// noted, one bit each, and they are read again when their turn comes. So memory
// stays flat however far ahead the work is of the slowest request.
type inOrder struct {
	b          *Broker
	queue, job string
	from       sequence
	turn       int // the index whose turn it is
	stored     bitset.Set
	held       map[int]item
	heldBytes  int
	last       *item // the end, once it was read
	highest    int   // the highest stored index
}

// How much is kept of what comes before its turn.
const (
	maxHeld      = 8192
	maxHeldBytes = 16 << 20
)

// inOrder starts with the index from.
func (b *Broker) inOrder(queue, job string, from int, stored sequence) *inOrder {
	return &inOrder{b: b, queue: queue, job: job, from: stored, turn: from, held: map[int]item{}, highest: -1}
}

func (o *inOrder) close() { o.from.close() }

func (o *inOrder) next(ctx context.Context) (item, error) {
	for {
		if it, ok := o.held[o.turn]; ok {
			delete(o.held, o.turn)
			o.heldBytes -= it.size()
			o.turn++
			return it, nil
		}
		if o.stored.Has(o.turn) {
			it, err := o.fetch(ctx)
			if err != nil || !it.end() {
				return it, err
			}
			continue // it aged out since it was noted
		}
		if o.last != nil {
			// What has no result never started: on to the next that has one.
			for o.turn <= o.highest && !o.stored.Has(o.turn) {
				o.turn++
			}
			if o.turn > o.highest {
				return *o.last, nil
			}
			continue
		}
		it, err := o.from.next(ctx)
		if err != nil {
			return item{}, err
		}
		switch {
		case it.end():
			last := it // else every item would cost memory of its own
			o.last = &last
		case it.index == o.turn:
			o.turn++
			return it, nil
		case it.index > o.turn:
			o.note(it)
		}
	}
}

func (o *inOrder) note(it item) {
	o.stored.Add(it.index)
	o.highest = max(o.highest, it.index)
	if len(o.held) < maxHeld && o.heldBytes+it.size() <= maxHeldBytes {
		o.held[it.index] = it
		o.heldBytes += it.size()
	}
}

// fetch reads the result whose turn it is; it returns an end when it is gone.
func (o *inOrder) fetch(ctx context.Context) (item, error) {
	var m *jetstream.RawStreamMsg
	err := o.b.retry(ctx, func(ctx context.Context) (err error) {
		m, err = o.b.lastMsg(ctx, o.b.names.ResultsStream(), o.b.names.Result(o.queue, o.job, o.turn))
		return err
	})
	if err != nil {
		return item{}, err
	}
	index := o.turn
	o.stored.Remove(index)
	o.turn++
	if m == nil {
		return item{index: -1}, nil
	}
	return item{index: index, header: m.Header, data: m.Data, seq: m.Sequence}, nil
}

// sequence returns the items of a job as they lie in the stream, in the given
// order: from is an index in input order, and the sequence to start behind in
// completion order.
func (b *Broker) sequence(queue, job string, order schema.Order, from uint64) sequence {
	if order == schema.OrderInput {
		return b.inOrder(queue, job, int(from), b.asStored(queue, job, 0))
	}
	return b.asStored(queue, job, from)
}

// nearSequence is sequence, from memory where this process is all there is.
func (b *Broker) nearSequence(queue, job string, order schema.Order, from uint64) sequence {
	switch {
	case !b.set.Alone:
		return b.sequence(queue, job, order, from)
	case order == schema.OrderInput:
		return b.inOrder(queue, job, int(from), b.tapped(queue, job, 0))
	}
	return b.tapped(queue, job, from)
}
