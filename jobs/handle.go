package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// Handle is one job. It holds nothing but names, and is safe for concurrent use.
type Handle struct {
	b         *Broker
	queue, id string
	submitted bool   // by this process: it is there, and has not aged out
	hash      string // of the content that was submitted under an id of the caller's choice
}

// ID returns the job's id, and Queue the queue it was submitted to.
func (h *Handle) ID() string { return h.id }

// Queue returns the queue the job was submitted to.
func (h *Handle) Queue() string { return h.queue }

// ErrNotFound means that there is no such job: it never was, it was removed, or
// it has aged out.
var ErrNotFound = errors.New("no such job")

// ErrIDConflict means that the id belongs to a job with other content.
var ErrIDConflict = errors.New("this id belongs to a job with other content: choose another")

// ErrAgedOut means that results existed which are no longer kept.
var ErrAgedOut = errors.New("some results have aged out of the store")

// ResultError ends a job with fail-fast: one result failed and the rest was
// cancelled.
type ResultError struct {
	Index  int
	Result *schema.Result // the one that failed
	State  *schema.State
}

// Error names the request and why it failed.
func (e *ResultError) Error() string {
	if e.Result == nil {
		return fmt.Sprintf("job %s failed fast: request %d failed", e.State.ID, e.Index)
	}
	return fmt.Sprintf("job %s failed fast: request %d: %v", e.State.ID, e.Index, e.Result.Err())
}

// Unwrap returns the failed result's error.
func (e *ResultError) Unwrap() error {
	if e.Result == nil {
		return nil
	}
	return e.Result.Err()
}

// StateError says that a job ended before all its requests had a result.
type StateError struct{ State *schema.State }

// Error names the job, its state and the reason.
func (e *StateError) Error() string {
	if e.State.Reason == nil {
		return fmt.Sprintf("job %s ended %s", e.State.ID, e.State.State)
	}
	return fmt.Sprintf("job %s ended %s (%s): %s", e.State.ID, e.State.State, e.State.Reason.Code, e.State.Reason.Message)
}

// State returns the job's state as its owner last wrote it. It is "queued" for
// a job that no worker has taken yet, and [ErrNotFound] when there is no job.
func (h *Handle) State(ctx context.Context) (*schema.State, error) {
	// Between the delivery to an owner and its record there is a moment in
	// which a job is in neither place.
	for range 3 {
		rec, err := h.b.loadRecord(ctx, h.queue, h.id)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			return &rec.State, nil
		}
		queued, err := h.b.queuedJob(ctx, h.queue, h.id)
		if err != nil || queued != nil {
			return queued, err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %s in queue %s", ErrNotFound, h.id, h.queue)
}

// Cancel ends the job: nothing more is started, calls in flight are aborted,
// what has finished is kept. It returns once the cancel is durable, not once
// the job has ended; cancelling a job that has ended changes nothing.
func (h *Handle) Cancel(ctx context.Context, reason string) error {
	if _, err := h.State(ctx); err != nil {
		return err
	}
	return h.b.publishCancel(ctx, h.queue, h.id, schema.Cancel{Reason: reason})
}

// cancelBehind cancels the job of a caller whose own context has ended.
func (h *Handle) cancelBehind(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	marker := schema.Cancel{Reason: "the caller has gone"}
	if err := h.b.publishCancel(ctx, h.queue, h.id, marker); err != nil {
		h.b.set.Log.Warn().Err(err).Str("job", h.id).Msg("could not cancel the job")
	}
}

// Results yields results as they complete, those that are there first, until
// the job has ended. Breaking out stops reading and nothing else; the job goes
// on. Its errors are those of [Handle.Collect].
func (h *Handle) Results(ctx context.Context) iter.Seq2[*schema.Result, error] {
	return h.Collect(ctx, schema.OrderCompletion)
}

// Ordered yields results in input order, each as soon as it and all before it
// are there. Indexes that never started are left out.
func (h *Handle) Ordered(ctx context.Context) iter.Seq2[*schema.Result, error] {
	return h.Collect(ctx, schema.OrderInput)
}

// CollectOption changes one [Handle.Collect].
type CollectOption func(*collect)

type collect struct{ from uint64 }

// After resumes a collection in completion order behind the result with the
// given [schema.Result.Seq].
func After(seq uint64) CollectOption { return func(c *collect) { c.from = seq } }

// FromIndex resumes a collection in input order with the given index.
func FromIndex(index int) CollectOption { return func(c *collect) { c.from = uint64(index) } }

// Collect yields the job's results in the given order ([schema.OrderDefault] is
// completion order). After the last it yields one error more where the job did
// not run to its end: [*ResultError] after fail-fast, [*StateError] when it was
// cancelled, expired or refused; and [ErrAgedOut] where results are missing
// that once existed. Memory does not grow with the size of the job, and a slow
// reader delays nobody. The end of ctx ends the reading, not the job.
func (h *Handle) Collect(ctx context.Context, order schema.Order, options ...CollectOption) iter.Seq2[*schema.Result, error] {
	var c collect
	for _, option := range options {
		option(&c)
	}
	return func(yield func(*schema.Result, error) bool) {
		if err := h.readable(ctx); err != nil {
			yield(nil, err)
			return
		}
		from := h.b.sequence(h.queue, h.id, order, c.from)
		defer from.close()
		n := 0
		for {
			it, err := from.next(ctx)
			if err == nil && n == 0 {
				// The first message proves that the job has its record.
				err = h.checkIdentity(ctx)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if it.end() {
				if err := h.endError(ctx, it, n, c.from == 0); err != nil {
					yield(nil, err)
				}
				return
			}
			result, err := h.b.readResult(ctx, it.header, it.data, it.seq)
			if err != nil {
				yield(nil, err)
				return
			}
			n++
			if !yield(result, nil) {
				return
			}
		}
	}
}

// checkIdentity makes sure that the job of this id, if there is one yet, is the
// one that was submitted.
func (h *Handle) checkIdentity(ctx context.Context) error {
	if h.hash == "" {
		return nil
	}
	rec, err := h.b.loadRecord(ctx, h.queue, h.id)
	if err != nil {
		return err
	}
	if rec != nil && rec.Hash != h.hash {
		return fmt.Errorf("job %s: %w", h.id, ErrIDConflict)
	}
	return nil
}

// readable makes sure that there is such a job, and that a reader of one that
// has ended will find its end and not wait for what has aged out.
func (h *Handle) readable(ctx context.Context) error {
	if h.submitted {
		return nil
	}
	state, err := h.State(ctx)
	if err != nil || !state.State.Final() {
		return err
	}
	m, err := h.b.lastMsg(ctx, h.b.names.ResultsStream(), h.b.names.End(h.queue, h.id))
	if err != nil || m != nil {
		return err
	}
	// Between the final state and the end there is a moment, or a dead owner
	// whose successor publishes it.
	if state.FinishedAt != nil && time.Since(*state.FinishedAt) < time.Minute {
		return nil
	}
	return fmt.Errorf("job %s: %w", h.id, ErrAgedOut)
}

// endError is what the final state says to a reader of n results.
func (h *Handle) endError(ctx context.Context, it item, n int, fromStart bool) error {
	state, err := schema.ParseState(it.data)
	if err != nil {
		return fmt.Errorf("the end of job %s: %w", h.id, err)
	}
	if want := state.Counts.Stored(); fromStart && n < want {
		return fmt.Errorf("job %s: %w: %d of %d are left", h.id, ErrAgedOut, n, want)
	}
	if state.Reason == nil || state.Reason.Code == schema.ReasonAllFailed {
		return nil
	}
	if state.Reason.Code != schema.ReasonFailFast || state.Reason.Index == nil {
		return &StateError{state}
	}
	failed, err := h.b.GetResult(ctx, h.queue, h.id, *state.Reason.Index)
	if err != nil {
		return err
	}
	return &ResultError{Index: *state.Reason.Index, Result: failed, State: state}
}

// WaitOption changes one [Handle.Wait].
type WaitOption func(*waiting)

type waiting struct{ progress func(schema.State) }

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
	state, err := h.State(ctx)
	if err != nil {
		return nil, err
	}
	w.progress(*state)
	if state.State.Final() {
		return state, nil
	}
	return h.follow(ctx, snapshots, w.progress)
}

// follow waits for the end, which is stored, and meanwhile passes snapshots on,
// which are not.
func (h *Handle) follow(ctx context.Context, snapshots <-chan *nats.Msg, progress func(schema.State)) (*schema.State, error) {
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
				progress(*state)
			}
		case out := <-ended:
			stopped = true
			if out.err != nil {
				return nil, out.err
			}
			state, err := schema.ParseState(out.m.Data())
			if err == nil {
				progress(*state)
			}
			return state, err
		}
	}
}
