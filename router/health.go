package router

import (
	"container/list"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"pelton/schema"
)

// health is how a deployment does in this process.
type health struct {
	inFlight atomic.Int64
	reserved atomic.Int64 // tokens that the calls in flight are estimated to use

	mu       sync.Mutex
	breaker  breaker
	outages  map[string]*outage // by scope
	line     list.List          // of *waiter
	adapt    adaptive
	latency  mean // of answers, in seconds
	perToken mean // of the same per token of output
	errors   mean // share of failures
	used     perMinute
	calls    perMinute
	busy     time.Time // the limiter has no place before this
	told     time.Time // the longest cooldown that the sink was told of
}

// mean is an exponentially weighted one: each value weighs a tenth.
type mean struct {
	value float64
	last  time.Time // zero: nothing was seen
}

// stale is how long a mean says something about now.
const stale = 5 * time.Minute

func (m *mean) add(now time.Time, value float64) {
	if m.last.IsZero() || now.Sub(m.last) > stale {
		m.value = value
	} else {
		m.value += (value - m.value) / 10
	}
	m.last = now
}

// perMinute counts what happened in the last minute: what is left of the minute
// before counts in proportion.
type perMinute struct {
	start        time.Time
	this, before int64
}

func (p *perMinute) add(now time.Time, n int64) {
	p.turn(now)
	p.this += n
}

func (p *perMinute) turn(now time.Time) {
	switch age := now.Sub(p.start); {
	case age < time.Minute:
	case age < 2*time.Minute:
		p.start, p.before, p.this = p.start.Add(time.Minute), p.this, 0
	default:
		p.start, p.before, p.this = now, 0, 0
	}
}

func (p *perMinute) count(now time.Time) int64 {
	p.turn(now)
	left := 1 - float64(now.Sub(p.start))/float64(time.Minute)
	return p.this + int64(math.Round(left*float64(p.before)))
}

// usedTokens is the tokens of the last minute and of the calls in flight.
func (d *deployment) usedTokens(now time.Time) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used.count(now) + d.reserved.Load()
}

// pace is the seconds per token of output, and whether anything recent is known.
func (d *deployment) pace(now time.Time) (float64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.perToken.value, !d.perToken.last.IsZero() && now.Sub(d.perToken.last) <= stale
}

// meanLatency is how long answers take; 0: nothing is known. The lock is held.
func (d *deployment) meanLatency() time.Duration {
	return time.Duration(d.latency.value * float64(time.Second))
}

// denial is why a deployment takes no request now.
type denial struct {
	why   reason
	ready time.Time // when to ask again; zero: when somebody calls, or nobody knows
}

type reason int

const (
	limited reason = iota + 1 // its own limits: it works, and is busy
	cooling                   // it fails, or asked to be left alone
	fatal                     // it cannot serve this
)

// place is what a call holds at its deployment.
type place struct {
	permit   Permit // nil: the deployment has no limits
	probe    bool   // it decides about the cooldown
	outage   *outage
	scope    string // of outage
	full     bool   // the adaptive limit was reached with it
	reserved int    // tokens
}

// enter takes a place for a request as far as this process can tell; the
// limiter has the last word. me is the request where it stands in line.
func (d *deployment) enter(now time.Time, star string, endpoint schema.Endpoint, me *waiter) (p place, no denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.outages) > 0 {
		var buf [3]string
		for _, scope := range d.scopes(buf[:0], star, endpoint) {
			o := d.outages[scope]
			if o == nil {
				continue
			}
			if o.probing || now.Before(o.until) {
				return p, denial{why: fatal, ready: o.until}
			}
			p.outage, p.scope = o, scope
		}
	}
	b := &d.breaker
	switch {
	case now.Before(b.until):
		return p, denial{why: cooling, ready: b.until}
	case b.halfOpen && b.probing:
		return p, denial{why: cooling}
	}
	if front := d.line.Front(); front != nil && front.Value != any(me) {
		return p, denial{why: limited}
	}
	if now.Before(d.busy) {
		return p, denial{why: limited, ready: d.busy}
	}
	if d.adapt.on {
		if int(d.inFlight.Load()) >= d.adapt.allowed() {
			return p, denial{why: limited}
		}
		p.full = int(d.inFlight.Load())+1 >= d.adapt.allowed()
	}
	if p.probe = b.halfOpen; p.probe {
		b.probing = true
	}
	if p.outage != nil {
		p.outage.probing = true
	}
	d.inFlight.Add(1)
	return p, denial{}
}

// scopes are those that a request lies in.
func (d *deployment) scopes(buf []string, star string, endpoint schema.Endpoint) []string {
	return append(buf, scopeAll, scopeOfModel(d.modelFor(star)), scopeOfEndpoint(endpoint))
}

// withdraw gives back a place that led to no call, for the limiter has none
// before busy; zero is unknown.
func (d *deployment) withdraw(p place, busy time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight.Add(-1)
	d.busy = busy
	if p.probe {
		d.breaker.probing = false
	}
	if p.outage != nil {
		p.outage.probing = false
	}
}

// left notes how a call ended, and wakes who waits.
func (d *deployment) left(now time.Time, p place, e ended) (news news) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight.Add(-1)
	if d.MaxParallel > 0 || d.TPM > 0 { // its place, or what it did not use, is free
		d.busy = time.Time{}
	}
	defer d.wakeFirst()
	if p.probe {
		d.breaker.probing = false
	}
	if p.outage != nil {
		p.outage.probing = false
	}
	d.calls.add(now, 1)
	d.used.add(now, e.tokens)
	d.adapt.ended(now, p.full, e)
	if e.aborted {
		return news // it says nothing about the deployment
	}
	k, class := anyKind, schema.Class("")
	if e.err != nil {
		k, class = kindOf(e.err), e.err.Class
	}
	if class == schema.ClassUpstreamFatal {
		return d.out(now, e)
	}
	if p.outage != nil && k == anyKind {
		delete(d.outages, p.scope)
		news.recovered = true
	}
	if e.err == nil {
		d.latency.add(now, e.took.Seconds())
		if e.output > 0 {
			d.perToken.add(now, e.took.Seconds()/float64(e.output))
		}
	}
	b := &d.breaker
	if k == anyKind { // it answers, whatever it thinks of the request
		d.errors.add(now, 0)
		b.recent.add(now, false)
		if p.probe {
			b.open()
		}
	} else {
		d.errors.add(now, 1)
	}
	if e.rest.After(now) && b.close(e.rest, false, e.why(k)) {
		news.cooldown = d.tell(now, Cooldown{Deployment: d.ID, Until: e.rest, Reason: b.reason})
	}
	// Where the limit adapts, an upstream that is full is no upstream that fails.
	full := d.adapt.on && k == kindRateLimit
	if k != anyKind && d.rules.time > 0 && (p.probe || !full && b.failed(now, e.began, k, e.err, &d.rules)) {
		if b.trip(now, d.rules.time, e.why(k)) {
			news.cooldown = d.tell(now, Cooldown{Deployment: d.ID, Until: b.until, Reason: b.reason})
		}
	}
	return news
}

// news is what others should hear of the end of a call.
type news struct {
	cooldown  *Cooldown
	lost      bool // it serves no more, or not this
	recovered bool // it serves again
}

// ended is how a call ended, as far as its deployment's health is concerned.
type ended struct {
	err     *schema.Error // nil: success
	aborted bool          // by us
	scope   string        // of an upstream_fatal
	rest    time.Time     // the upstream's word on when to come back
	began   time.Time
	took    time.Duration
	tokens  int64 // used
	output  int64
}

func (e ended) why(k kind) string {
	if k == anyKind {
		return "the upstream said that nothing is left"
	}
	return e.err.Error()
}

// out takes the deployment out for what cannot be served. The lock is held.
func (d *deployment) out(now time.Time, e ended) (news news) {
	o := d.outages[e.scope]
	if news.lost = o == nil; news.lost {
		if d.outages == nil {
			d.outages = map[string]*outage{}
		}
		if len(d.outages) >= maxOutages {
			clear(d.outages) // each costs one call to learn again
		}
		o = &outage{}
		d.outages[e.scope] = o
	}
	until := now.Add(d.rules.fatal)
	if e.rest.After(until) {
		until = e.rest
	}
	o.until, o.reason = until, e.err.Error()
	if e.scope == scopeAll { // of the rest others learn with one call each
		news.cooldown = &Cooldown{Deployment: d.ID, Until: until, Fatal: true, Reason: o.reason}
	}
	return news
}

// worthTelling is the shortest cooldown that other processes hear of, and the
// least by which a longer one must differ.
const worthTelling = 500 * time.Millisecond

// tell returns c if others should hear of it. The lock is held.
func (d *deployment) tell(now time.Time, c Cooldown) *Cooldown {
	if c.Until.Sub(now) < worthTelling || c.Until.Sub(d.told) < worthTelling {
		return nil
	}
	d.told = c.Until
	return &c
}
