package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// Handle is one job. It holds nothing but names, and is safe for concurrent use.
type Handle struct {
	st        *store.Store
	queue, id string
	submitted time.Time // by this process: it is there; zero: by another, or it was there before
	expected  bool      // it may yet be submitted
	hash      string    // of the content that was submitted under an id of the caller's choice
}

// ID returns the job's id, and Queue the queue it was submitted to.
func (h *Handle) ID() string { return h.id }

// Queue returns the queue the job was submitted to.
func (h *Handle) Queue() string { return h.queue }

// jobName reports whether a job can have this id. Anything else is not looked
// for: with a dot or a wildcard in it, it would be part of other jobs' subjects.
func jobName(id string) bool { return schema.ValidQueue(id) } // as a queue: "j" and digits are not reserved for reading

// The pauses in which State looks again for a job that is in neither place: from
// the one to the other, each twice as long as the last.
const (
	shortestMoment = 2 * time.Millisecond
	longestMoment  = 64 * time.Millisecond
)

// State returns the job's state as its owner last wrote it. It is "queued" for
// a job that no worker has taken yet, and [ErrNotFound] when there is no job.
func (h *Handle) State(ctx context.Context) (*schema.State, error) {
	if !jobName(h.id) || !schema.ValidQueue(h.queue) {
		return nil, fmt.Errorf("%w: %q in queue %q", ErrNotFound, h.id, h.queue)
	}
	// Between the delivery to an owner and its record there is a moment in
	// which a job is in neither place. It is short as a rule: who has just
	// submitted is not to wait longer than that.
	for pause := shortestMoment; pause <= longestMoment; pause *= 2 {
		rec, err := h.st.Records.LoadSteadily(ctx, h.queue, h.id)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			return &rec.State, nil
		}
		queued, err := h.queued(ctx, false)
		if err != nil || queued != nil {
			return queued, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
	held, err := h.queued(ctx, true)
	if err != nil || held != nil {
		return held, err
	}
	return nil, fmt.Errorf("%w: %s in queue %s", ErrNotFound, h.id, h.queue)
}

// Counted is [Handle.State] that says no less than what is stored: an owner writes the
// state now and then, and not at all while the store is full or it has just died.
// Where more results are stored than the state says, they are counted anew, which
// takes a second or so for some hundred thousand. stored is how many there are, also
// where counting failed: then the state is as its owner last wrote it.
func (h *Handle) Counted(ctx context.Context) (state *schema.State, stored int, err error) {
	if state, err = h.State(ctx); err != nil {
		return nil, 0, err
	}
	stored = state.Counts.Stored()
	if state.State != schema.Running {
		return state, stored, nil
	}
	n, err := h.st.Results.Count(ctx, h.key())
	if err != nil || n <= stored {
		return state, stored, nil //nolint:nilerr // the state is true as far as it goes
	}
	stored = n
	var counts schema.Counts
	var bill schema.Bill
	err = h.st.Results.EachMeta(ctx, h.queue, h.id, func(meta store.ResultMeta) error {
		counts.Add(meta.Status)
		bill.AddBill(meta.Bill)
		return nil
	})
	if err != nil {
		return state, stored, nil //nolint:nilerr // as above
	}
	if more := counts.Stored() - state.Counts.Stored(); more > 0 {
		state.Counts, state.InFlight = counts, max(0, state.InFlight-more)
		state.SetBill(bill)
	}
	return state, state.Counts.Stored(), nil
}

// queued looks for the job among those that no owner has been given yet; with held
// among those that have no record all the same. It is nil when it is not there.
func (h *Handle) queued(ctx context.Context, held bool) (*schema.State, error) {
	state, err := h.st.Jobs.FindQueued(ctx, h.queue, h.id, held)
	if !held && errors.Is(err, ErrDenied) && h.st.AskService {
		return servedState(ctx, h.st, h.queue, h.id, err)
	}
	return state, err
}

func (h *Handle) key() store.JobKey { return store.JobKey{Queue: h.queue, ID: h.id} }

// Cancel ends the job: nothing more is started, calls in flight are aborted,
// what has finished is kept. It returns once the cancel is durable, not once
// the job has ended; cancelling a job that has ended changes nothing.
func (h *Handle) Cancel(ctx context.Context, reason string) error {
	if _, err := h.State(ctx); err != nil {
		return err
	}
	return h.st.Cancels.PublishSteadily(ctx, h.queue, h.id, schema.Cancel{Reason: reason})
}
