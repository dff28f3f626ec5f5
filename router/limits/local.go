package limits

import (
	"context"
	"sync"
	"time"

	"pelton/internal/gcra"
)

// Local is a [Limiter] for one process. It does nothing by itself, and all
// its calls return at once. What it knows of a deployment is a few numbers, kept
// under the deployment's name. Make it with [NewLocal]; it is safe for
// concurrent use.
type Local struct {
	// Clock tells the time. nil: [time.Now]. Set it before the first use.
	Clock func() time.Time

	mu     sync.Mutex
	meters map[string]*meter
}

// NewLocal returns a limiter that has admitted nothing yet.
func NewLocal() *Local { return &Local{meters: map[string]*meter{}} }

// meter is what a deployment has been asked for.
type meter struct {
	inFlight         int
	requests, tokens gcra.Bucket
	minute           *gcra.Window // of the requests, where they may come at once
}

// maxAtOnce is the largest number per minute that may come at once: so small ones are
// counted over a minute, larger ones over seconds, and are spread.
const maxAtOnce = 120

// ready returns when one more request of perMinute may come.
func (m *meter) ready(now time.Time, perMinute int) time.Time {
	if perMinute > maxAtOnce {
		return m.requests.Ready(now, 0, 1, perMinute)
	}
	if m.minute == nil {
		m.minute = &gcra.Window{}
	}
	return m.minute.Ready(now, perMinute)
}

func (m *meter) take(now time.Time, perMinute int) {
	if perMinute > maxAtOnce {
		m.requests.Take(now, 1, perMinute)
	} else {
		m.minute.Take(now)
	}
}

func (m *meter) give(perMinute int) {
	if perMinute > maxAtOnce {
		m.requests.Give(1, perMinute)
	} else {
		m.minute.Give()
	}
}

// Admit implements [Limiter]. It takes all or nothing.
func (l *Local) Admit(_ context.Context, deployment string, limits Limits, tokens int) (Permit, error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.meter(deployment)
	if limits.MaxParallel > 0 && m.inFlight >= limits.MaxParallel {
		return nil, &BusyError{Deployment: deployment}
	}
	var ready time.Time
	if limits.RPM > 0 {
		ready = m.ready(now, limits.RPM)
	}
	if limits.TPM > 0 {
		if at := m.tokens.Ready(now, 0, float64(tokens), limits.TPM); at.After(ready) {
			ready = at
		}
	}
	if ready.After(now) {
		return nil, &BusyError{Deployment: deployment, ReadyAt: ready}
	}
	return l.take(m, now, limits, tokens), nil
}

func (l *Local) take(m *meter, now time.Time, limits Limits, tokens int) *permit {
	m.inFlight++
	if limits.RPM > 0 {
		m.take(now, limits.RPM)
	}
	if limits.TPM > 0 {
		m.tokens.Take(now, float64(tokens), limits.TPM)
	}
	return &permit{limiter: l, meter: m, limits: limits, reserved: tokens}
}

func (l *Local) meter(deployment string) *meter {
	m := l.meters[deployment]
	if m == nil {
		m = &meter{}
		l.meters[deployment] = m
	}
	return m
}

// InFlight returns how many permits of a deployment are not done.
func (l *Local) InFlight(deployment string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.meter(deployment).inFlight
}

func (l *Local) now() time.Time {
	if l.Clock != nil {
		return l.Clock()
	}
	return time.Now()
}

// permit is one call's place in a [Local].
type permit struct {
	limiter  *Local
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
			p.meter.give(p.limits.RPM)
		}
	}
	if p.limits.TPM > 0 && tokens != p.reserved {
		p.meter.tokens.Take(now, float64(tokens-p.reserved), p.limits.TPM)
	}
}
