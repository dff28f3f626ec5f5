package gemini

import (
	"strconv"

	"pelton/internal/rawjson"
)

// appendThinking writes how much the model is to think: reasoning_effort, or
// thinking in Anthropic's form, which counts where both are given. From Gemini 3
// on there are levels, and thinking cannot be switched off; before it there are
// budgets.
func (r *request) appendThinking() {
	effort := rawjson.Text(r.effort)
	switch {
	case r.thinking != nil:
		r.appendBudget()
	case r.effort == nil:
	case !r.thinks && effort != "none":
		r.unsupported("reasoning_effort", "this model does not think")
	case !r.thinks:
	case r.three:
		r.appendLevel(effort)
	default:
		budget, ok := r.budget(effort)
		if !ok {
			r.unsupported("reasoning_effort", "it must be none, minimal, low, medium or high")
			return
		}
		r.think("thinkingBudget", strconv.Itoa(budget), effort != "none")
	}
}

func (r *request) appendLevel(effort string) {
	level := effort
	switch effort {
	case "low", "medium", "high":
	case "none", "minimal": // the least there is
		if level = "low"; r.level0 {
			level = "minimal"
		}
	case "xhigh":
		if !r.xhigh {
			r.unsupported("reasoning_effort", "this model has no level xhigh")
			return
		}
	default:
		r.unsupported("reasoning_effort", "it must be none, minimal, low, medium or high")
		return
	}
	r.think("thinkingLevel", `"`+level+`"`, effort != "none")
}

// leastBudget is the least that the model can think, short of not at all.
func (r *request) leastBudget() int {
	switch {
	case r.lite:
		return 512
	case r.pro || !r.flash:
		return 128
	}
	return 1
}

func (r *request) budget(effort string) (tokens int, ok bool) {
	switch effort {
	case "none":
		if r.pro { // it cannot but think
			return r.leastBudget(), true
		}
		return 0, true
	case "minimal":
		return r.leastBudget(), true
	case "low":
		return 1024, true
	case "medium":
		return 2048, true
	case "high":
		return 4096, true
	}
	return 0, false
}

// think writes thinkingConfig; name is empty where only the thoughts are asked
// for.
func (r *request) think(name, value string, thoughts bool) {
	if !r.config("thinkingConfig") {
		return
	}
	r.out = append(r.out, '{')
	if name != "" {
		r.member(name)
		r.out = append(r.out, value...)
	}
	r.member("includeThoughts")
	r.out = append(strconv.AppendBool(r.out, thoughts), '}')
}

// appendBudget writes thinking as Anthropic's API has it.
func (r *request) appendBudget() {
	var kind, tokens []byte
	_, _ = rawjson.Object(r.thinking, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "budget_tokens":
			tokens = value
		}
	})
	switch rawjson.Text(kind) {
	case "disabled":
		if r.three {
			r.appendLevel("none")
			return
		}
		budget, _ := r.budget("none")
		r.think("thinkingBudget", strconv.Itoa(budget), false)
	case "enabled", "adaptive":
		name := ""
		if tokens != nil {
			name = "thinkingBudget"
		}
		r.think(name, string(tokens), true)
	default:
		r.unsupported("thinking", "its type must be enabled, adaptive or disabled")
	}
}
