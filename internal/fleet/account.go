package fleet

import (
	"time"

	"pelton/internal/gcra"
)

// account is the book of one deployment.
type account struct {
	name   string
	since  time.Time // when this coordinator began; zero: it is the first ever, and nothing was given away
	limits limits    // as the last ask had them: workers with another configuration come to agree when they restart
	calls  gcra.Bucket
	tokens gcra.Bucket
	inUse  int       // permits held, and what members not heard of yet may hold
	queue  []*waiter // in the order they came
	gone   int       // of them, those who have left
	once   int       // of them, those who would not wait
	timer  *time.Timer

	aside struct{ calls, tokens float64 } // room kept for those who were called
}

// waiter is a place in the queue: of an ask that has no answer yet, or the ticket
// of a member that was refused. A ticket keeps the place in line of somebody who
// asks again, and there is one for each member.
type waiter struct {
	ask
	member *member
	gone   bool // has left the queue
	ticket bool

	// Of tickets:
	told   time.Time // when the member was told to ask again; zero: when it is called
	called bool      // it is its turn: room is kept for it,
	until  time.Time // but not after this
}

func (w *waiter) cost() float64 { return float64(max(0, w.Tokens)) }

// learn takes over the limits of an ask. A rate that is new begins empty as of
// when the coordinator began: before that, another may have given all away.
func (a *account) learn(l limits) {
	a.limits = l
	if l.RPM > 0 {
		a.calls.BeginEmpty(a.since, l.RPM)
	}
	if l.TPM > 0 {
		a.tokens.BeginEmpty(a.since, l.TPM)
	}
}

// ready returns when the rates allow a call after the given others; not after
// now means at once.
func (a *account) ready(now time.Time, calls, tokens, n float64) time.Time {
	at := now
	if a.limits.RPM > 0 {
		if t := a.calls.Ready(now, calls, 1, a.limits.RPM); t.After(at) {
			at = t
		}
	}
	if a.limits.TPM > 0 {
		if t := a.tokens.Ready(now, tokens, n, a.limits.TPM); t.After(at) {
			at = t
		}
	}
	return at
}

// full reports whether as many calls are in flight, or room is kept for, as may
// be.
func (a *account) full() bool {
	return a.limits.Parallel > 0 && a.inUse+int(a.aside.calls) >= a.limits.Parallel
}

// charge takes a call of n tokens from the rates, and refund puts one back.
func (a *account) charge(now time.Time, n float64) {
	if a.limits.RPM > 0 {
		a.calls.Take(now, 1, a.limits.RPM)
	}
	a.chargeTokens(now, n)
}

func (a *account) chargeTokens(now time.Time, n float64) {
	if a.limits.TPM > 0 {
		a.tokens.Take(now, n, a.limits.TPM)
	}
}

func (a *account) refund(n float64) {
	if a.limits.RPM > 0 {
		a.calls.Give(1, a.limits.RPM)
	}
	a.refundTokens(n)
}

func (a *account) refundTokens(n float64) {
	if a.limits.TPM > 0 {
		a.tokens.Give(n, a.limits.TPM)
	}
}

// settle corrects what a permit was granted for to what its call used. ours is
// false for a permit of an earlier coordinator: what it was charged is in no book
// here, so only what it used beyond that counts.
func (a *account) settle(now time.Time, granted, used float64, sent, ours bool) {
	switch {
	case !sent && ours:
		a.refund(granted)
	case sent && used > granted:
		a.chargeTokens(now, used-granted)
	case sent && ours:
		a.refundTokens(granted - used)
	}
}
