package router

import (
	"fmt"
	"slices"
	"strings"
)

// group is the deployments that share one model name.
type group struct {
	name     string
	parts    []string // around the "*"s of a wildcard name; one: an exact name
	members  []*deployment
	tagged   bool   // a member has tags
	unserved string // why it has no members

	calls callTimes // of its calls that were answered
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
		g.ids[d.ID] = &group{name: d.ID, parts: []string{d.ID}, members: []*deployment{d}}
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
	made := &group{name: name, parts: strings.Split(name, "*")}
	g.names = append(g.names, name)
	if len(made.parts) == 1 {
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

// wildcardBreak stands between what several "*" of one name stand for.
const wildcardBreak = "\x00"

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
		if text, ok := w.stands(model); ok {
			return w, text
		}
	}
	return nil, ""
}

// stands returns what the "*"s of a wildcard's name stand for in model: at least
// a letter each, and the first ones as much as they can.
func (g *group) stands(model string) (text string, ok bool) {
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(model) <= len(first)+len(last) || !strings.HasPrefix(model, first) || !strings.HasSuffix(model, last) {
		return "", false
	}
	rest := model[len(first) : len(model)-len(last)]
	for i := len(g.parts) - 2; i > 0; i-- {
		at := strings.LastIndex(rest[:len(rest)-1], g.parts[i])
		if at < 0 || at+len(g.parts[i]) >= len(rest) {
			return "", false
		}
		text, rest = wildcardBreak+rest[at+len(g.parts[i]):]+text, rest[:at]
		if rest == "" {
			return "", false
		}
	}
	return rest + text, true
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
