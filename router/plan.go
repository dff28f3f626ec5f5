package router

import (
	"bytes"
	"encoding/json"
	"slices"

	"pelton/router/internal/keywords"
	"pelton/schema"
)

// stage is a group in the plan of a request: the group asked for, or a fallback.
type stage struct {
	group    *group
	wildcard string        // what the "*" of the group's name stands for
	pool     []*deployment // its members that fit the request's tags, and serve its endpoint
	used     int           // attempts that count
	closed   bool          // nothing further is tried here

	fields json.RawMessage // what the body says otherwise there; nil: nothing

	unserved bool // members fit the tags, and none serves the endpoint
}

// plan is where a request may go, in order: the group asked for, then fallbacks.
type plan struct {
	router         *Router
	model          string // as requested
	endpoint       schema.Endpoint
	tags           []string
	asked          *keywords.Keywords
	stages         []stage
	fallbacksAdded bool     // the general fallbacks are in it
	first          [2]stage // of stages, as a rule
}

// add puts a model's group at the end of the plan, unless it is there already
// or does not exist. A group whose deployments take many models is there once for
// each. fields replace members of the body there.
func (p *plan) add(model string, fields json.RawMessage) {
	found, wildcard := p.router.groups.match(p.router.alias(model))
	if found == nil || slices.ContainsFunc(p.stages, func(s stage) bool {
		return s.group == found && (s.wildcard == wildcard || !found.many()) && bytes.Equal(s.fields, fields)
	}) {
		return
	}
	tagged := p.tagged(found)
	pool := p.serving(tagged)
	p.stages = append(p.stages, stage{group: found, wildcard: wildcard, pool: pool, fields: fields, unserved: len(pool) == 0 && len(tagged) > 0})
}

// serving returns those of the deployments that serve the request's endpoint.
func (p *plan) serving(all []*deployment) []*deployment {
	serves := func(d *deployment) bool { return d.serves(p.endpoint) }
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

// addFallbacks adds the general fallbacks, once: those of the first group, each
// followed by its own. What was a tree of calls is a list here.
func (p *plan) addFallbacks() {
	if p.fallbacksAdded {
		return
	}
	p.fallbacksAdded = true
	if p.asked.Fallbacks != nil {
		for _, f := range p.asked.Fallbacks.Of(p.names(0)...) {
			p.add(f.Model, f.Fields)
		}
		return
	}
	first := p.model // by the name that was asked for, alias or one of a wildcard
	if len(p.stages) > 0 && p.router.fallbacks[p.model] == nil {
		first = p.stages[0].group.name
	}
	p.follow(first, 0)
}

// maxFollow bounds how far fallbacks of fallbacks are followed.
const maxFollow = 5

func (p *plan) follow(name string, depth int) {
	if depth >= maxFollow {
		return
	}
	for _, model := range p.router.fallbacksOf(name) {
		n, to := len(p.stages), p.router.variant(model)
		if p.add(to.Model, to.Fields); len(p.stages) > n {
			p.follow(to.Model, depth+1)
		}
	}
}

// names are those by which a stage's group has been asked for.
func (p *plan) names(at int) []string {
	if at >= len(p.stages) {
		return []string{p.model}
	}
	return []string{p.stages[at].group.name, p.model}
}

// variant is what the name of a fallback stands for.
func (r *Router) variant(name string) keywords.Fallback {
	if v, ok := r.variants[name]; ok {
		return v
	}
	return keywords.Fallback{Model: name}
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
func (p *plan) divert(from int, lists map[string][]string, asked *keywords.Fallbacks) bool {
	n := len(p.stages)
	if asked != nil {
		for _, f := range asked.Of(p.names(from)...) {
			p.add(f.Model, f.Fields)
		}
	} else {
		name := p.stages[from].group.name
		list, ok := lists[name]
		if !ok && p.model != name {
			list, ok = lists[p.model]
		}
		if !ok {
			list = lists["*"]
		}
		for _, model := range list {
			to := p.router.variant(model)
			p.add(to.Model, to.Fields)
		}
	}
	if len(p.stages) == n {
		return false
	}
	for i := range p.stages[:n] {
		p.stages[i].closed = true
	}
	p.fallbacksAdded = true
	return true
}

// leave goes on to the general fallbacks of a group that refuses the request for
// what it is. Those that lead to d again, by another name, would say the same. It
// reports whether there are any.
func (p *plan) leave(from int, d *deployment) bool {
	p.stages[from].closed = true
	p.addFallbacks()
	for i := range p.stages {
		other := d.many() && p.stages[i].wildcard != p.stages[from].wildcard
		if !other && !slices.ContainsFunc(p.stages[i].pool, func(o *deployment) bool { return !o.sameAs(d) }) {
			p.stages[i].closed = true
		}
	}
	return p.hasOpen(0)
}

// hasStage reports whether there is a stage i, fallbacks included.
func (p *plan) hasStage(i int) bool {
	if i >= len(p.stages) {
		p.addFallbacks()
	}
	return i < len(p.stages)
}

// stageOf returns the first stage in which d is asked for a model; -1: none.
func (p *plan) stageOf(d *deployment, model string) int {
	return slices.IndexFunc(p.stages, func(s stage) bool {
		return slices.Contains(s.pool, d) && (!d.many() || d.modelFor(s.wildcard) == model)
	})
}

// hasOpen reports whether there is a stage from i on where anything is tried.
func (p *plan) hasOpen(from int) bool {
	return slices.ContainsFunc(p.stages[from:], func(s stage) bool { return !s.closed })
}

// defaultTag marks deployments for requests whose tags no other has, or that
// have none.
const defaultTag = "default"

// tagged returns the members of a group that the request's tags leave: those
// with any of its tags, or all of them where that is wanted, else those for
// everybody; without tags those for everybody, or all where there are none.
func (p *plan) tagged(g *group) []*deployment {
	if p.router.ignoreTags || !g.tagged && len(p.tags) == 0 {
		return g.members
	}
	var fit, standard []*deployment
	for _, d := range g.members {
		if p.fits(d) {
			fit = append(fit, d)
		}
		if slices.Contains(d.Tags, defaultTag) {
			standard = append(standard, d)
		}
	}
	switch {
	case len(fit) > 0:
		return fit
	case len(standard) > 0:
		return standard
	case len(p.tags) == 0:
		return g.members
	}
	return nil
}

// fits reports whether d has the tags of the request that it needs.
func (p *plan) fits(d *deployment) bool {
	if p.router.matchAllTags {
		return len(p.tags) > 0 && !slices.ContainsFunc(p.tags, func(tag string) bool { return !slices.Contains(d.Tags, tag) })
	}
	return slices.ContainsFunc(d.Tags, func(tag string) bool { return slices.Contains(p.tags, tag) })
}
