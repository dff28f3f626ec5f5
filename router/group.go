package router

import (
	"fmt"
	"slices"
	"strings"

	"pelton/router/internal/tally"
	"pelton/router/internal/wildcard"
)

// group is the deployments that share one model name.
type group struct {
	name     string
	pattern  wildcard.Name // of its name
	members  []*deployment
	tagged   bool   // a member has tags
	unserved string // why it has no members

	calls tally.CallTimes // of its calls that were answered
}

// many reports whether a member takes many models.
func (g *group) many() bool { return slices.ContainsFunc(g.members, (*deployment).many) }

// groups finds the group for a requested model. An exact name beats the id of a
// deployment, which beats a wildcard; of wildcards the one with the longer name
// wins, then the one that came first.
type groups struct {
	exact     map[string]*group
	ids       map[string]*group // of single deployments, by the ids that they were given
	wildcards []*group
	names     []string // in the order of the configuration
}

// add puts d into its group.
func (g *groups) add(d *deployment) {
	found := g.of(d.Group)
	found.members = append(found.members, d)
	found.tagged = found.tagged || len(d.Tags) > 0
}

// addID lets requests ask for d alone, by its id.
func (g *groups) addID(d *deployment) {
	if d.ID != "" && !strings.Contains(d.Model, "*") {
		g.ids[d.ID] = &group{name: d.ID, members: []*deployment{d}}
	}
}

// of returns the group of a name, which is made where there is none.
func (g *groups) of(name string) *group {
	for _, w := range g.wildcards {
		if w.name == name {
			return w
		}
	}
	if found := g.exact[name]; found != nil {
		return found
	}
	made := &group{name: name, pattern: wildcard.New(name)}
	g.names = append(g.names, name)
	if made.pattern.Exact() {
		g.exact[name] = made
		return made
	}
	g.wildcards = append(g.wildcards, made)
	slices.SortStableFunc(g.wildcards, func(a, b *group) int { return len(b.name) - len(a.name) })
	return made
}

// addUnserved notes a group that nobody can serve, and why.
func (g *groups) addUnserved(name, why string) {
	names := g.names
	if found := g.of(name); len(found.members) == 0 {
		found.unserved = why
	}
	g.names = names
}

// match returns the group for a model and what its "*" stands for; nil when
// there is none.
func (g *groups) match(model string) (*group, string) {
	if found := g.exact[model]; found != nil {
		return found, ""
	}
	if found := g.ids[model]; found != nil {
		return found, ""
	}
	for _, w := range g.wildcards {
		if text, ok := w.pattern.Match(model); ok {
			return w, text
		}
	}
	return nil, ""
}

func newGroups() groups { return groups{exact: map[string]*group{}, ids: map[string]*group{}} }

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
	known := newGroups()
	for _, d := range c.Deployments {
		known.of(d.Group)
		known.addID(&deployment{Deployment: d})
	}
	for name := range c.Unserved {
		known.of(name)
	}
	return func(model string) bool {
		found, _ := known.match(model)
		return found != nil
	}
}
