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
	if got := a.tokens.Ready(now, 0, 0, 60_000).Sub(tokens.Ready(now, 0, 0, 60_000)); got != time.Second {
		t.Errorf("charged %v for 1,000 tokens of 1,000 a second", got)
	}
}

func TestWhenToAskAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &account{limits: limits{RPM: 600}}
	for range 5 {
		a.takeAt(now, 0)
	}
	for ahead := range 3 {
		if got, want := a.when(now, float64(ahead), 0, 0), time.Duration(ahead+1)*100*time.Millisecond; got != want {
			t.Errorf("behind %d: %v, want %v", ahead, got, want)
		}
	}
	a.limits.Parallel, a.inUse = 1, 1
	if got := a.when(now, 3, 0, 0); got != 0 {
		t.Errorf("when full: %v", got)
	}
	a.charge(now, 0)
	a.charge(now, 0)
	if got := a.when(now, 3, 0, 0); got != 300*time.Millisecond {
		t.Errorf("when full and far beyond the rate: %v", got)
	}
}

func TestQueueKeepsOrderAndForgetsWhoLeft(t *testing.T) {
	a := &account{name: "d"}
	m := newMember("m", "m", time.Time{})
	for id := range uint64(100) {
		a.push(m, ask{ID: id})
	}
	for id := range uint64(100) {
		if id != 50 && id != 98 {
			a.leave(m.asks[id])
		}
	}
	a.tidy()
	if len(a.queue) != 2 || a.queue[0].ID != 50 || a.queue[1].ID != 98 || a.gone != 0 || len(m.asks) != 2 {
		t.Errorf("%d queued, %d gone", len(a.queue), a.gone)
	}
	a.leave(m.asks[50])
	a.leave(m.asks[98])
	a.tidy()
	if len(a.queue) != 0 || a.gone != 0 || len(m.asks) != 0 {
		t.Error("somebody is left")
	}
}

// A member that was refused and asks again stands where it stood.
func TestTicketKeepsThePlace(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &account{name: "d", limits: limits{Parallel: 2}}
	l := limits{Parallel: 2}
	m, other := newMember("m", "m", now), newMember("o", "o", now)
	a.push(m, ask{ID: 1, Limits: l, Tokens: 5, Once: true})
	a.push(other, ask{ID: 1, Limits: l})
	ticket := a.queue[0]
	a.keep(ticket, time.Time{})
	if a.once != 0 || len(m.asks) != 0 || m.tickets["d"] != ticket {
		t.Fatal("no ticket")
	}
	a.call(ticket, now)
	if a.aside.calls != 1 || a.aside.tokens != 5 || a.full() || !ticket.until.Equal(now.Add(claimIn)) {
		t.Errorf("called: %+v", a.aside)
	}
	a.inUse = 1
	if !a.full() {
		t.Error("the room is not kept")
	}
	a.push(m, ask{ID: 2, Limits: l, Tokens: 7, Once: true})
	if a.queue[0] != ticket || ticket.ID != 2 || ticket.ticket || len(m.tickets) != 0 || a.aside.calls != 0 || a.aside.tokens != 0 || a.once != 1 {
		t.Errorf("claimed: %+v, %+v", ticket, a.aside)
	}
}
