package owner

import (
	"context"
	"errors"
	"sync/atomic"

	"pelton/jobs/store"
	"pelton/schema"
)

// relay passes a job's results on to its reply subject, then its final state.
// Its place is checkpointed in the job's record: after an owner's death some
// messages may come twice, none is left out.
type relay struct {
	at   atomic.Uint64 // where the next owner would go on
	done chan error
}

// startRelay begins to relay where an earlier owner of the record has come to.
func startRelay(ctx context.Context, st *store.Store, rec *store.Record, reply string, order schema.Order) *relay {
	r := &relay{done: make(chan error, 1)}
	r.at.Store(rec.Relayed)
	from := st.Results.ReadStored(rec.Queue, rec.ID, order, rec.Relayed)
	go func() {
		defer from.Close()
		to := st.Live.Reply(reply)
		defer to.Close()
		err := r.run(ctx, from, to, order)
		if errors.Is(err, store.ErrDenied) {
			logRefused(st, rec, err)
			err = nil
		}
		r.done <- err
	}()
	return r
}

// logRefused logs why the rest of a relay is left out: nobody but whoever gave this
// process its rights can change that, and the job must not wait for it.
func logRefused(st *store.Store, rec *store.Record, err error) {
	st.Log.Error().Err(err).Str("job", rec.ID).Str("queue", rec.Queue).
		Msg("the results are not sent to the job's reply: this worker may not publish there; they are stored as ever")
}

func (r *relay) run(ctx context.Context, from store.Sequence, to *store.Reply, order schema.Order) error {
	for {
		it, err := from.Next(ctx)
		if err != nil {
			return err
		}
		if err := to.Send(it); err != nil {
			return err
		}
		switch {
		case it.End():
			return to.Flush(ctx)
		case order == schema.OrderInput:
			r.at.Store(uint64(it.Index) + 1)
		default:
			r.at.Store(it.Seq)
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
