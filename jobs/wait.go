package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/retry"
	"pelton/jobs/store"
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
	snapshots, deaf, err := h.st.Live.OnProgress(h.queue, h.id, 16)
	if err != nil {
		return nil, err
	}
	defer deaf()
	var events <-chan *nats.Msg
	if w.event != nil && jobName(h.id) && schema.ValidQueue(h.queue) {
		var stop func()
		if events, stop, err = h.st.Live.Events(h.key()); err != nil {
			return nil, err
		}
		defer stop()
	}
	state, err := h.State(ctx)
	for ctx.Err() == nil && (reading{h}).comes(err) {
		if err = sleep(ctx, expectEvery); err == nil {
			state, err = h.State(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	if state.State.Final() {
		if events != nil {
			err = h.st.Live.Flush(ctx) // what was sent before the end is here now
			w.drain(events)
		}
		w.show(state)
		return state, err
	}
	w.show(state)
	return reading{h}.follow(ctx, snapshots, events, &w)
}

// comes reports whether the state that err says cannot be read is to be waited
// for: the job is yet to come, or the broker is away.
func (h reading) comes(err error) bool {
	switch {
	case err == nil:
		return false
	case h.expected && notYet(err):
		return true
	case !h.submitted.IsZero() && errors.Is(err, ErrNotSetUp): // it was set up when it took the job
		return true
	}
	return store.IsTransient(err)
}

// follow waits for the end, which is stored, and meanwhile passes snapshots and
// events on, which are not.
func (h reading) follow(ctx context.Context, snapshots, events <-chan *nats.Msg, w *waiting) (*schema.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	type finalState struct {
		state *schema.State
		err   error
	}
	ended := make(chan finalState, 1)
	go func() {
		state, err := h.st.Results.AwaitEnd(ctx, h.key())
		if err == nil && events != nil {
			_ = h.st.Live.Flush(ctx) // what was sent before the end is here now
		}
		ended <- finalState{state, err}
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
			w.passEvent(m)
		case out := <-ended:
			stopped = true
			if out.err != nil {
				return nil, out.err
			}
			w.drain(events)
			w.show(out.state)
			return out.state, nil
		}
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if err := retry.Sleep(ctx, d); err != nil {
		return fmt.Errorf("stopped waiting: %w", err)
	}
	return nil
}
