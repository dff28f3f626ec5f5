package router

import (
	"cmp"
	"strconv"
	"time"

	"pelton/schema"
)

// refusal is why a deployment takes no request now.
type refusal struct {
	why   reason
	ready time.Time   // when to ask again; zero: when somebody calls, or nobody knows
	model *modelState // the model's own trouble; nil: all that the deployment serves
}

type reason int

const (
	limited reason = iota + 1 // its own limits: it works, and is busy
	cooling                   // it fails, or asked to be left alone
	fatal                     // it cannot serve this
)

// slot is what a call holds at its deployment.
type slot struct {
	permit   Permit // nil: the deployment has no limits
	probe    bool   // it decides about the cooldown
	model    *modelState
	probes   bool // it decides about that of the model
	outage   *outage
	scope    string // of outage
	reserved int    // tokens
}

// acquire takes a slot for a request as far as this process can tell; the limiter
// has the last word. me is the request where it stands in line. One that avoids
// probes leaves it to others to find out whether d is back, for a while.
func (d *deployment) acquire(now time.Time, wildcard string, endpoint schema.Endpoint, me *waiter, avoidsProbe bool) (p slot, no refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.outages) > 0 {
		var buf [3]string
		for _, scope := range d.scopes(buf[:0], wildcard, endpoint) {
			o := d.outages[scope]
			if o == nil {
				continue
			}
			if o.probing || now.Before(o.until) {
				return p, refusal{why: fatal, ready: o.until}
			}
			p.outage, p.scope = o, scope
		}
	}
	avoid := d.rules.time
	if !avoidsProbe {
		avoid = 0
	}
	if no = d.breaker.refuses(now, avoid); no.why != 0 {
		return p, no
	}
	if p.model = d.modelOf(wildcard); p.model != nil {
		if no = p.model.refuses(now, avoid, me); no.why != 0 {
			return p, no
		}
	}
	if front := d.waitQueue.Front(); front != nil && front.Value != any(me) {
		return p, refusal{why: limited}
	}
	if now.Before(d.busy) {
		return p, refusal{why: limited, ready: d.busy}
	}
	if d.adapt.On() && int(d.inFlight.Load()) >= d.adapt.Allowed() {
		return p, refusal{why: limited}
	}
	p.probe = d.breaker.begin(now)
	p.probes = p.model != nil && p.model.breaker.begin(now)
	if p.outage != nil {
		p.outage.probing = true
	}
	d.adapt.Began(now, int(d.inFlight.Add(1)))
	return p, refusal{}
}

// scopes are those that a request lies in.
func (d *deployment) scopes(buf []string, wildcard string, endpoint schema.Endpoint) []string {
	return append(buf, scopeAll, scopeOfModel(d.modelFor(wildcard)), scopeOfEndpoint(endpoint))
}

// cancel gives back a slot that led to no call, for the limiter has none before
// busy; zero is unknown.
func (d *deployment) cancel(p slot, busy time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight.Add(-1)
	d.busy = busy
	d.endProbe(p)
}

// endProbe notes that the call of a slot decides nothing any more.
func (d *deployment) endProbe(p slot) {
	if p.probe {
		d.breaker.probing = false
	}
	if p.probes {
		p.model.breaker.probing = false
	}
	if p.outage != nil {
		p.outage.probing = false
	}
}

// release notes how a call ended, and wakes the next that waits.
func (d *deployment) release(now time.Time, p slot, e callEnd) (change transition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight.Add(-1)
	if d.MaxParallel > 0 || d.TPM > 0 { // its place, or what it did not use, is free
		d.busy = time.Time{}
	}
	defer line{d, p.model}.wakeNext()
	d.endProbe(p)
	d.calls.Add(now, 1)
	d.used.Add(now, e.tokens)
	e.teach(&d.adapt, now)
	if e.aborted {
		return change // it says nothing about the deployment
	}
	k, class := anyKind, schema.Class("")
	if e.err != nil {
		k, class = kindOf(e.err), e.err.Class
	}
	if class == schema.ClassUpstreamFatal {
		return d.markOutage(now, e)
	}
	if p.outage != nil && k == anyKind {
		delete(d.outages, p.scope)
		change.recovered = true
	}
	if e.err == nil {
		d.lastGood = e.model
		d.latency.Add(now, e.took.Seconds())
		if e.output > 0 {
			d.perToken.Add(now, e.took.Seconds()/float64(e.output))
		}
	}
	if k == anyKind { // it answers, whatever it thinks of the request
		d.errors.Add(now, 0)
	} else {
		d.errors.Add(now, 1)
	}
	change.cooldown = d.judge(now, p, e, k)
	change.loud, d.loud = d.loud, false
	return change
}

// judge tells the breakers how a call ended: that of the deployment, and that of
// the model where it takes many. What came of the way to the server is the
// deployment's, what the server said the model's. The lock is held.
func (d *deployment) judge(now time.Time, p slot, e callEnd, k kind) *Cooldown {
	b, probe, name := &d.breaker, p.probe, ""
	if m := p.model; m != nil {
		if k != anyKind && unanswered(e.err) {
			return d.count(now, b, probe, e, k, name)
		}
		b.well(now, probe)
		b, probe, name = &m.breaker, p.probes, e.model
	}
	return d.count(now, b, probe, e, k, name)
}

// count is judge for one breaker.
func (d *deployment) count(now time.Time, b *breaker, probe bool, e callEnd, k kind, model string) (told *Cooldown) {
	if k == anyKind {
		b.well(now, probe)
	}
	if e.rest.After(now) && b.block(e.rest, false, e.why(k)) {
		told = b.announce(now, Cooldown{Deployment: d.ID, Model: model, Until: e.rest, Reason: b.reason})
	}
	// Where the limit adapts, an upstream that is full is no upstream that fails.
	full := d.adapt.On() && k == kindRateLimit
	if k != anyKind && d.rules.time > 0 && (probe || !full && b.failed(now, e.began, k, e.err, d.meanLatency(), &d.rules)) {
		if b.trip(now, d.rules.time, e.why(k)) {
			told = b.announce(now, Cooldown{Deployment: d.ID, Model: model, Until: b.until, Reason: b.reason})
		}
	}
	if e.err != nil && b.cause == "" && now.Before(b.until) {
		b.cause = cmp.Or(e.err.Code, string(e.err.Class))
		if e.err.StatusCode != 0 {
			b.cause = strconv.Itoa(e.err.StatusCode)
		}
	}
	if told != nil && now.Sub(b.told) >= toldEvery {
		b.told, d.loud = now, true
	}
	return told
}

// toldEvery is how often the log says of a deployment that it is left alone.
const toldEvery = time.Minute

// transition is what the end of a call changed, for others to know.
type transition struct {
	cooldown  *Cooldown
	loud      bool // the log is to say so
	lost      bool // it serves no more, or not this
	recovered bool // it serves again
}
