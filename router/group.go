package router

import (
	"fmt"
	"slices"
	"strings"
)

// group is the deployments that share one model name.
type group struct {
	name           string
	prefix, suffix string // around the "*" of a wildcard name
	wildcard       bool
	members        []*deployment
	tagged         bool // a member has tags
}

// groups finds the group for a requested model. An exact name beats a
// wildcard; of wildcards the one with more text around its "*" wins, then the
// one that came first.
type groups struct {
	exact     map[string]*group
	wildcards []*group
	names     []string // in the order of the configuration
}

// add puts d into its group.
func (g *groups) add(d *deployment) {
	found := g.of(d)
	found.members = append(found.members, d)
	found.tagged = found.tagged || len(d.Tags) > 0
}

// of returns the group of d, which is made where there is none.
func (g *groups) of(d *deployment) *group {
	for _, w := range g.wildcards {
		if w.name == d.Group {
			return w
		}
	}
	if found := g.exact[d.Group]; found != nil {
		return found
	}
	made := &group{name: d.Group}
	made.prefix, made.suffix, made.wildcard = strings.Cut(d.Group, "*")
	g.names = append(g.names, d.Group)
	if !made.wildcard {
		g.exact[d.Group] = made
		return made
	}
	g.wildcards = append(g.wildcards, made)
	slices.SortStableFunc(g.wildcards, func(a, b *group) int { return len(b.name) - len(a.name) })
	return made
}

// match returns the group for a model and what its "*" stands for; nil when
// there is none.
func (g *groups) match(model string) (*group, string) {
	if found := g.exact[model]; found != nil {
		return found, ""
	}
	for _, w := range g.wildcards {
		if len(model) > len(w.prefix)+len(w.suffix) &&
			strings.HasPrefix(model, w.prefix) && strings.HasSuffix(model, w.suffix) {
			return w, model[len(w.prefix) : len(model)-len(w.suffix)]
		}
	}
	return nil, ""
}

// maxListed bounds how many group names an error lists.
const maxListed = 20

// unknown says that no group serves model, and which there are.
func (g *groups) unknown(model string) string {
	listed := g.names
	more := ""
	if len(listed) > maxListed {
		more = fmt.Sprintf(" and %d more", len(listed)-maxListed)
		listed = listed[:maxListed]
	}
	return fmt.Sprintf("no model group %q; configured: %s%s", model, strings.Join(listed, ", "), more)
}

// Matcher returns what reports whether a model's name has a group in c as it is
// now. It follows no alias.
func (c *Config) Matcher() func(model string) bool {
	known := groups{exact: map[string]*group{}}
	for _, d := range c.Deployments {
		known.of(&deployment{Deployment: d})
	}
	return func(model string) bool {
		found, _ := known.match(model)
		return found != nil
	}
}
