package cohere

import (
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// request is one body of OpenAI's chat completions on its way into one of Cohere's.
// One goroutine uses it.
type request struct {
	translate.Refusals
	model string
	note  note

	// Members of the body that are looked at more than once, or out of their order.
	messages, maxTokens, maxCompletion     []byte
	tools, toolChoice, format, effort, own []byte
	topLogprobs                            []byte
	documents                              bool
}

// append appends the body to send to out. Where Err is set, what it wrote is of no
// use.
func (r *request) append(out, body []byte) []byte {
	out = rawjson.AppendString(append(out, `{"model":`...), r.model)
	object, _ := rawjson.Object(body, func(key, value []byte) {
		if !rawjson.IsNull(value) {
			out = r.member(out, key, value)
		}
	})
	if !object {
		r.Fail("", "the body is no JSON object")
		return out
	}
	said := conversation{Refusals: r.Refusals, reasons: reasons(r.model)}
	out = said.append(out, r.messages)
	given := tools{Refusals: said.Refusals}
	out = given.append(out, r.tools, r.toolChoice)
	r.Refusals = given.Refusals
	if bound := r.maxCompletion; bound != nil {
		out = translate.AppendMember(out, "max_tokens", bound)
	} else if r.maxTokens != nil {
		out = translate.AppendMember(out, "max_tokens", r.maxTokens)
	}
	if protocol.Present(r.topLogprobs) {
		r.LeaveOut("top_logprobs", "it tells the probability of what it said alone")
	}
	return append(r.appendThinking(r.appendFormat(out)), '}')
}

// reasons reports whether a model thinks before it answers.
func reasons(model string) bool { return strings.Contains(model, "reasoning") }

// member appends a member of the body, or keeps it.
func (r *request) member(out, key, value []byte) []byte {
	switch name := string(key); name {
	case "model":
	case "messages":
		r.messages = value
	case "max_tokens":
		r.maxTokens = value
	case "max_completion_tokens":
		r.maxCompletion = value
	case "top_p":
		return translate.AppendMember(out, "p", value)
	case "top_k":
		return translate.AppendMember(out, "k", value)
	case "stop":
		switch {
		case rawjson.IsString(value):
			return append(append(append(translate.AppendKey(out, "stop_sequences"), '['), value...), ']')
		case protocol.Present(value):
			return translate.AppendMember(out, "stop_sequences", value)
		}
	case "tools":
		if protocol.Present(value) {
			r.tools = value
		}
	case "tool_choice":
		r.toolChoice = value
	case "response_format":
		r.format = value
	case "reasoning_effort":
		r.effort = value
	case "thinking":
		r.own = value
	case "top_logprobs":
		r.topLogprobs = value
	case "logprobs":
		if string(value) != "false" {
			return translate.AppendMember(out, key, value)
		}
	case "stream_options":
		translate.Within(value, "include_usage", func(value []byte) { r.note.usage = string(value) == "true" })
	case "documents":
		r.documents = true
		return translate.AppendMember(out, key, value)
	default:
		if !r.foreign(name, value) { // Cohere's own, or nobody's: the server says so then
			return translate.AppendMember(out, key, value)
		}
	}
	return out
}

// foreign deals with OpenAI's parameters that Cohere has no place for. What asks
// for no more than OpenAI does by itself is left out. It reports false for others.
func (r *request) foreign(name string, value []byte) bool {
	switch name {
	case "user", "safety_identifier", "prompt_cache_key": // they change no answer
	case "logit_bias", "store", "prediction", "audio", "web_search_options", "prompt_cache_retention", "metadata":
		if protocol.Present(value) {
			r.LeaveOut(name, "")
		}
	case "service_tier":
		if string(value) != `"auto"` && string(value) != `"default"` {
			r.LeaveOut(name, "priority, a number, says which requests go first")
		}
	case "parallel_tool_calls":
		if string(value) == "false" {
			r.LeaveOut(name, "it cannot be told to make one call at a time")
		}
	default:
		return r.Foreign(name, value)
	}
	return true
}

// appendFormat appends the form of the answer.
func (r *request) appendFormat(out []byte) []byte {
	var kind, schema []byte
	_, _ = rawjson.Object(r.format, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "json_schema":
			schema = value
			if rawjson.IsObject(value) {
				translate.Within(value, "schema", func(inside []byte) { schema = inside })
			}
		}
	})
	switch string(kind) {
	case "", `"text"`:
		if r.format != nil && kind == nil {
			r.Fail("response_format", "response_format.type: must be text, json_object or json_schema")
		}
		return out
	case `"json_schema"`:
		if !rawjson.IsObject(schema) {
			r.Fail("response_format", "response_format.json_schema.schema: missing")
		}
	case `"json_object"`: // Cohere's own has a schema beside it
	default:
		r.Fail("response_format", "response_format.type: must be text, json_object or json_schema")
	}
	if r.tools != nil || r.documents {
		r.Unsupported("response_format", "it takes none together with tools or documents")
	}
	out = append(translate.AppendKey(out, "response_format"), `{"type":"json_object"`...)
	if schema != nil {
		out = translate.AppendMember(out, "json_schema", schema)
	}
	return append(out, '}')
}

// budgets are how many tokens an effort is worth, as with other providers.
var budgets = map[string]string{
	`"minimal"`: "1024", `"low"`: "1024", `"medium"`: "2048", `"high"`: "4096", `"xhigh"`: "8192", `"max"`: "16384",
}

// appendThinking appends how much the model is to think.
func (r *request) appendThinking(out []byte) []byte {
	switch {
	case r.own != nil:
		var budget, kind []byte
		_, _ = rawjson.Object(r.own, func(key, value []byte) {
			switch string(key) {
			case "budget_tokens", "token_budget":
				budget = value
			case "type":
				kind = value
			}
		})
		if kind == nil {
			kind = []byte(`"enabled"`)
		}
		out = append(append(translate.AppendKey(out, "thinking"), `{"type":`...), kind...)
		if budget != nil {
			out = translate.AppendMember(out, "token_budget", budget)
		}
		return append(out, '}')
	case r.effort == nil:
	case !reasons(r.model):
		if string(r.effort) != `"none"` {
			r.LeaveOut("reasoning_effort", "the model "+r.model+" does not reason")
		}
	case string(r.effort) == `"none"`:
		return append(translate.AppendKey(out, "thinking"), `{"type":"disabled"}`...)
	case budgets[string(r.effort)] == "":
		r.LeaveOut("reasoning_effort", "it does not know the value "+rawjson.Text(r.effort))
	default:
		out = append(translate.AppendKey(out, "thinking"), `{"type":"enabled","token_budget":`...)
		return append(append(out, budgets[string(r.effort)]...), '}')
	}
	return out
}
