package gemini

import (
	"strconv"

	"pelton/internal/rawjson"
)

// appendThinking writes how much the model is to think: reasoning_effort, or
// thinking in Anthropic's form, which counts where both are given. From Gemini 3
// on there are levels, and thinking cannot be switched off; before it there are
// budgets.
func (g *generation) appendThinking() {
	effort := rawjson.Text(g.effort)
	switch {
	case g.thinking != nil:
		g.appendBudget()
	case g.effort == nil:
	case !g.thinks && effort != "none":
		g.unsupported("reasoning_effort", "this model does not think")
	case !g.thinks:
	case g.three:
		g.appendLevel(effort)
	default:
		budget, ok := g.budget(effort)
		if !ok {
			g.unsupported("reasoning_effort", "it must be none, minimal, low, medium or high")
			return
		}
		g.think("thinkingBudget", strconv.Itoa(budget), effort != "none")
	}
}

func (g *generation) appendLevel(effort string) {
	level := effort
	switch effort {
	case "low", "medium", "high":
	case "none", "minimal": // the least there is
		if level = "low"; g.level0 {
			level = "minimal"
		}
	case "xhigh":
		if !g.xhigh {
			g.unsupported("reasoning_effort", "this model has no level xhigh")
			return
		}
	default:
		g.unsupported("reasoning_effort", "it must be none, minimal, low, medium or high")
		return
	}
	g.think("thinkingLevel", `"`+level+`"`, effort != "none")
}

// leastBudget is the least that the model can think, short of not at all.
func (g *generation) leastBudget() int {
	switch {
	case g.lite:
		return 512
	case g.pro || !g.flash:
		return 128
	}
	return 1
}

func (g *generation) budget(effort string) (tokens int, ok bool) {
	switch effort {
	case "none":
		if g.pro { // it cannot but think
			return g.leastBudget(), true
		}
		return 0, true
	case "minimal":
		return g.leastBudget(), true
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
func (g *generation) think(name, value string, thoughts bool) {
	if !g.config("thinkingConfig") {
		return
	}
	g.out = append(g.out, '{')
	if name != "" {
		g.member(name)
		g.out = append(g.out, value...)
	}
	g.member("includeThoughts")
	g.out = append(strconv.AppendBool(g.out, thoughts), '}')
}

// appendBudget writes thinking as Anthropic's API has it.
func (g *generation) appendBudget() {
	var kind, tokens []byte
	_, _ = rawjson.Object(g.thinking, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "budget_tokens":
			tokens = value
		}
	})
	switch rawjson.Text(kind) {
	case "disabled":
		if g.three {
			g.appendLevel("none")
			return
		}
		budget, _ := g.budget("none")
		g.think("thinkingBudget", strconv.Itoa(budget), false)
	case "enabled", "adaptive":
		name := ""
		if tokens != nil {
			name = "thinkingBudget"
		}
		g.think(name, string(tokens), true)
	default:
		g.unsupported("thinking", "its type must be enabled, adaptive or disabled")
	}
}
