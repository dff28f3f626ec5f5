package router

import (
	"net/http"
	"time"

	"pelton/router/internal/adaptive"
	"pelton/router/protocol"
	"pelton/schema"
)

// callEnd is how a call ended, as far as its deployment's health is concerned.
type callEnd struct {
	err     *schema.Error // nil: success
	aborted bool          // by us
	model   string        // what its "*" stood for
	scope   string        // of an upstream_fatal
	rest    time.Time     // the upstream's word on when to come back
	began   time.Time
	took    time.Duration
	tokens  int64 // used
	output  int64
}

func (e callEnd) why(k kind) string {
	if k == anyKind {
		return "the upstream said that nothing is left"
	}
	return e.err.Error()
}

// teach tells the limit of calls at once how a call ended.
func (e callEnd) teach(limit *adaptive.Limit, now time.Time) {
	switch {
	case e.aborted:
	case e.err == nil:
		limit.Answered(e.began)
	case e.loss():
		limit.Lost(now, e.began, e.err)
	}
}

// loss reports whether a failure says that there were too many calls.
func (e callEnd) loss() bool {
	switch e.err.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
		return e.err.Class != schema.ClassUpstreamFatal
	}
	return e.err.Class == schema.ClassTransient && e.err.Code == schema.CodeTimeout
}

// markOutage takes the deployment out for what cannot be served. The lock is held.
func (d *deployment) markOutage(now time.Time, e callEnd) (change transition) {
	if d.firstMissing(now, e) {
		return change
	}
	o := d.outages[e.scope]
	if change.lost = o == nil; change.lost {
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
		change.cooldown = &Cooldown{Deployment: d.ID, Until: until, Fatal: true, Reason: o.reason}
	}
	return change
}

// minAnnounced is the shortest cooldown that other processes hear of, and the
// least by which a longer one must differ.
const minAnnounced = 500 * time.Millisecond

// announce returns c if others should hear of it. The lock is held.
func (b *breaker) announce(now time.Time, c Cooldown) *Cooldown {
	if c.Until.Sub(now) < minAnnounced || c.Until.Sub(b.announced) < minAnnounced {
		return nil
	}
	b.announced = c.Until
	return &c
}

// scopeOf names what an error of d takes out. A key or a quota is that of one model
// where it is a gateway's for it, or where another has just been served.
func (d *deployment) scopeOf(v judgement, endpoint schema.Endpoint, wildcard string) string {
	switch {
	case v.scope == protocol.OneEndpoint:
		return scopeOfEndpoint(endpoint)
	case !d.many():
	case v.scope == protocol.OneModel, v.scope == protocol.WholeAccount && (v.relay || d.servesOther(time.Now(), wildcard)):
		return scopeOfModel(d.modelFor(wildcard))
	}
	return scopeAll
}
