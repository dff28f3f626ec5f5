package router

import (
	"slices"
	"time"

	"pelton/schema"
)

// stage is a group in the plan of a request: the group asked for, or a fallback.
type stage struct {
	group  *group
	star   string
	pool   []*deployment // its members that fit the request's tags, and serve its endpoint
	used   int           // attempts that count
	closed bool          // nothing further is tried here

	unserved bool // members fit the tags, and none serves the endpoint
}

// add puts a model's group at the end of the plan, unless it is there already
// or does not exist.
func (r *run) add(model string) {
	found, star := r.groups.match(r.alias(model))
	if found == nil || slices.ContainsFunc(r.plan, func(s stage) bool { return s.group == found }) {
		return
	}
	tagged := r.tagged(found)
	pool := r.serving(tagged)
	r.plan = append(r.plan, stage{group: found, star: star, pool: pool, unserved: len(pool) == 0 && len(tagged) > 0})
}

// serving returns those of the deployments that serve the request's endpoint.
func (r *run) serving(all []*deployment) []*deployment {
	serves := func(d *deployment) bool { return d.serves(r.req.Endpoint) }
	if !slices.ContainsFunc(all, func(d *deployment) bool { return !serves(d) }) {
		return all
	}
	var fit []*deployment
	for _, d := range all {
		if serves(d) {
			fit = append(fit, d)
		}
	}
	return fit
}

// fallBack adds the general fallbacks, once: those of the first group, each
// followed by its own. What was a tree of calls is a list here.
func (r *run) fallBack() {
	if r.fellBack {
		return
	}
	r.fellBack = true
	first := r.plan[0].group.name
	if r.model != first && r.fallbacks[r.model] != nil {
		first = r.model // by the name that was asked for, alias or one of a wildcard
	}
	r.follow(first, 0)
}

// maxFollow bounds how far fallbacks of fallbacks are followed.
const maxFollow = 5

func (r *run) follow(name string, depth int) {
	if depth >= maxFollow {
		return
	}
	for _, model := range r.fallbacksOf(name) {
		n := len(r.plan)
		if r.add(model); len(r.plan) > n {
			r.follow(model, depth+1)
		}
	}
}

func (r *Router) fallbacksOf(name string) []string {
	if list, ok := r.fallbacks[name]; ok {
		return list
	}
	if list, ok := r.fallbacks["*"]; ok {
		return list
	}
	return r.defaultFallbacks
}

// divert leaves the plan so far for the groups that are meant for such a
// failure. It reports whether there are any.
func (r *run) divert(from int, lists map[string][]string) bool {
	name := r.plan[from].group.name
	list, ok := lists[name]
	if !ok && r.model != name {
		list, ok = lists[r.model]
	}
	if !ok {
		list = lists["*"]
	}
	n := len(r.plan)
	for _, model := range list {
		r.add(model)
	}
	if len(r.plan) == n {
		return false
	}
	for i := range r.plan[:n] {
		r.plan[i].closed = true
	}
	r.fellBack = true
	return true
}

// retries returns how often a request is tried again in a group whose last
// failure there was e at d.
func (r *Router) retries(g *group, d *deployment, e *schema.Error) int {
	if policy, ok := r.groupPolicy[g.name]; ok {
		if n := policy.of(e); n != nil {
			return *n
		}
	}
	if n := r.policy.of(e); n != nil {
		return *n
	}
	if d.NumRetries != nil {
		return *d.NumRetries
	}
	return r.numRetries
}

// maxPaced bounds how many answers of a request that said when to come back,
// and so cost no retry, there may be.
const maxPaced = 20

// failedOn notes a failure in a stage at d and what it says about trying again.
// It reports whether there is anything left to try.
func (r *run) failedOn(at int, d *deployment, v judgement) bool {
	e, s := v.err, &r.plan[at]
	retries := r.retries(s.group, d, e)
	switch e.Class {
	case schema.ClassTransient, schema.ClassUpstreamFatal:
	case schema.ClassRateLimited:
		if v.after > 0 || d.adapt.on {
			if r.paced++; r.paced > maxPaced {
				return false
			}
			s.used-- // waiting is not an attempt
		}
	case schema.ClassContextWindow:
		return r.divert(at, r.contextFallbacks)
	case schema.ClassContentPolicy:
		if !r.insists(s, e) {
			return r.divert(at, r.contentFallbacks)
		}
		v.retry = true
	default:
		if e.Class != schema.ClassRequestFatal || !r.insists(s, e) {
			return false
		}
		v.retry = true
	}
	if s.used++; s.used > retries {
		s.closed = true
		if e.Class == schema.ClassContentPolicy {
			return r.divert(at, r.contentFallbacks)
		}
	}
	r.mark(d, v)
	if r.maxAttempts > 0 && len(r.out.Attempts) >= r.maxAttempts {
		return false
	}
	if s.closed && e.Class != schema.ClassRequestFatal {
		r.fallBack()
	}
	return slices.ContainsFunc(r.plan, func(s stage) bool { return !s.closed })
}

// insists reports whether the configuration wants more tries where nothing
// speaks for them.
func (r *run) insists(s *stage, e *schema.Error) bool {
	n := r.policy.of(e)
	if policy, ok := r.groupPolicy[s.group.name]; ok && policy.of(e) != nil {
		n = policy.of(e)
	}
	return n != nil && *n > 0
}

// replay notes the attempts that were made before the request was parked, as if
// they had been made now.
func (r *run) replay(earlier []schema.Attempt) {
	for _, a := range earlier {
		r.out.Attempts = append(r.out.Attempts, a)
		if a.Usage != nil {
			r.addUsage(a.Usage)
		}
		r.addCost(a)
		d := r.byID[a.Deployment]
		if d == nil || a.Error == nil { // of a configuration that is no more
			continue
		}
		stage := r.stageOf(d)
		if stage < 0 {
			r.fallBack()
			if stage = r.stageOf(d); stage < 0 {
				continue
			}
		}
		v := judgement{err: a.Error, retry: a.Error.Class != schema.ClassUpstreamFatal}
		if a.Error.Class == schema.ClassRateLimited {
			v.after = 1 // it would hardly have been parked without a time
		}
		r.spent = !r.failedOn(stage, d, v)
		r.last = a.Error
	}
	for i := range r.tried {
		r.tried[i].ready = time.Time{} // the pauses are over
	}
}

func (r *run) stageOf(d *deployment) int {
	return slices.IndexFunc(r.plan, func(s stage) bool { return slices.Contains(s.pool, d) })
}
