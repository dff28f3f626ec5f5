package anthropic

import (
	"bytes"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// How much a model thinks is told by an effort, or by a number of tokens to
// think with, depending on the model. A budget has to be below max_tokens, and
// not below leastBudget.
const leastBudget = 1024

// budgets are the tokens for the efforts, with models that know only budgets.
var budgets = map[string]int{
	`"minimal"`: leastBudget, `"low"`: 1024, `"medium"`: 2048, `"high"`: 4096, `"xhigh"`: 8192, `"max"`: 16384,
}

// thinkingParams is what a body says of thinking, and of the answer's form.
type thinkingParams struct {
	effort, thinking, output []byte
	format                   []byte // a schema
}

// budget is what the effort gives a model that knows only budgets; 0: it does
// not think by it.
func (w *thinkingParams) budget(m *model) int {
	if m.adaptive || w.thinking != nil {
		return 0
	}
	return budgets[string(w.effort)]
}

// structured reports whether the answer is to have the schema's form by the
// server's own means.
func (w *thinkingParams) structured(m *model) bool { return w.format != nil && m.schema }

// thinking writes how much to think, and the form of the answer.
type thinking struct {
	translate.Refusals
	model
	thinkingParams
	bound int  // max_tokens
	on    bool // the model is told to think
}

// append appends how much to think, and the form of the answer.
func (t *thinking) append(out []byte) []byte {
	effort := ""
	switch {
	case t.thinking != nil:
		out = translate.AppendMember(out, []byte("thinking"), t.thinking)
		t.on = !bytes.Contains(t.thinking, []byte(`"disabled"`))
		if t.effort != nil && t.adaptive {
			effort = t.effortLevel()
		}
	case t.effort == nil:
	case string(t.effort) == `"none"`:
		switch {
		case t.always:
			t.LeaveOut("reasoning_effort", "the model "+t.name+" always thinks")
		case t.thinks:
			out = append(out, `,"thinking":{"type":"disabled"}`...)
		}
	case t.adaptive:
		if effort = t.effortLevel(); effort != "" {
			out = append(out, `,"thinking":{"type":"adaptive","display":"summarized"}`...)
			t.on = true
		}
	default:
		out = t.appendBudget(out)
	}
	return t.appendOutput(out, effort)
}

// effortLevel is the effort in Anthropic's words; empty: it is left out.
func (t *thinking) effortLevel() string {
	switch level := string(t.effort); level {
	case `"minimal"`:
		return `"low"`
	case `"low"`, `"medium"`, `"high"`, `"max"`:
		return level
	case `"xhigh"`:
		if t.xhigh {
			return level
		}
	case `"none"`:
		return ""
	}
	t.LeaveOut("reasoning_effort", "the model "+t.name+" does not know the value "+rawjson.Text(t.effort))
	return ""
}

// appendBudget appends the effort as a number of tokens, below max_tokens.
func (t *thinking) appendBudget(out []byte) []byte {
	budget := t.budget(&t.model)
	switch {
	case budget == 0:
		t.LeaveOut("reasoning_effort", "the model "+t.name+" does not know the value "+rawjson.Text(t.effort))
		return out
	case t.bound <= leastBudget:
		t.LeaveOut("reasoning_effort", "thinking takes at least 1024 tokens, and max_tokens is "+strconv.Itoa(t.bound))
		return out
	}
	t.on = true
	out = append(out, `,"thinking":{"type":"enabled","budget_tokens":`...)
	return append(strconv.AppendInt(out, int64(min(budget, t.bound-1)), 10), '}')
}

// appendOutput appends output_config: the body's own, and what it lacks of effort
// and form.
func (t *thinking) appendOutput(out []byte, effort string) []byte {
	if t.output == nil && effort == "" && !t.structured(&t.model) {
		return out
	}
	out = append(out, `,"output_config":{`...)
	has := func(string) bool { return false }
	if t.output != nil {
		_, _ = rawjson.Object(t.output, func(key, value []byte) { out = translate.AppendMember(out, key, value) })
		has = func(name string) bool {
			found := false
			_, _ = rawjson.Object(t.output, func(key, _ []byte) { found = found || string(key) == name })
			return found
		}
	}
	if effort != "" && !has("effort") {
		out = append(append(translate.Comma(out), `"effort":`...), effort...)
	}
	if t.structured(&t.model) && !has("format") {
		var err error
		out, err = AppendSchema(append(translate.Comma(out), `"format":{"type":"json_schema","schema":`...), t.format)
		if out = append(out, '}'); t.Err == nil {
			t.Err = err
		}
	}
	return append(out, '}')
}
