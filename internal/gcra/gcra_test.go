package gcra

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1000, 0)

// However it is asked, no window sees more than the burst and what the rate gives
// in it, and whoever waits as told is let through.
func TestRateHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perMinute := rapid.IntRange(1, 100_000).Draw(t, "per minute")
		type taken struct {
			at time.Time
			n  float64
		}
		var b Bucket
		var all []taken
		now := start
		for range rapid.IntRange(1, 100).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "later")))
			n := float64(rapid.IntRange(1, max(1, perMinute/120)).Draw(t, "n"))
			if at := b.Ready(now, 0, n, perMinute); at.After(now) {
				if now = at; b.Ready(now, 0, n, perMinute).After(now) {
					t.Fatal("told to wait, and again")
				}
			}
			b.Take(now, n, perMinute)
			all = append(all, taken{now, n})
		}
		rate := float64(perMinute) / 60
		for i := range all {
			sum := 0.0
			for _, c := range all[i:] {
				sum += c.n
				// What one costs is rounded to the nanosecond.
				if most := rate*c.at.Sub(all[i].at).Seconds() + max(1, rate/2); sum > most*(1+1e-5) {
					t.Fatalf("%v within %v at %d a minute, at most %v", sum, c.at.Sub(all[i].at), perMinute, most)
				}
			}
		}
	})
}

func TestBucket(t *testing.T) {
	wait := func(b *Bucket, ahead, n float64) time.Duration { return b.Ready(start, ahead, n, 600).Sub(start) }
	var b Bucket
	if got := wait(&b, 5, 1); got != 100*time.Millisecond {
		t.Errorf("after the burst: %v", got)
	}
	b.Take(start, 100, 600) // as the true cost of a call that was estimated at 1
	if got := wait(&b, 0, 1); got != 9600*time.Millisecond {
		t.Errorf("with a debt: %v", got)
	}
	b.Give(99, 600)
	if got := wait(&b, 0, 5); got != 100*time.Millisecond {
		t.Errorf("after giving back: %v", got)
	}
	if got := wait(&b, 0, 1000); got != 100*time.Millisecond {
		t.Errorf("more than a bucket waits for a full one: %v", got)
	}
	b.BeginEmpty(start.Add(time.Hour), 600)
	if got := wait(&b, 0, 5); got != 100*time.Millisecond {
		t.Errorf("begun empty after it was used: %v", got)
	}
	var second Bucket
	if second.BeginEmpty(start, 600); wait(&second, 0, 1) != 100*time.Millisecond {
		t.Errorf("begun empty: %v", wait(&second, 0, 1))
	}
	if second.Take(start, math.MaxFloat64, 1); wait(&second, 0, 1) > 25*time.Hour {
		t.Errorf("nonsense: %v", wait(&second, 0, 1))
	}
}
