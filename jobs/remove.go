package jobs

import (
	"context"
	"errors"
	"fmt"

	"pelton/jobs/store"
	"pelton/schema"
)

// RemoveOption changes one [Handle.Remove].
type RemoveOption func(*erasing)

type erasing struct{ overwrite int }

// OverwriteAll has messages overwritten however many there are: the server takes
// some milliseconds for each, and does little else on that stream meanwhile.
// Without it, where more than 2,000 messages of one stream would have to be,
// they are deleted at once. What of them shares a file with messages of other
// jobs stays in that file, readable by nobody over NATS, until the server writes
// the file anew or the others have gone.
func OverwriteAll() RemoveOption { return func(e *erasing) { e.overwrite = store.OverwriteEverything } }

// DeleteOnly has no results, bodies or inputs overwritten: for what nobody has
// to hide, since it is quicker by far.
func DeleteOnly() RemoveOption { return func(e *erasing) { e.overwrite = 0 } }

// Remove erases a job that has ended: its message and input, its results and
// bodies, its cancel marker and its state, and what an unclean end left of its
// requests. It then looks whether anything is left, which is [ErrNotErased].
// The state goes last, so that a removal that was cut short can be repeated; it
// returns what it did also with an error.
//
// Messages are overwritten on the disk, not only deleted, wherever they may share
// a file with messages of other jobs; a file that holds none but theirs goes. What
// was deleted or replaced before, as earlier versions of the state were, the
// server has to clear away by itself.
func (h *Handle) Remove(ctx context.Context, options ...RemoveOption) (Removed, error) {
	e := erasing{overwrite: store.OverwriteMost}
	for _, option := range options {
		option(&e)
	}
	var none Removed
	if !jobName(h.id) || !schema.ValidQueue(h.queue) {
		return none, fmt.Errorf("%w: %q in queue %q", ErrNotFound, h.id, h.queue)
	}
	rec, err := h.st.Records.Load(ctx, h.queue, h.id)
	if err != nil {
		return none, err
	}
	// A job without a record is one that never was, or one of which a removal left
	// something: a worker's late result, for instance.
	var unknown error
	if rec == nil {
		var state *schema.State
		if state, unknown = h.State(ctx); unknown == nil {
			return none, fmt.Errorf("%w (it is %s)", ErrRunning, state.State)
		}
		if !errors.Is(unknown, ErrNotFound) {
			return none, unknown
		}
	} else if !rec.State.State.Final() {
		return none, fmt.Errorf("%w (it is %s)", ErrRunning, rec.State.State)
	}
	removed, err := h.st.Erase(ctx, h.key(), rec, e.overwrite)
	switch {
	case err != nil:
		return removed, fmt.Errorf("remove job %s: %w", h.id, err)
	case removed.Messages == 0:
		return removed, unknown
	}
	return removed, nil
}
