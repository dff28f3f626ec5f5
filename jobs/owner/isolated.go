package owner

import (
	"context"
	"time"

	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// isolated are the requests without a result that workers have held for a trial,
// since each worker that had begun them was not heard of again.
type isolated map[int]bool

// add notes one, and reports whether it is the first.
func (s *isolated) add(index int) (first bool) {
	if *s == nil {
		*s = isolated{}
	}
	first = len(*s) == 0
	(*s)[index] = true
	return first
}

// isHeld reports whether a request waits for a trial.
func isHeld(wait store.Wait) bool { return wait.Cause == schema.CodeWorkerDied }

// inHand is what workers have said last to have in hand of a job.
type inHand struct {
	list map[int]queue.Hold
	at   time.Time
}

// heldPause is for how long that is believed.
const heldPause = 500 * time.Millisecond

// ask asks which requests workers have in hand, unless that was asked just now.
func (h *inHand) ask(ctx context.Context, feeder queue.Feeder, job store.JobKey, now time.Time) (map[int]queue.Hold, error) {
	if now.Sub(h.at) < heldPause {
		return h.list, nil
	}
	list, err := feeder.Held(ctx, job)
	if err == nil {
		h.list, h.at = list, time.Now()
	}
	return list, err
}
