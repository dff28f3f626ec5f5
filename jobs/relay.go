package jobs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/nats/denied"
	"pelton/schema"
)

// relay passes a job's results on to its reply subject, then its final state.
// Its place is checkpointed in the job's record: after an owner's death some
// messages may come twice, none is left out.
type relay struct {
	at   atomic.Uint64 // where the next owner would go on
	done chan error
}

// flushTime is how long the broker gets to take the last of a relay.
const flushTime = 5 * time.Second

// startRelay begins to relay where the job asks for it.
func (j *owned) startRelay(ctx context.Context) {
	if j.job.Reply == "" {
		return
	}
	j.relay = j.b.startRelay(ctx, j.rec, j.job.Reply, j.job.Order)
}

func (b *Broker) startRelay(ctx context.Context, rec *record, reply string, order schema.Order) *relay {
	r := &relay{done: make(chan error, 1)}
	r.at.Store(rec.Relayed)
	from := b.sequence(rec.Queue, rec.ID, order, rec.Relayed)
	go func() {
		defer from.close()
		call := b.watch.Begin(func(*denied.Error) {}, reply)
		defer call.End()
		err := r.run(ctx, b, from, reply, order, call)
		if errors.Is(err, ErrDenied) {
			b.refused(rec, err)
			err = nil
		}
		r.done <- err
	}()
	return r
}

// refused logs why the rest of a relay is left out: nobody but whoever gave this
// process its rights can change that, and the job must not wait for it.
func (b *Broker) refused(rec *record, err error) {
	b.set.Log.Error().Err(err).Str("job", rec.ID).Str("queue", rec.Queue).
		Msg("the results are not sent to the job's reply: this worker may not publish there; they are stored as ever")
}

func (r *relay) run(ctx context.Context, b *Broker, from sequence, reply string, order schema.Order, call *denied.Call) error {
	for {
		it, err := from.next(ctx)
		if err != nil {
			return err
		}
		m := nats.NewMsg(reply)
		m.Data = it.data
		copyHeaders(m.Header, it.header)
		if err := b.nc.PublishMsg(m); err != nil {
			return err
		}
		if err := b.explain(call.Err()); err != nil {
			return err
		}
		switch {
		case it.end():
			ctx, cancel := context.WithTimeout(ctx, flushTime)
			defer cancel()
			err := b.nc.FlushWithContext(ctx)
			if refused := b.explain(call.Err()); refused != nil {
				return refused
			}
			return err
		case order == schema.OrderInput:
			r.at.Store(uint64(it.index) + 1)
		default:
			r.at.Store(it.seq)
		}
	}
}

// checkpoint returns how far the relay has certainly come.
func (r *relay) checkpoint() uint64 { return r.at.Load() }

// wait returns when the final state has been relayed. A nil relay has nothing
// to wait for.
func (r *relay) wait(ctx context.Context) error {
	if r == nil {
		return nil
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// carried are the headers that go from a stored result to its relayed copy.
var carried = []string{
	schema.HeaderJob, schema.HeaderIndex, schema.HeaderStatus, schema.HeaderTotal,
	schema.HeaderCustomID, schema.HeaderObject, schema.HeaderCode, schema.HeaderUsage, schema.HeaderCost,
}

func copyHeaders(to, from nats.Header) {
	for _, name := range carried {
		if v := from.Get(name); v != "" {
			to.Set(name, v)
		}
	}
}
