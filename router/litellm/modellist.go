package litellm

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"pelton/router"
)

// pending is a deployment whose id may not be known yet.
type pending struct {
	router.Deployment
	provider string
	leftOut  string // why it is not used; empty: it is
	line     int
}

func (l *loader) modelList(cfg *router.Config, section entry) {
	list := resolve(section.value)
	if list.Kind != yaml.SequenceNode {
		l.problem(list.Line, "model_list: must be a list, one entry per deployment")
		return
	}
	if len(list.Content) == 0 {
		l.problem(list.Line, "model_list: empty; at least one deployment is needed")
	}
	var found []pending
	for i, node := range list.Content {
		if p, ok := l.deployment(node, fmt.Sprintf("model_list[%d]", i)); ok {
			found = append(found, p)
		}
	}
	l.emptyGroups(found)
	taken := map[string]bool{}
	for id := range l.ids {
		taken[id] = true
	}
	for _, p := range found {
		if p.leftOut != "" {
			continue
		}
		if p.ID == "" {
			p.ID = router.NewID(p.Deployment, p.provider, taken)
			taken[p.ID] = true
		}
		cfg.Deployments = append(cfg.Deployments, p.Deployment)
	}
}

// emptyGroups notes the groups all of whose deployments are left out.
func (l *loader) emptyGroups(found []pending) {
	usable, told := map[string]bool{}, map[string]bool{}
	for _, p := range found {
		usable[p.Group] = usable[p.Group] || p.leftOut == ""
	}
	for _, p := range found {
		if usable[p.Group] || told[p.Group] {
			continue
		}
		told[p.Group] = true
		var why []string
		for _, o := range found {
			if o.Group == p.Group {
				why = append(why, fmt.Sprintf("line %d: %s", o.line, o.leftOut))
			}
		}
		l.problem(p.line, fmt.Sprintf("the group %q has no deployment that can be used: %s", p.Group, strings.Join(why, "; ")))
	}
}

// deployment reads one entry of model_list; false means that a problem was noted.
func (l *loader) deployment(node *yaml.Node, path string) (pending, bool) {
	before := len(l.problems)
	var p pending
	var params, info *entry
	for _, e := range l.mapping(node, path) {
		switch e.key {
		case "model_name":
			p.Group, _ = l.text(e)
		case "litellm_params":
			params = &e
		case "model_info":
			info = &e
		default:
			l.unused(e, "")
		}
	}
	line := resolve(node).Line
	if p.Group == "" && len(l.problems) == before {
		l.problem(line, path+".model_name: missing; it is the name that requests ask for")
	}
	if params == nil {
		if resolve(node).Kind == yaml.MappingNode {
			l.problem(line, path+".litellm_params: missing; it says which model it is and where")
		}
		return p, false
	}
	l.params(&p, *params)
	if info != nil && p.leftOut == "" {
		l.info(&p, *info)
	}
	return p, len(l.problems) == before
}

// info reads model_info: what is known of a model.
func (l *loader) info(p *pending, section entry) {
	for _, e := range l.mapping(section.value, section.path) {
		switch {
		case e.key == "id":
			if p.ID, _ = l.text(e); p.ID != "" {
				l.id(p.ID, e)
			}
		case e.key == "mode" || l.knowledge(p, e):
		default:
			l.unused(e, "")
		}
	}
}

func (l *loader) id(id string, e entry) {
	if first, taken := l.ids[id]; taken {
		l.problem(e.line, fmt.Sprintf("%s: %q is the id of the deployment in line %d too", e.path, id, first))
		return
	}
	l.ids[id] = e.line
}

// knowledge reads what may stand in litellm_params and in model_info; false
// means that it is something else.
func (l *loader) knowledge(p *pending, e entry) bool {
	switch e.key {
	case "max_input_tokens":
		p.MaxInputTokens = l.whole(e)
	case "input_cost_per_token":
		p.Prices.Input = l.price(e)
	case "output_cost_per_token":
		p.Prices.Output = l.price(e)
	case "cache_read_input_token_cost":
		p.Prices.CacheRead = l.price(e)
	case "cache_creation_input_token_cost":
		p.Prices.CacheWrite = l.price(e)
	case "output_cost_per_reasoning_token":
		p.Prices.Reasoning = l.price(e)
	default:
		return false
	}
	return true
}
