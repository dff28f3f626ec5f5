package gcra

import (
	"math/rand/v2"
	"testing"
	"time"
)

// All of a minute's number may come at once; no minute sees more, and none that asks
// steadily sees much less.
func TestWindow(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 37e6, time.UTC)
	for _, perMinute := range []int{1, 2, 100, 1000} {
		var w Window
		var taken []time.Time
		for now := begin; now.Before(begin.Add(10 * time.Minute)); now = now.Add(time.Duration(rand.Int64N(int64(100 * time.Millisecond)))) {
			for ready := w.Ready(now, perMinute); !ready.After(now); ready = w.Ready(now, perMinute) {
				if w.Take(now); rand.IntN(10) == 0 {
					w.Give()
					continue
				}
				taken = append(taken, now)
			}
			if ready := w.Ready(now, perMinute); ready.Sub(now) > time.Minute+slot {
				t.Fatalf("%d per minute: ready in %v", perMinute, ready.Sub(now))
			}
		}
		if len(taken) < perMinute || !taken[perMinute-1].Equal(taken[0]) {
			t.Errorf("%d per minute: not all at once", perMinute)
		}
		for i := range len(taken) - perMinute {
			if span := taken[i+perMinute].Sub(taken[i]); span < time.Minute {
				t.Fatalf("%d per minute: one more within %v", perMinute, span)
			}
		}
		if least := perMinute * 9; len(taken) < least {
			t.Errorf("%d per minute: %d in ten", perMinute, len(taken))
		}
	}
}

// What is ready at a time can be had then, also after long silence.
func TestWindowIsReadyWhenItSays(t *testing.T) {
	var w Window
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 200 {
		for w.Ready(now, 3).After(now) {
			ready := w.Ready(now, 3)
			if before := ready.Add(-time.Nanosecond); !w.Ready(before, 3).Equal(ready) {
				t.Fatal("ready too early")
			}
			now = ready
		}
		w.Take(now)
		now = now.Add(time.Duration(rand.Int64N(int64(time.Minute))))
		if rand.IntN(20) == 0 {
			now = now.Add(time.Hour)
		}
	}
}
