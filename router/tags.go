package router

import "slices"

// defaultTag marks deployments for requests whose tags no other has, or that
// have none.
const defaultTag = "default"

// tagged returns the members of a group that the request's tags leave: those
// with any of its tags, else those for everybody; without tags those for
// everybody, or all where there are none.
func (r *run) tagged(g *group) []*deployment {
	if r.ignoreTags || !g.tagged && len(r.req.Tags) == 0 {
		return g.members
	}
	var fit, standard []*deployment
	for _, d := range g.members {
		if slices.ContainsFunc(d.Tags, func(tag string) bool { return slices.Contains(r.req.Tags, tag) }) {
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
	case len(r.req.Tags) == 0:
		return g.members
	}
	return nil
}
