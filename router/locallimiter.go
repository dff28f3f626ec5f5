package router

import (
	"context"
	"sync"
	"time"
)

// burstWindow is how much of its rate a limit lets through at once. Providers
// judge a rate over seconds, not minutes; half a second leaves room for calls
// that arrive closer together than they were sent.
const burstWindow = 500 * time.Millisecond

// LocalLimiter is a [Limiter] for one process, and the engine of one that a
// fleet shares: it does nothing by itself, and all its calls return at once.
// What it knows of a deployment is a few numbers, kept under the deployment's
// name.
type LocalLimiter struct {
	// Clock tells the time. nil: [time.Now]. Set it before the first use.
	Clock func() time.Time

	mu     sync.Mutex
	meters map[string]*meter
}

// NewLimiter returns a limiter that has admitted nothing yet.
func NewLimiter() *LocalLimiter { return &LocalLimiter{meters: map[string]*meter{}} }

// meter is what a deployment has been asked for.
type meter struct {
	inFlight         int
	requests, tokens bucket
}

// bucket is a token bucket in the form of the generic cell rate algorithm: the
// moment at which all that was taken is paid for. A moment in the past is a
// full bucket.
type bucket struct{ paid time.Time }

// after returns the moment from which n may be taken, where each costs one
// interval. More than a whole bucket waits for a full one and leaves a debt.
func (b *bucket) after(n float64, interval, burst time.Duration) time.Time {
	need := min(time.Duration(n*float64(interval)), burst)
	return b.paid.Add(need - burst)
}

func (b *bucket) take(now time.Time, n float64, interval time.Duration) {
	if b.paid.Before(now) {
		b.paid = now
	}
	b.paid = b.paid.Add(time.Duration(n * float64(interval)))
}

// interval is what one of perMinute costs, and burst how far ahead it may be paid.
func interval(perMinute int) (one, burst time.Duration) {
	one = time.Minute / time.Duration(perMinute)
	return one, max(one, burstWindow)
}

// Admit implements [Limiter]. It takes all or nothing.
func (l *LocalLimiter) Admit(_ context.Context, deployment string, limits Limits, tokens int) (Permit, error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.meter(deployment)
	if limits.MaxParallel > 0 && m.inFlight >= limits.MaxParallel {
		return nil, &BusyError{Deployment: deployment}
	}
	var ready time.Time
	if limits.RPM > 0 {
		one, burst := interval(limits.RPM)
		ready = m.requests.after(1, one, burst)
	}
	if limits.TPM > 0 {
		one, burst := interval(limits.TPM)
		if at := m.tokens.after(float64(tokens), one, burst); at.After(ready) {
			ready = at
		}
	}
	if ready.After(now) {
		return nil, &BusyError{Deployment: deployment, ReadyAt: ready}
	}
	return l.take(m, now, limits, tokens), nil
}

// Adopt takes a place whether or not there is one: for a call that is already
// running somewhere, when a coordinator begins anew.
func (l *LocalLimiter) Adopt(deployment string, limits Limits, tokens int) Permit {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take(l.meter(deployment), now, limits, tokens)
}

// InFlight returns how many permits of a deployment are not done.
func (l *LocalLimiter) InFlight(deployment string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.meter(deployment).inFlight
}

func (l *LocalLimiter) take(m *meter, now time.Time, limits Limits, tokens int) *permit {
	m.inFlight++
	if limits.RPM > 0 {
		one, _ := interval(limits.RPM)
		m.requests.take(now, 1, one)
	}
	if limits.TPM > 0 {
		one, _ := interval(limits.TPM)
		m.tokens.take(now, float64(tokens), one)
	}
	return &permit{limiter: l, meter: m, limits: limits, reserved: tokens}
}

func (l *LocalLimiter) meter(deployment string) *meter {
	m := l.meters[deployment]
	if m == nil {
		m = &meter{}
		l.meters[deployment] = m
	}
	return m
}

func (l *LocalLimiter) now() time.Time {
	if l.Clock != nil {
		return l.Clock()
	}
	return time.Now()
}

// permit is one call's place in a [LocalLimiter].
type permit struct {
	limiter  *LocalLimiter
	meter    *meter
	limits   Limits
	reserved int
	done     bool
}

// Done implements [Permit]. A second call does nothing.
func (p *permit) Done(tokens int, sent bool) {
	now := p.limiter.now()
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	if p.done {
		return
	}
	p.done = true
	p.meter.inFlight--
	if !sent {
		tokens = 0
		if p.limits.RPM > 0 {
			one, _ := interval(p.limits.RPM)
			p.meter.requests.paid = p.meter.requests.paid.Add(-one)
		}
	}
	if p.limits.TPM > 0 && tokens != p.reserved {
		one, _ := interval(p.limits.TPM)
		p.meter.tokens.take(now, float64(tokens-p.reserved), one)
	}
}
