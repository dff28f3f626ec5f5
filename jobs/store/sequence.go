package store

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/bitset"
	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Entry is one message of a job's results: a result, or the end.
type Entry struct {
	Index  int // -1: this is the end
	Header nats.Header
	Data   []byte
	Seq    uint64

	// result is there where it was stored in this process a moment ago, in the
	// place of header and data. It is shared: not to be changed.
	result *schema.Result
}

// Meta returns what the entry's headers say, false where they are not a result's.
func (e Entry) Meta() (ResultMeta, bool) {
	out, ok := parseMeta(e.Header)
	out.Seq = e.Seq
	return out, ok
}

// size is about how much memory it holds, in bytes.
func (e Entry) size() int {
	n := len(e.Data)
	if r := e.result; r != nil {
		n += 512 + len(r.Request)
		if r.Response != nil {
			n += len(r.Response.Body) + len(r.Response.BodyBase64)
		}
	}
	return n
}

// End reports whether this is the job's end: its Data is the final state.
func (e Entry) End() bool { return e.Index < 0 }

// Sequence is a source of entries that ends with the job's end.
type Sequence interface {
	// Next waits for the next entry. One goroutine calls it.
	Next(ctx context.Context) (Entry, error)

	// Close ends the reading.
	Close()
}

// completionOrder hands entries out in the order in which they were stored.
type completionOrder struct {
	results *Results
	reader  *jet.Reader
}

func (s *Results) followStream(key JobKey, after uint64) Sequence {
	return &completionOrder{s, s.c.NewReader(s.c.Names.ResultsStream(), s.c.Names.ResultsOf(key.Queue, key.ID), after, false)}
}

func (s *completionOrder) Close() { s.reader.Close() }

func (s *completionOrder) Next(ctx context.Context) (Entry, error) {
	for {
		m, meta, err := s.reader.Next(ctx)
		if err != nil {
			return Entry{}, err
		}
		if it, ok := entryOf(s.results.c.Names, m, meta); ok {
			return it, nil
		}
	}
}

// entryOf reads a message of the results stream, and reports false for what is none of
// its job's.
func entryOf(names schema.Names, m jetstream.Msg, meta *jetstream.MsgMetadata) (Entry, bool) {
	at, ok := names.Parse("results", m.Subject())
	if total, err := strconv.Atoi(m.Headers().Get(schema.HeaderTotal)); err == nil && at.Index >= total {
		return Entry{}, false // no index of this job
	}
	return Entry{Index: at.Index, Header: m.Headers(), Data: m.Data(), Seq: meta.Sequence.Stream}, ok
}

// inputOrder hands entries out in input order. Results that come before their turn
// are kept up to a bound; beyond it only the fact that they are stored is
// noted, one bit each, and they are read again when their turn comes. So memory
// stays flat however far ahead the work is of the slowest request.
type inputOrder struct {
	results   *Results
	key       JobKey
	from      Sequence
	turn      int // the index whose turn it is
	stored    bitset.Set
	held      map[int]Entry
	heldBytes int
	last      *Entry // the end, once it was read
	highest   int    // the highest stored index
}

// How much is kept of what comes before its turn.
const (
	maxHeld      = 8192
	maxHeldBytes = 16 << 20
)

func (o *inputOrder) Close() { o.from.Close() }

func (o *inputOrder) Next(ctx context.Context) (Entry, error) {
	for {
		if it, ok := o.held[o.turn]; ok {
			delete(o.held, o.turn)
			o.heldBytes -= it.size()
			o.turn++
			return it, nil
		}
		if o.stored.Has(o.turn) {
			it, err := o.fetch(ctx)
			if err != nil || !it.End() {
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
		it, err := o.from.Next(ctx)
		if err != nil {
			return Entry{}, err
		}
		switch {
		case it.End():
			last := it // else every item would cost memory of its own
			o.last = &last
		case it.Index == o.turn:
			o.turn++
			return it, nil
		case it.Index > o.turn:
			o.note(it)
		}
	}
}

func (o *inputOrder) note(it Entry) {
	o.stored.Add(it.Index)
	o.highest = max(o.highest, it.Index)
	if len(o.held) < maxHeld && o.heldBytes+it.size() <= maxHeldBytes {
		o.held[it.Index] = it
		o.heldBytes += it.size()
	}
}

// fetch reads the result whose turn it is; it returns an end when it is gone.
func (o *inputOrder) fetch(ctx context.Context) (Entry, error) {
	var m *jetstream.RawStreamMsg
	err := o.results.c.Read(ctx, func(ctx context.Context) (err error) {
		m, err = o.results.c.LastMsg(ctx, o.results.c.Names.ResultsStream(), o.results.c.Names.Result(o.key.Queue, o.key.ID, o.turn))
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	index := o.turn
	o.stored.Remove(index)
	o.turn++
	if m == nil {
		return Entry{Index: -1}, nil
	}
	return Entry{Index: index, Header: m.Header, Data: m.Data, Seq: m.Sequence}, nil
}

// Read returns the entries of a job in the given order: from is an index in input
// order, and the place in the stream to start behind in completion order. Where
// this process is all there is, what it stores reaches the reader in memory, as
// [Results.Decode] reads it.
func (s *Results) Read(queue, job string, order schema.Order, from uint64) Sequence {
	return inOrder(s, JobKey{queue, job}, order, from, s.follow)
}

// ReadStored is [Results.Read] of the messages as they lie in the stream.
func (s *Results) ReadStored(queue, job string, order schema.Order, from uint64) Sequence {
	return inOrder(s, JobKey{queue, job}, order, from, s.followStream)
}

func inOrder(s *Results, key JobKey, order schema.Order, from uint64, follow func(key JobKey, after uint64) Sequence) Sequence {
	if order == schema.OrderInput {
		return &inputOrder{results: s, key: key, from: follow(key, 0), turn: int(from), held: map[int]Entry{}, highest: -1}
	}
	return follow(key, from)
}
