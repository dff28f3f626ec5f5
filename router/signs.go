package router

import (
	"net/http"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// What one answer does not prove is remembered until another says it too.

// quota is what answers have said of a model's quota that does not come back within
// minutes.
type quota struct {
	signs int
	until time.Time // calls that began before are no further sign
}

// Signs of a used-up quota from which on it counts as gone: where nothing says when it
// comes back, and where short waits were asked for, and kept, in vain.
const (
	quotaSigns      = 2
	quotaShortSigns = 3
	quotaShort      = time.Minute
)

// noteSign makes an upstream_fatal of the model out of an answer that a quota is used
// up, where no wait within the request's time helps and it was said before. A success
// takes back what was said.
func (r *run) noteSign(d *deployment, model string, v *judgement, began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case v.err == nil && len(d.quotas)+len(d.suspects) > 0:
		delete(d.quotas, model)
		for _, scope := range [...]string{scopeAll, scopeOfModel(model), scopeOfEndpoint(r.req.Endpoint)} {
			delete(d.suspects, scope)
		}
	case v.used:
		if late := !r.now.Add(v.after).Before(r.deadline); late {
			v.after, v.rest = 0, time.Time{}
		}
		if v.after >= quotaShort {
			return
		}
		q := d.quotas[model]
		if q == nil {
			if d.quotas == nil || len(d.quotas) >= maxOutages {
				d.quotas = map[string]*quota{}
			}
			q = &quota{}
			d.quotas[model] = q
		}
		if q.signs == 0 || !began.Before(q.until) {
			q.signs, q.until = q.signs+1, r.now.Add(v.after)
		}
		if q.signs >= quotaShortSigns || v.after == 0 && q.signs >= quotaSigns {
			v.err.Class, v.scope, v.retry = schema.ClassUpstreamFatal, protocol.OneModel, false
		}
	}
}

// firstMissing reports whether a model or a path was said not to be there, and by the
// answer to one request alone: such a thing may be that request's own. The lock is held.
func (d *deployment) firstMissing(now time.Time, e callEnd) bool {
	switch e.err.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
	default:
		return false
	}
	if d.outages[e.scope] != nil {
		return false
	}
	if said, ok := d.suspects[e.scope]; ok && now.Sub(said) < max(d.rules.fatal, time.Minute) {
		delete(d.suspects, e.scope)
		return false
	}
	if d.suspects == nil || len(d.suspects) >= maxOutages {
		d.suspects = map[string]time.Time{}
	}
	d.suspects[e.scope] = now
	return true
}
