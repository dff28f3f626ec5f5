package router

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pending is a deployment whose id may not be known yet.
type pending struct {
	Deployment
	provider string
}

func (l *loader) modelList(cfg *Config, section entry) {
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
	taken := map[string]bool{}
	for id := range l.ids {
		taken[id] = true
	}
	for _, p := range found {
		if p.ID == "" {
			p.ID = idFor(p.Deployment, p.provider, taken)
			taken[p.ID] = true
		}
		cfg.Deployments = append(cfg.Deployments, p.Deployment)
	}
}

// deployment reads one entry of model_list; false means that a problem was noted.
func (l *loader) deployment(node *yaml.Node, path string) (pending, bool) {
	before := len(l.problems)
	var p pending
	var params *entry
	for _, e := range l.mapping(node, path) {
		switch e.key {
		case "model_name":
			p.Group, _ = l.text(e)
		case "litellm_params":
			params = &e
		case "model_info":
			for _, info := range l.mapping(e.value, e.path) {
				if info.key != "id" {
					l.unused(info, "")
				} else if p.ID, _ = l.text(info); p.ID != "" {
					l.id(p.ID, info)
				}
			}
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
	return p, len(l.problems) == before
}

func (l *loader) id(id string, e entry) {
	if first, taken := l.ids[id]; taken {
		l.problem(e.line, fmt.Sprintf("%s: %q is the id of the deployment in line %d too", e.path, id, first))
		return
	}
	l.ids[id] = e.line
}

// params reads litellm_params: where a deployment lies and how it is called.
func (l *loader) params(p *pending, section entry) {
	before := len(l.problems)
	var model, custom, base string
	line, baseLine := section.line, section.line
	for _, e := range l.mapping(section.value, section.path) {
		switch e.key {
		case "model":
			model, _ = l.text(e)
			line = e.line
		case "custom_llm_provider":
			custom, _ = l.text(e)
		case "api_base", "base_url":
			if base != "" {
				l.problem(e.line, e.path+": api_base and base_url are the same; keep one")
			}
			base, _ = l.text(e)
			baseLine = e.line
		case "api_key":
			p.APIKey = l.secret(e)
		case "organization":
			p.Organization, _ = l.text(e)
		case "timeout":
			p.Timeout = l.seconds(e)
		case "extra_headers":
			p.Headers = l.headers(e)
		default:
			l.unused(e, "")
		}
	}
	if len(l.problems) > before {
		return
	}
	if model == "" {
		l.problem(line, section.path+".model: missing")
		return
	}
	where, err := locate(model, custom, base != "")
	if err != nil {
		l.problem(line, fmt.Sprintf("%s.model %q: %v", section.path, model, err))
		return
	}
	p.Model, p.provider = where.model, where.provider
	if p.Group == "" { // noted already; "*" fits any model
		p.Group = "*"
	}
	if err := checkStars(p.Group, p.Model); err != nil {
		l.problem(line, fmt.Sprintf("%s.model: %v", section.path, err))
		p.Group, p.Model = "*", "*" // so that the rest is looked at too
	}
	l.address(p, base, baseLine, section)
}

// address fills in base URL and key from the file or the provider's defaults.
// A provider's key from the environment goes to the provider only, never to an
// address that the file names.
func (l *loader) address(p *pending, base string, line int, section entry) {
	before := len(l.problems)
	from := section.path + ".api_base"
	if prov, known := providers[p.provider]; known {
		own := base != ""
		if !own {
			base = prov.base
			if value, ok := l.lookup(prov.baseEnv); ok {
				base, from = value, "environment variable "+prov.baseEnv
			}
		}
		if base == "" {
			l.problem(line, fmt.Sprintf("%s.api_base: missing; %q has no address of its own", section.path, p.provider))
			return
		}
		for _, name := range prov.keyEnvs {
			if value, ok := l.lookup(name); ok && p.APIKey.Empty() && !own {
				p.APIKey = NewSecret(value)
			}
		}
		if p.APIKey.Empty() && base == prov.base && !prov.keyless {
			l.problem(section.line, fmt.Sprintf("%s: no key for %s: set api_key, or %s in the environment", section.path, p.provider, strings.Join(prov.keyEnvs, " or ")))
		}
		if _, rest, _ := strings.Cut(base, "://"); prov.ownPath != "" && !strings.Contains(strings.TrimRight(rest, "/"), "/") {
			base = strings.TrimRight(base, "/") + prov.ownPath
		}
	}
	p.BaseURL = base
	d, err := p.normalised()
	if err != nil {
		if _, _, baseErr := parseBase(base); baseErr != nil {
			l.problem(line, fmt.Sprintf("%s %v", from, baseErr))
		} else if len(l.problems) == before {
			l.problem(section.line, fmt.Sprintf("%s: %v", section.path, err))
		}
		return
	}
	p.Deployment = d
}

func (l *loader) lookup(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	value, _ := l.env(name)
	value = strings.TrimSpace(value)
	return value, value != ""
}
