package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

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

// reading is a job whose results are read.
type reading struct{ *Handle }

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
		from := h.st.Results.Read(h.queue, h.id, order, c.from)
		defer from.Close()
		n := 0
		for {
			it, err := from.Next(ctx)
			if err == nil && n == 0 {
				// The first message proves that the job has its record.
				_, err = h.checkIdentity(ctx)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if it.End() {
				if err := (reading{h}).endError(ctx, it, n, c.from == 0); err != nil {
					yield(nil, err)
				}
				return
			}
			result, err := h.st.Results.Decode(ctx, it)
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
// one that was submitted. It reports whether there is one.
func (h *Handle) checkIdentity(ctx context.Context) (known bool, err error) {
	if h.hash == "" {
		return false, nil
	}
	rec, err := h.st.Records.LoadSteadily(ctx, h.queue, h.id)
	if rec == nil || err != nil {
		return false, err
	}
	if rec.Hash != h.hash {
		return true, fmt.Errorf("job %s: %w", h.id, ErrIDConflict)
	}
	return true, nil
}

// freshFor is how long after its submission nothing of a job can have aged out.
const freshFor = 30 * time.Second

// readable makes sure that there is such a job, and that a reader of one that
// has ended will find its end and not wait for what has aged out.
func (h *Handle) readable(ctx context.Context) error {
	if time.Since(h.submitted) < freshFor {
		return nil
	}
	state, err := h.State(ctx)
	if err != nil {
		return err
	}
	return h.st.Results.Readable(ctx, state)
}

// MayCollect fails with [ErrDenied] where results of the job could not be read:
// for who submits in order to read, and would pay for nothing. There need be no
// such job yet.
func (h *Handle) MayCollect(ctx context.Context) error {
	_, err := h.st.Results.MayRead(ctx, h.key())
	return err
}

// AgedOut reports whether the job has ended and its results are kept no more.
// Its state is for as long again.
func (h *Handle) AgedOut(ctx context.Context) (bool, error) {
	err := h.readable(ctx)
	if errors.Is(err, ErrAgedOut) {
		return true, nil
	}
	return false, err
}

// endError is what the final state says to a reader of n results.
func (h reading) endError(ctx context.Context, it store.Entry, n int, fromStart bool) error {
	state, err := schema.ParseState(it.Data)
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
	failed, err := h.st.Results.Get(ctx, h.queue, h.id, *state.Reason.Index)
	if err != nil {
		return err
	}
	return &ResultError{Index: *state.Reason.Index, Result: failed, State: state}
}
