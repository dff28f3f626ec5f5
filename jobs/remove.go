package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pelton/schema"
)

// ErrRunning means that a job has not ended, and so cannot be removed or retried.
var ErrRunning = errors.New("the job has not ended: cancel it first")

// ErrNotErased means that something of a removed job is still in the store.
var ErrNotErased = errors.New("something of the job is still in the store")

// Removed counts what [Handle.Remove] erased.
type Removed struct {
	Jobs     int `json:"jobs"`     // the job's message, and every copy of it that was published again
	Work     int `json:"work"`     // requests that were left in the work stream
	Parked   int `json:"parked"`   // requests that were left waiting
	Results  int `json:"results"`  // results, and the end
	Cancels  int `json:"cancels"`  // cancel markers
	Objects  int `json:"objects"`  // inputs, and bodies above the message limit
	States   int `json:"states"`   // the state record
	Messages int `json:"messages"` // all of these; an object is several

	// Unlinked are those of Messages that were not overwritten, since they were
	// too many, and may share a file with others': see [OverwriteAll].
	Unlinked int `json:"unlinked"`
}

// overwriteMost is how many messages of one stream a removal overwrites, unless
// it is told otherwise. Each makes the server write a file of up to 8 MiB anew.
const overwriteMost = 2000

// RemoveOption changes one [Handle.Remove].
type RemoveOption func(*eraser)

// OverwriteAll has messages overwritten however many there are: the server takes
// some milliseconds for each, and does little else on that stream meanwhile.
// Without it, where more than 2,000 messages of one stream would have to be,
// they are deleted at once. What of them shares a file with messages of other
// jobs stays in that file, readable by nobody over NATS, until the server writes
// the file anew or the others have gone.
func OverwriteAll() RemoveOption { return func(e *eraser) { e.most = everything } }

// DeleteOnly has no results, bodies or inputs overwritten: for what nobody has
// to hide, since it is quicker by far.
func DeleteOnly() RemoveOption { return func(e *eraser) { e.most = 0 } }

// everything is a bound on overwriting that is none.
const everything = -1

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
	e := &eraser{b: h.b, queue: h.queue, id: h.id, most: overwriteMost}
	for _, option := range options {
		option(e)
	}
	if !jobName(h.id) || !schema.ValidQueue(h.queue) {
		return e.removed, fmt.Errorf("%w: %q in queue %q", ErrNotFound, h.id, h.queue)
	}
	rec, err := h.b.loadRecord(ctx, h.queue, h.id)
	if err != nil {
		return e.removed, err
	}
	if rec == nil {
		return h.removeRemains(ctx, e)
	}
	if !rec.State.State.Final() {
		return e.removed, fmt.Errorf("%w (it is %s)", ErrRunning, rec.State.State)
	}
	e.rec = rec
	if err := e.awaitEnd(ctx); err != nil {
		return e.removed, err
	}
	if err := e.all(ctx); err != nil {
		return e.removed, fmt.Errorf("remove job %s: %w", h.id, err)
	}
	return e.removed, nil
}

// removeRemains is Remove for a job without a record: one that never was, or one
// of which a removal left something, a worker's late result for instance.
func (h *Handle) removeRemains(ctx context.Context, e *eraser) (Removed, error) {
	state, unknown := h.State(ctx)
	switch {
	case unknown == nil:
		return e.removed, fmt.Errorf("%w (it is %s)", ErrRunning, state.State)
	case !errors.Is(unknown, ErrNotFound):
		return e.removed, unknown
	}
	if err := e.all(ctx); err != nil {
		return e.removed, fmt.Errorf("remove job %s: %w", h.id, err)
	}
	if e.removed.Messages == 0 {
		return e.removed, unknown
	}
	return e.removed, nil
}

// The end is published right after the final state; an owner that died between
// the two is followed by another one after AckWait.
const (
	endComesWithin = 2 * AckWait
	endIsThere     = time.Minute // after this time it was published, and may have gone already
)

// awaitEnd waits for the last message of the job, so that none comes behind its
// removal.
func (e *eraser) awaitEnd(ctx context.Context) error {
	if e.rec.FinishedAt == nil || time.Since(*e.rec.FinishedAt) > endIsThere {
		return nil
	}
	for deadline := time.Now().Add(endComesWithin); time.Now().Before(deadline); {
		m, err := e.b.lastMsg(ctx, e.b.names.ResultsStream(), e.b.names.End(e.queue, e.id))
		if m != nil || err != nil {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil // nobody is at work on it: an earlier removal took it, say
}
