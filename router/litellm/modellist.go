package litellm

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pelton/router"
)

// pending is a deployment whose id may not be known yet.
type pending struct {
	router.Deployment
	provider string
	onAzure  bool   // whatever its protocol
	service  string // whose budget it is in: LiteLLM's name of the provider
	leftOut  string // why it is not used; empty: it is

	organizations []string // each has a deployment

	unsent string // what is said of a key that is there and not sent

	budget     spending // of its own
	unbudgeted bool     // it need not be counted
	file       string
	line       int
}

func (l *loader) modelList(cfg *router.Config, parts []section) {
	var found []pending
	count := 0
	for _, part := range parts {
		l.file = part.file
		list := resolve(part.entry.value)
		if isNull(list) {
			continue
		}
		if list.Kind != yaml.SequenceNode {
			l.problem(list.Line, "model_list: must be a list, one entry per deployment")
			return
		}
		for i, node := range list.Content {
			if p, ok := l.entry(node, fmt.Sprintf("model_list[%d]", i)); ok {
				found = append(found, p)
				for n := 1; n < len(p.organizations); n++ { // as LiteLLM does
					p.ID, p.Organization = "", p.organizations[n]
					found = append(found, p)
				}
			}
			count++
		}
	}
	if count == 0 && len(l.problems) == 0 {
		line := 1
		if len(parts) > 0 {
			line = parts[0].entry.line
		}
		l.warn(line, "model_list", "lists no model: nothing can be asked")
	}
	l.noteUnserved(cfg, found)
	taken := map[string]bool{}
	for id := range l.ids {
		taken[id] = true
	}
	for i := range found {
		p := &found[i]
		if p.leftOut != "" {
			continue
		}
		if p.ID == "" {
			p.ID = router.NewID(p.Deployment, p.provider, taken)
			taken[p.ID] = true
		}
		cfg.Deployments = append(cfg.Deployments, p.Deployment)
	}
	l.addBudgets(cfg, found)
}

// entry reads one entry of model_list. What is wrong with it costs its deployment
// alone, if it says whose group it is in; false means that it does not.
func (l *loader) entry(node *yaml.Node, path string) (pending, bool) {
	before, said := len(l.problems), len(l.warnings)
	p := deploymentReader{l}.deployment(node, path)
	p.file = l.file
	faults := slices.Clone(l.problems[before:])
	if len(faults) > 0 && p.Group != "" {
		l.problems, l.warnings = l.problems[:before], l.warnings[:said]
		if p.leftOut == "" {
			p.leftOut, p.line = within(path, faults[0].Message), faults[0].Line
		}
		for _, fault := range faults {
			l.leave(path, fault)
		}
	}
	return p, p.Group != ""
}

// within is a message about something at path, without that.
func within(path, message string) string {
	return strings.TrimPrefix(strings.TrimPrefix(message, path+"."), path+": ")
}

// leave notes why the deployment at path is left out.
func (l *loader) leave(path string, fault Problem) {
	l.leftOut = append(l.leftOut, fault)
	l.warnings = append(l.warnings, Warning{
		File: fault.File, Line: fault.Line, Key: path, LeftOut: true,
		Message: "the deployment is left out: " + within(path, fault.Message),
	})
}

// noteUnserved notes the groups all of whose deployments are left out.
func (l *loader) noteUnserved(cfg *router.Config, found []pending) {
	served := map[string]bool{}
	for _, p := range found {
		served[p.Group] = served[p.Group] || p.leftOut == ""
	}
	for _, p := range found {
		if served[p.Group] {
			continue
		}
		if cfg.Unserved == nil {
			cfg.Unserved = map[string]string{}
		}
		why := position(p.file, p.line) + p.leftOut
		if before := cfg.Unserved[p.Group]; before != "" {
			why = before + "; " + why
		}
		cfg.Unserved[p.Group] = why
	}
}

// deployment reads one entry of model_list.
func (l deploymentReader) deployment(node *yaml.Node, path string) (p pending) {
	before := len(l.problems)
	var params, info *entry
	var limits []entry
	for _, e := range l.mapping(node, path) {
		switch e.key {
		case "model_name":
			p.Group, _ = l.text(e)
		case "litellm_params":
			params = &e
		case "model_info":
			info = &e
		case "rpm", "tpm", "max_parallel_requests", "weight", "tags":
			limits = append(limits, e) // they belong in litellm_params, and often stand here
		default:
			l.unused(e, "")
		}
	}
	line := resolve(node).Line
	p.line = line
	if p.Group == "" && len(l.problems) == before {
		l.problem(line, path+".model_name: missing; it is the name that requests ask for")
	}
	if params == nil {
		if resolve(node).Kind == yaml.MappingNode {
			l.problem(line, path+".litellm_params: missing; it says which model it is and where")
		}
		return p
	}
	l.params(&p, *params, limits)
	if info != nil && len(l.problems) == before {
		l.info(&p, *info)
	}
	if len(l.problems) == before {
		l.priced(&p, path)
	}
	return p
}

// info reads model_info: what is known of a model.
func (l deploymentReader) info(p *pending, section entry) {
	for _, e := range l.mapping(section.value, section.path) {
		switch {
		case e.key == "id":
			if id, ok := l.text(e); ok && id != "" {
				p.ID = l.id(id, e)
			}
		case e.key == "mode":
			l.mode(e)
		case l.knowledge(p, e):
		default:
			l.unused(e, hints[e.key])
		}
	}
}

// mode reads what a model is for. One that answers no text is left out.
func (l *loader) mode(e entry) {
	switch mode, _ := l.text(e); mode {
	case "image_generation", "image_edit", "audio_speech", "audio_transcription", "rerank", "realtime", "ocr", "video_generation", "search", "moderation", "vector_store":
		l.problem(e.line, fmt.Sprintf("%s: %s is not served: chat completions, completions, responses and embeddings are", e.path, mode))
	}
}

// id returns an id that no other deployment has.
func (l deploymentReader) id(id string, e entry) string {
	first, taken := l.ids[id]
	if taken {
		given := id
		for n := 2; taken; n++ {
			id = fmt.Sprintf("%s-%d", given, n)
			_, taken = l.ids[id]
		}
		l.warn(e.line, e.path, fmt.Sprintf("%q is the id of the deployment in line %d too; this one is %q", given, first, id))
	}
	l.ids[id] = e.line
	return id
}

// knowledge reads what may stand in litellm_params and in model_info; false
// means that it is something else.
func (l deploymentReader) knowledge(p *pending, e entry) bool {
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
