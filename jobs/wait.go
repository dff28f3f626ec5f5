package jobs

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/denied"
	"pelton/schema"
)

// WaitOption changes one [Handle.Wait].
type WaitOption func(*waiting)

type waiting struct {
	progress func(schema.State)
	event    func(schema.Event) // nil: events are not asked for
	stored   int                // results of the last snapshot
}

// OnProgress has f called with every snapshot of the job's state: the present
// one first, then at most four a second, the final one last. Calls come one
// after the other; a slow f skips snapshots.
func OnProgress(f func(schema.State)) WaitOption { return func(w *waiting) { w.progress = f } }

// Wait returns the job's final state. The end of ctx ends the waiting, not the
// job.
func (h *Handle) Wait(ctx context.Context, options ...WaitOption) (*schema.State, error) {
	var w waiting
	for _, option := range options {
		option(&w)
	}
	if w.progress == nil {
		w.progress = func(schema.State) {}
	}
	snapshots := make(chan *nats.Msg, 16)
	// Who may not hear of progress waits all the same, or is told by State.
	call := h.b.watch.Begin(func(*denied.Error) {}, h.b.names.Progress(h.queue, h.id))
	defer call.End()
	sub, err := h.b.nc.Subscribe(h.b.names.Progress(h.queue, h.id), func(m *nats.Msg) {
		select {
		case snapshots <- m:
		default: // the next one tells more
		}
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	var events <-chan *nats.Msg
	if w.event != nil && jobName(h.id) && schema.ValidQueue(h.queue) {
		var stop func()
		if events, stop, err = h.hearEvents(); err != nil {
			return nil, err
		}
		defer stop()
	}
	state, err := h.State(ctx)
	for ctx.Err() == nil && h.comes(err) {
		if err = sleep(ctx, expectEvery); err == nil {
			state, err = h.State(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	if state.State.Final() {
		if events != nil {
			err = h.b.nc.FlushWithContext(ctx) // what was sent before the end is here now
			w.drain(events)
		}
		w.show(state)
		return state, err
	}
	w.show(state)
	return h.follow(ctx, snapshots, events, &w)
}

// comes reports whether the state that err says cannot be read is to be waited
// for: the job is yet to come, or the broker is away.
func (h *Handle) comes(err error) bool {
	switch {
	case err == nil:
		return false
	case h.expected && notYet(err):
		return true
	case !h.submitted.IsZero() && errors.Is(err, ErrNotSetUp): // it was set up when it took the job
		return true
	}
	return passing(err)
}

// follow waits for the end, which is stored, and meanwhile passes snapshots and
// events on, which are not.
func (h *Handle) follow(ctx context.Context, snapshots, events <-chan *nats.Msg, w *waiting) (*schema.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		m   jetstream.Msg
		err error
	}
	ended := make(chan outcome, 1)
	end := h.b.newTail(h.b.names.ResultsStream(), h.b.names.End(h.queue, h.id), 0, false)
	go func() {
		defer end.close()
		m, _, err := end.next(ctx)
		if err == nil && events != nil {
			_ = h.b.nc.FlushWithContext(ctx) // what was sent before the end is here now
		}
		ended <- outcome{m, err}
	}()
	stopped := false
	defer func() {
		cancel()
		if !stopped {
			<-ended
		}
	}()
	for {
		select {
		case m := <-snapshots:
			if state, err := schema.ParseState(m.Data); err == nil && !state.State.Final() {
				w.show(state)
			}
		case m := <-events:
			w.tell(m)
		case out := <-ended:
			stopped = true
			if out.err != nil {
				return nil, out.err
			}
			w.drain(events)
			state, err := schema.ParseState(out.m.Data())
			if err == nil {
				w.show(state)
			}
			return state, err
		}
	}
}
