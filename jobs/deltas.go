package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/jobs/store"
	"pelton/schema"
)

// Delta is one chunk of a streamed request, or the end of one.
type Delta struct {
	// Index is the request's. -1 is the end of the job: the last delta, with
	// nothing but the usage of all results.
	Index int

	// Attempt is the call, from 1, and Sequence the chunk's place in it, from 0.
	Attempt, Sequence int

	// Again says that the answer begins anew, and that all earlier chunks of
	// this index are void: the call before failed, or its worker died.
	Again bool

	// Missed is how many chunks of this attempt came before this one that the
	// reader did not get, as it was late or not fast enough. In the last delta
	// it counts what no other one could tell of.
	Missed int

	// Data is the chunk as the upstream sent it: nil at the end of a request.
	Data json.RawMessage

	// Status is set at the end of a request: its result is stored.
	Status schema.Status

	// Usage is that of the requests that have ended so far, as far as this
	// reader heard of them; in the last delta that of the whole job.
	Usage schema.Usage
}

// Text is what of the chunk a person reads: the content of its first choice.
func (d *Delta) Text() string { return schema.DeltaText(d.Data) }

// lateDeltas is how long after a job's end chunks that another way has brought
// more slowly are waited for.
const lateDeltas = 100 * time.Millisecond

// Deltas yields the chunks of all streamed requests of the job as they come,
// until the job has ended. The order within an index is that of its upstream.
// They are not kept: a reader that joins late or does not keep up is told in
// [Delta.Missed] what it has missed, and delays nobody; the results hold
// everything. The end of ctx ends the reading, not the job.
func (h *Handle) Deltas(ctx context.Context) iter.Seq2[*Delta, error] {
	return func(yield func(*Delta, error) bool) {
		r := deltaReader{h: h, open: map[int]*deltaPlace{}}
		if err := r.subscribe(); err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = r.sub.Unsubscribe() }()
		inner, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer stop()
			if r.state, r.err = h.Wait(inner); r.err == nil {
				_ = h.st.Live.Flush(ctx) // what was sent before the end is here now
			}
		}()
		defer func() {
			stop()
			<-ended
		}()
		for {
			m, err := r.sub.NextMsgWithContext(inner)
			switch {
			case err == nil:
				if d := r.read(m); d != nil && !yield(d, nil) {
					return
				}
			case errors.Is(err, nats.ErrSlowConsumer): // the gaps will tell
			case inner.Err() == nil:
				yield(nil, store.Explain(err))
				return
			default:
				<-ended
				r.finish(ctx, yield)
				return
			}
		}
	}
}

// notYet reports whether err says that there is no such job so far.
func notYet(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotSetUp) }

// expectEvery is how often a job is looked for that is yet to come.
const expectEvery = 50 * time.Millisecond

// deltaReader turns messages into deltas.
type deltaReader struct {
	h     *Handle
	sub   *nats.Subscription
	open  map[int]*deltaPlace
	usage schema.Usage

	missed int // in all
	state  *schema.State
	err    error
}

// deltaPlace is how far the answer of one index has come.
type deltaPlace struct{ attempt, next int }

func (r *deltaReader) subscribe() (err error) {
	if !jobName(r.h.id) || !schema.ValidQueue(r.h.queue) {
		return ErrNotFound
	}
	r.sub, err = r.h.st.Live.Deltas(r.h.key())
	return err
}

// finish hands out what is left once the job has ended.
func (r *deltaReader) finish(ctx context.Context, yield func(*Delta, error) bool) {
	if r.err != nil {
		if ctx.Err() != nil {
			r.err = context.Cause(ctx)
		}
		yield(nil, r.err)
		return
	}
	for {
		patience := time.Millisecond
		if len(r.open) > 0 {
			patience = lateDeltas
		}
		m, err := r.sub.NextMsg(patience)
		if errors.Is(err, nats.ErrSlowConsumer) {
			continue
		}
		if err != nil {
			break
		}
		if d := r.read(m); d != nil && !yield(d, nil) {
			return
		}
	}
	last := &Delta{Index: -1}
	if dropped, err := r.sub.Dropped(); err == nil {
		last.Missed = max(0, dropped-r.missed)
	}
	if r.state.Usage != nil {
		last.Usage = *r.state.Usage
	}
	yield(last, nil)
}

// read returns the delta in a message; nil where it says nothing new.
func (r *deltaReader) read(m *nats.Msg) *Delta {
	at, ok := r.h.st.Names.Parse("deltas", m.Subject)
	attempt, err := strconv.Atoi(m.Header.Get(schema.HeaderAttempt))
	sequence, err2 := strconv.Atoi(m.Header.Get(schema.HeaderSequence))
	if !ok || err != nil || err2 != nil || attempt < 1 || sequence < 0 || sequence >= store.MaxRequests {
		return nil
	}
	status := schema.Status(m.Header.Get(schema.HeaderStatus))
	d := &Delta{Index: at.Index, Attempt: attempt, Sequence: sequence, Status: status, Data: m.Data}
	place := r.open[at.Index]
	switch {
	case place == nil:
		place = &deltaPlace{attempt: attempt}
		r.open[at.Index] = place
	case attempt > place.attempt, sequence == 0 && status == "": // a worker that begins anew counts from 1 again
		d.Again = true
		*place = deltaPlace{attempt: attempt}
	case attempt < place.attempt || sequence < place.next:
		return nil // of a call that is void
	}
	d.Missed = sequence - place.next
	r.missed += d.Missed
	place.next = sequence + 1
	if status != "" {
		d.Data = nil
		delete(r.open, at.Index)
		if out, ok := store.ParseUsage(m.Header.Get(schema.HeaderUsage)); ok {
			r.usage = r.usage.Add(out)
		}
	}
	d.Usage = r.usage
	return d
}
