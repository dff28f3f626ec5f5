package worker

import (
	"fmt"
	"time"

	"pelton/schema"
)

// What is concluded from the starts of a request of which no word came: see ADR 13.
// Nothing here reads a clock.

const (
	// apartFrom is the number of such starts from which on a request is begun in a
	// trial, and aloneFrom that from which on no other is begun during it. The first
	// start of all is not among them: nobody counts it.
	apartFrom = 3
	aloneFrom = 4

	// sharedGap lies between the starts of two trials that may go on side by side.
	sharedGap = 100 * time.Millisecond

	// guiltyFrom is the number of such starts from which on a request can be taken for
	// what kills its workers: if the last [trials] of them say so.
	guiltyFrom = 5
	trials     = 2

	// olderBy is how many times as long as a trial its worker must have lived before it,
	// and no other be seen to die. TestStormsConvictNobody says why so many.
	olderBy = 12

	// firstSign is how long after a start its worker notes for the first time that it
	// still lives. Every further note comes after twice the time.
	firstSign = 500 * time.Millisecond

	shortestTrial, longestTrial = 2 * firstSign, 128 * firstSign

	// heldFor is how long a request waits at the least for a worker that is old enough,
	// before it is begun all the same.
	heldFor = 2 * time.Minute

	// spread is how far the starts of requests that have been given out again lie apart
	// at most, after one start of each; after two it is twice that.
	spread = 500 * time.Millisecond
)

// lived is how long at the most a worker can have lived after a start.
func lived(s schema.Start) time.Duration {
	if s.AliveMs == 0 {
		return firstSign
	}
	return 2 * time.Duration(s.AliveMs) * time.Millisecond
}

// incriminates reports whether a start was a trial that its worker did not live through.
func incriminates(s schema.Start) bool { return s.ApartMs > 0 && s.AliveMs < s.ApartMs }

// guilty reports whether a request is taken for what kills its workers.
func guilty(begun []schema.Start) bool {
	n := len(begun)
	if n < guiltyFrom {
		return false
	}
	for _, s := range begun[n-trials:] {
		if !incriminates(s) {
			return false
		}
	}
	return true
}

// trialOf is how long the trial of a request is: at least as long as any worker has
// lived after a start of it. What is in flight at deaths by chance is so at all ages,
// and has long trials in long calms, which chance does not leave.
func trialOf(begun []schema.Start) time.Duration {
	longest := shortestTrial
	for _, s := range begun {
		longest = max(longest, lived(s))
	}
	return min(longest, longestTrial)
}

// patience is how long a request with trials of such a length is held at the most.
func patience(trial time.Duration) time.Duration { return max(heldFor, 2*olderBy*trial) }

// verdict is the error of a request that is guilty.
func verdict(begun []schema.Start) string {
	return fmt.Sprintf("each of %d workers that had begun it again was not heard of after that, the last %d within %s though they had "+
		"lived in calm for long: it is taken for what kills them", len(begun), trials, max(lived(begun[len(begun)-1]), lived(begun[len(begun)-2])))
}
