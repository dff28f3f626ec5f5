package worker

import (
	"slices"
	"sync"
	"time"

	"pelton/jobs/store"
)

// trialTimes gives out the times in which suspected requests are begun, in a worker
// that has lived long enough in calm for its death to say something. It is safe for
// concurrent use.
type trialTimes struct {
	born time.Time // when the worker began to work

	mu     sync.Mutex
	calm   time.Time // since when no death of another worker has shown here
	alone  time.Time // the end of the trial alone that is under way
	shared time.Time // the end of the last trial that others may be beside
	next   time.Time // when the next may begin beside others
	queue  time.Time // the end of the last that was planned
}

// disturb notes that the death of another worker shows: what it had in hand is given
// out again. While workers die of something else, one that dies in a trial may do so
// too. What shows to a worker that is just born was before its time.
func (t *trialTimes) disturb(now time.Time) {
	if now.Sub(t.born) < store.AckWait+2*time.Second {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calm = now
}

// enter begins a trial of such a length, if that can be now: leave ends it early.
// Else it plans one, and says when. No other begins during a trial alone; those that
// are not alone begin one after the other, but go on side by side.
func (t *trialTimes) enter(now time.Time, length time.Duration, alone bool) (leave func(now time.Time), at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ripe, takes := latest(t.born, t.calm).Add(olderBy*length), length
	free := latest(ripe, t.alone, t.shared)
	if !alone {
		free, takes = latest(ripe, t.alone, t.next), sharedGap
	}
	if now.Before(free) {
		at = latest(free, t.queue, now)
		t.queue = at.Add(takes)
		return nil, at
	}
	end := now.Add(length)
	if !alone {
		t.next, t.shared = now.Add(sharedGap), latest(t.shared, end)
		return func(time.Time) {}, now
	}
	t.alone = end
	return func(now time.Time) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.alone.Equal(end) && now.Before(end) {
			t.alone = now
		}
	}, now
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }
