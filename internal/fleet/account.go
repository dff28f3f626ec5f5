package fleet

import "time"

// account is the book of one deployment.
type account struct {
	name   string
	since  time.Time // when this coordinator began; zero: it is the first ever, and nothing was given away
	limits limits    // as the last ask had them: workers with another configuration come to agree when they restart
	calls  bucket
	tokens bucket
	inUse  int       // permits held, and what members not heard of yet may hold
	queue  []*waiter // in the order they came
	gone   int       // of them, those taken back
	timer  *time.Timer

	ahead struct{ calls, tokens float64 } // of those in the queue that wait

	// spread is when the next that does not wait is told to ask again, so that
	// those who are refused together do not come back together.
	spread time.Time
}

// waiter is an ask that the coordinator has not answered.
type waiter struct {
	ask
	member *member
	gone   bool
}

func (w *waiter) cost() float64 { return float64(max(0, w.Tokens)) }

// learn takes over the limits of an ask. A rate that is new begins empty as of
// when the coordinator began: before that, another may have given all away.
func (a *account) learn(l limits) {
	a.limits = l
	if l.RPM > 0 && a.calls.paid.IsZero() {
		a.calls.paid = emptySince(a.since, l.RPM)
	}
	if l.TPM > 0 && a.tokens.paid.IsZero() {
		a.tokens.paid = emptySince(a.since, l.TPM)
	}
}

func emptySince(since time.Time, perMinute int) time.Time {
	if since.IsZero() {
		return since
	}
	_, burst := price(perMinute)
	return since.Add(burst)
}

// ready returns when the rates allow a call after the given others; not after
// now means at once.
func (a *account) ready(now time.Time, calls, tokens, n float64) time.Time {
	at := now
	if a.limits.RPM > 0 {
		if t := a.calls.ready(now, calls, 1, a.limits.RPM); t.After(at) {
			at = t
		}
	}
	if a.limits.TPM > 0 {
		if t := a.tokens.ready(now, tokens, n, a.limits.TPM); t.After(at) {
			at = t
		}
	}
	return at
}

// full reports whether as many calls are in flight as may be.
func (a *account) full() bool { return a.limits.Parallel > 0 && a.inUse >= a.limits.Parallel }

// charge takes a call of n tokens from the rates, and refund puts one back.
func (a *account) charge(now time.Time, n float64) {
	if a.limits.RPM > 0 {
		a.calls.take(now, 1, a.limits.RPM)
	}
	a.chargeTokens(now, n)
}

func (a *account) chargeTokens(now time.Time, n float64) {
	if a.limits.TPM > 0 {
		a.tokens.take(now, n, a.limits.TPM)
	}
}

func (a *account) refund(n float64) {
	if a.limits.RPM > 0 {
		a.calls.give(1, a.limits.RPM)
	}
	a.refundTokens(n)
}

func (a *account) refundTokens(n float64) {
	if a.limits.TPM > 0 {
		a.tokens.give(n, a.limits.TPM)
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

// push queues an ask.
func (a *account) push(w *waiter) {
	a.learn(w.Limits)
	a.queue = append(a.queue, w)
	if !w.Once {
		a.ahead.calls++
		a.ahead.tokens += w.cost()
	}
}

// leave marks a queued ask as answered or taken back. It stays in its place
// until the queue moves on, unless too many do.
func (a *account) leave(w *waiter) {
	if w.gone {
		return
	}
	w.gone = true
	a.gone++
	if !w.Once {
		a.ahead.calls--
		a.ahead.tokens -= w.cost()
	}
	if a.gone > 16 && a.gone > len(a.queue)/2 {
		a.compact()
	}
}

func (a *account) compact() {
	kept := a.queue[:0]
	for _, w := range a.queue {
		if !w.gone {
			kept = append(kept, w)
		}
	}
	clear(a.queue[len(kept):])
	a.queue, a.gone = kept, 0
}

// head returns the first in the queue, nil when nobody is.
func (a *account) head() *waiter {
	for len(a.queue) > 0 {
		if w := a.queue[0]; !w.gone {
			return w
		}
		a.queue[0] = nil
		a.queue = a.queue[1:]
		a.gone--
	}
	a.queue = nil
	return nil
}

// after is how long one that does not wait is told to stay away.
func (a *account) after(now time.Time, n float64) time.Duration {
	if a.full() {
		return RetryFull
	}
	at := a.ready(now, a.ahead.calls, a.ahead.tokens, n)
	if a.limits.RPM > 0 {
		one, _ := price(a.limits.RPM)
		if a.spread.Before(at) || a.spread.After(at.Add(time.Second)) {
			a.spread = at
		}
		at, a.spread = a.spread, a.spread.Add(one)
	}
	return max(at.Sub(now), time.Millisecond)
}
