package jobs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

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
		r.done <- r.run(ctx, b, from, reply, order)
	}()
	return r
}

func (r *relay) run(ctx context.Context, b *Broker, from sequence, reply string, order schema.Order) error {
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
		switch {
		case it.end():
			ctx, cancel := context.WithTimeout(ctx, flushTime)
			defer cancel()
			return b.nc.FlushWithContext(ctx)
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
