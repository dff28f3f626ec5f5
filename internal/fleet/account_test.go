package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func (a *account) takeAt(now time.Time, n float64) bool {
	if a.ready(now, 0, 0, n).After(now) {
		return false
	}
	a.charge(now, n)
	return true
}

// In no window is more given away than the rate and half a second of it, or one
// call, whatever is asked for, given back and when.
func TestRatesHoldInEveryWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{RPM: rapid.IntRange(0, 10_000).Draw(t, "rpm"), TPM: rapid.IntRange(0, 1_000_000).Draw(t, "tpm")}
		start := time.Unix(1000, 0)
		a := &account{since: start}
		a.learn(l)
		type event struct {
			at     time.Time
			calls  float64
			tokens float64
		}
		var events []event
		now := start
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pass")))
			n := float64(rapid.IntRange(0, 20_000).Draw(t, "tokens"))
			for range rapid.IntRange(1, 20).Draw(t, "asks") {
				if !a.takeAt(now, n) {
					break
				}
				switch rapid.IntRange(0, 2).Draw(t, "end") {
				case 0: // given back at once: no call
					a.settle(now, n, 0, false, true)
				case 1: // used more than thought, which is no call that could have been refused
					a.settle(now, n, n+100, true, true)
					events = append(events, event{now, 1, n})
				default:
					events = append(events, event{now, 1, n})
				}
			}
		}
		for i := range events {
			calls, tokens := 0.0, 0.0
			for j := i; j < len(events); j++ {
				calls += events[j].calls
				tokens += events[j].tokens
				window := events[j].at.Sub(events[i].at).Seconds()
				if rate := float64(l.RPM) / 60; l.RPM > 0 && calls > rate*window+max(1, rate/2)+1e-3 {
					t.Fatalf("%v calls in %v s at %v rpm", calls, window, l.RPM)
				}
				if rate := float64(l.TPM) / 60; l.TPM > 0 && tokens-events[j].tokens > rate*window+max(1, rate/2)+1 {
					t.Fatalf("%v tokens in %v s at %v tpm", tokens, window, l.TPM)
				}
			}
		}
	})
}

func TestNewCoordinatorsRatesBeginEmpty(t *testing.T) {
	start := time.Unix(1000, 0)
	a := &account{since: start}
	a.learn(limits{RPM: 600, TPM: 60_000})
	if at := a.ready(start, 0, 0, 100); !at.Equal(start.Add(100 * time.Millisecond)) {
		t.Errorf("the first call is due after %v", at.Sub(start))
	}
	first := &account{} // of the first coordinator ever
	first.learn(limits{RPM: 600})
	for range 5 {
		if !first.takeAt(start, 0) {
			t.Error("refused within the burst")
		}
	}
	if first.takeAt(start, 0) {
		t.Error("a sixth at once")
	}
}

// Permits of an earlier coordinator bring nothing into the books, but what they
// used beyond their estimate is charged.
func TestSettleOfEarlierPermits(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &account{since: now}
	a.learn(limits{RPM: 600, TPM: 60_000})
	calls, tokens := a.calls, a.tokens
	a.settle(now, 1000, 0, false, false)
	a.settle(now, 1000, 10, true, false)
	if a.calls != calls || a.tokens != tokens {
		t.Error("a permit of another book was put back into this one")
	}
	a.settle(now, 1000, 2000, true, false)
	if got := a.tokens.paid.Sub(tokens.paid); got != time.Second {
		t.Errorf("charged %v for 1,000 tokens of 1,000 a second", got)
	}
}

func TestWhenToAskAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &account{limits: limits{RPM: 600}}
	for range 5 {
		a.takeAt(now, 0)
	}
	for i := range 3 { // each is told another moment
		if got, want := a.after(now, 0), time.Duration(i+1)*100*time.Millisecond; got != want {
			t.Errorf("the %d. is told %v, want %v", i+1, got, want)
		}
	}
	a.push(&waiter{ask: ask{Limits: a.limits}}) // those who wait come first
	a.spread = time.Time{}
	if got := a.after(now, 0); got != 200*time.Millisecond {
		t.Errorf("behind one who waits: %v", got)
	}
	a.limits.Parallel, a.inUse = 1, 1
	if got := a.after(now, 0); got != RetryFull {
		t.Errorf("when full: %v", got)
	}
}

func TestQueueForgetsWhoLeft(t *testing.T) {
	a := &account{}
	var list []*waiter
	for range 100 {
		w := &waiter{ask: ask{Tokens: 2}}
		list = append(list, w)
		a.push(w)
	}
	for _, w := range list[:99] {
		a.leave(w)
		a.leave(w)
	}
	if a.head() != list[99] || len(a.queue) > 40 || a.ahead.calls != 1 || a.ahead.tokens != 2 {
		t.Errorf("head %v, %d queued, ahead %+v", a.head() == list[99], len(a.queue), a.ahead)
	}
	a.leave(list[99])
	if a.head() != nil || a.ahead.calls != 0 {
		t.Error("somebody is left")
	}
}
