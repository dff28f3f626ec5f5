package anthropic

import (
	"bytes"
	"strconv"

	"pelton/internal/rawjson"
)

// How much a model thinks is told by an effort, or by a number of tokens to
// think with, depending on the model. A budget has to be below max_tokens, and
// not below leastBudget.
const leastBudget = 1024

// budgets are the tokens for the efforts, with models that know only budgets.
var budgets = map[string]int{
	`"minimal"`: leastBudget, `"low"`: 1024, `"medium"`: 2048, `"high"`: 4096, `"xhigh"`: 8192, `"max"`: 16384,
}

// budget is what the effort gives a model that knows only budgets; 0: it does
// not think by it.
func (r *request) budget() int {
	if r.adaptive || r.thinking != nil {
		return 0
	}
	return budgets[string(r.effort)]
}

// structured reports whether the answer is to have the schema's form by the
// server's own means.
func (r *request) structured() bool { return r.format != nil && r.schema }

// takeFormat reads response_format.
func (r *request) takeFormat(value []byte) {
	var kind, inner []byte
	_, _ = rawjson.Object(value, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "json_schema":
			inner = value
		}
	})
	switch string(kind) {
	case `"text"`:
	case `"json_schema"`:
		_, _ = rawjson.Object(inner, func(key, value []byte) {
			if string(key) == "schema" && rawjson.IsObject(value) {
				r.format = value
			}
		})
		if r.format == nil {
			r.fail("response_format", "response_format.json_schema.schema: missing")
		}
	case `"json_object"`:
		r.leaveOut("response_format", "it has no mode for JSON without a schema: give one by json_schema")
	default:
		r.fail("response_format", "response_format.type: must be text, json_object or json_schema")
	}
}

// appendThinking appends how much to think, and the form of the answer.
func (r *request) appendThinking(out []byte) []byte {
	effort := ""
	switch {
	case r.thinking != nil:
		out = appendMember(out, []byte("thinking"), r.thinking)
		r.ponders = !bytes.Contains(r.thinking, []byte(`"disabled"`))
		if r.effort != nil && r.adaptive {
			effort = r.effortLevel()
		}
	case r.effort == nil:
	case string(r.effort) == `"none"`:
		switch {
		case r.always:
			r.leaveOut("reasoning_effort", "the model "+r.name+" always thinks")
		case r.thinks:
			out = append(out, `,"thinking":{"type":"disabled"}`...)
		}
	case r.adaptive:
		if effort = r.effortLevel(); effort != "" {
			out = append(out, `,"thinking":{"type":"adaptive","display":"summarized"}`...)
			r.ponders = true
		}
	default:
		out = r.appendBudget(out)
	}
	return r.appendOutput(out, effort)
}

// effortLevel is the effort in Anthropic's words; empty: it is left out.
func (r *request) effortLevel() string {
	switch level := string(r.effort); level {
	case `"minimal"`:
		return `"low"`
	case `"low"`, `"medium"`, `"high"`, `"max"`:
		return level
	case `"xhigh"`:
		if r.xhigh {
			return level
		}
	case `"none"`:
		return ""
	}
	r.leaveOut("reasoning_effort", "the model "+r.name+" does not know the value "+rawjson.Text(r.effort))
	return ""
}

// appendBudget appends the effort as a number of tokens, below max_tokens.
func (r *request) appendBudget(out []byte) []byte {
	budget := r.budget()
	switch {
	case budget == 0:
		r.leaveOut("reasoning_effort", "the model "+r.name+" does not know the value "+rawjson.Text(r.effort))
		return out
	case r.bound <= leastBudget:
		r.leaveOut("reasoning_effort", "thinking takes at least 1024 tokens, and max_tokens is "+strconv.Itoa(r.bound))
		return out
	}
	r.ponders = true
	out = append(out, `,"thinking":{"type":"enabled","budget_tokens":`...)
	return append(strconv.AppendInt(out, int64(min(budget, r.bound-1)), 10), '}')
}

// appendOutput appends output_config: the body's own, and what it lacks of effort
// and form.
func (r *request) appendOutput(out []byte, effort string) []byte {
	if r.output == nil && effort == "" && !r.structured() {
		return out
	}
	out = append(out, `,"output_config":{`...)
	has := func(string) bool { return false }
	if r.output != nil {
		_, _ = rawjson.Object(r.output, func(key, value []byte) { out = appendMember(out, key, value) })
		has = func(name string) bool {
			found := false
			_, _ = rawjson.Object(r.output, func(key, _ []byte) { found = found || string(key) == name })
			return found
		}
	}
	if effort != "" && !has("effort") {
		out = append(append(comma(out), `"effort":`...), effort...)
	}
	if r.structured() && !has("format") {
		out = r.appendSchema(append(comma(out), `"format":{"type":"json_schema","schema":`...), r.format)
		out = append(out, '}')
	}
	return append(out, '}')
}
