package bedrock

import (
	"fmt"

	"pelton/internal/rawjson"
)

// schemaTool is the tool by which models without structured answers give one.
const schemaTool = "json_tool_call"

// appendTools appends the tools and how they are to be used.
func (r *request) appendTools(out []byte) []byte {
	switch {
	case r.format != nil && !r.formats:
		return r.appendSchemaTool(out)
	case r.tools == nil && len(r.called) > 0: // blocks of tools need tools
		return r.appendCalled(out)
	case r.tools == nil:
		if r.toolChoice != nil && string(r.toolChoice) != `"auto"` && string(r.toolChoice) != `"none"` {
			r.fail("tool_choice", "tool_choice: there are no tools")
		}
		return out
	case string(r.toolChoice) == `"none"` && len(r.called) == 0: // Converse has no such choice
		return out
	}
	out = append(comma(out), `"toolConfig":{"tools":[`...)
	position := 0
	_, _ = rawjson.Array(r.tools, func(raw []byte) {
		out = r.appendTool(out, raw, position)
		position++
	})
	return append(r.appendToolChoice(append(out, ']')), '}')
}

// appendCalled appends the tools that the history calls, none of which is to be
// called again.
func (r *request) appendCalled(out []byte) []byte {
	out = append(comma(out), `"toolConfig":{"tools":[`...)
	for _, name := range r.called {
		out = r.appendName(append(comma(out), `{"toolSpec":{"name":`...), name)
		out = append(out, `,"inputSchema":{"json":{"type":"object","properties":{}}}}}`...)
	}
	if r.family == claude {
		r.extras = append(r.extras, extra{"tool_choice", []byte(`{"type":"none"}`)})
	}
	return append(out, `]}`...)
}

// appendSchemaTool appends the tool by which a model that knows no structured
// answers gives one: its input is the answer.
func (r *request) appendSchemaTool(out []byte) []byte {
	if r.tools != nil || len(r.called) > 0 {
		r.unsupported("response_format", "the model "+r.name+" takes none together with tools")
		return out
	}
	r.note.schema = true
	out = append(comma(out), `"toolConfig":{"tools":[{"toolSpec":{"name":"`+schemaTool+`","inputSchema":{"json":`...)
	out = appendObjectSchema(out, r.format)
	return append(out, `}}}],"toolChoice":{"tool":{"name":"`+schemaTool+`"}}}`...)
}

// appendObjectSchema appends the schema of a tool's input, which must say that it
// is an object. Other than that it stays as it is, but for the name of the
// dialect, which is refused.
func appendObjectSchema(out, raw []byte) []byte {
	typed, dialect, members := false, false, 0
	object, _ := rawjson.Object(raw, func(key, _ []byte) {
		typed = typed || string(key) == "type"
		dialect = dialect || string(key) == "$schema"
		members++
	})
	switch {
	case rawjson.IsNull(raw), object && members == 0:
		return append(out, `{"type":"object","properties":{},"required":[]}`...)
	case !object, typed && !dialect:
		return append(out, raw...)
	}
	out = append(out, '{')
	if !typed {
		out = append(out, `"type":"object"`...)
	}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) != "$schema" {
			out = appendMember(out, key, value)
		}
	})
	return append(out, '}')
}

// appendTool appends one tool. One without a type is of Converse's own form, and
// stays as it is.
func (r *request) appendTool(out, raw []byte, position int) []byte {
	at := func(field string) string { return fmt.Sprintf("tools[%d].%s", position, field) }
	var kind, function, cache []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "function":
			function = value
		case "cache_control":
			cache = value
		}
	})
	switch {
	case function == nil && kind == nil:
		return append(comma(out), raw...)
	case function == nil:
		r.unsupported(at("type"), "it knows functions alone")
		return out
	}
	var name, description, parameters, strict []byte
	_, _ = rawjson.Object(function, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "description":
			description = value
		case "parameters":
			parameters = value
		case "strict":
			strict = value
		case "cache_control":
			cache = value
		}
	})
	if !rawjson.IsString(name) {
		r.fail(at("function.name"), at("function.name")+": missing")
		return out
	}
	out = r.appendName(append(comma(out), `{"toolSpec":{"name":`...), name)
	out = append(appendObjectSchema(append(out, `,"inputSchema":{"json":`...), parameters), '}')
	if len(inner(description)) > 0 {
		out = appendMember(out, "description", description)
	}
	if string(strict) == "true" {
		out = appendMember(out, "strict", strict)
	}
	return appendCache(append(out, `}}`...), cache)
}

// appendToolChoice appends which tools are to be called. Whether several at once
// is a matter of Anthropic's models alone, and goes to the model itself then.
func (r *request) appendToolChoice(out []byte) []byte {
	one := string(r.parallel) == "false"
	if one && r.family != claude {
		r.leaveOut("parallel_tool_calls", "the model "+r.name+" cannot be told to make one call at a time")
		one = false
	}
	kind, name := "", []byte(nil)
	switch string(r.toolChoice) {
	case "":
	case `"auto"`:
		kind = "auto"
	case `"required"`:
		kind = "any"
	case `"none"`:
		if r.family == claude {
			r.extras = append(r.extras, extra{"tool_choice", []byte(`{"type":"none"}`)})
		} else {
			r.leaveOut("tool_choice", "it has no none, and the tools that the history calls must be there")
		}
		return out
	default:
		if kind, name = r.namedChoice(); kind == "" {
			return appendMember(out, "toolChoice", r.toolChoice) // Converse's own form
		}
	}
	if one {
		r.oneCall(kind, name)
		return out
	}
	switch kind {
	case "":
		return out
	case "tool":
		out = append(comma(out), `"toolChoice":{"tool":{"name":`...)
		return append(r.appendName(out, name), `}}`...)
	}
	return append(append(append(comma(out), `"toolChoice":{"`...), kind...), `":{}}`...)
}

// oneCall notes that one call is to be made at a time, in Anthropic's words.
func (r *request) oneCall(kind string, name []byte) {
	if kind == "" {
		kind = "auto"
	}
	choice := append(append([]byte(`{"type":"`), kind...), '"')
	if name != nil {
		choice = r.appendName(append(choice, `,"name":`...), name)
	}
	r.extras = append(r.extras, extra{"tool_choice", append(choice, `,"disable_parallel_tool_use":true}`...)})
}

// namedChoice reads a tool_choice that is an object; kind is empty for one of
// Converse's own form.
func (r *request) namedChoice() (kind string, name []byte) {
	var is, function []byte
	object, _ := rawjson.Object(r.toolChoice, func(key, value []byte) {
		switch string(key) {
		case "type":
			is = value
		case "function":
			function = value
		}
	})
	switch {
	case object && is == nil:
		return "", nil
	case string(is) == `"function"`:
		_, _ = rawjson.Object(function, func(key, value []byte) {
			if string(key) == "name" {
				name = value
			}
		})
		if rawjson.IsString(name) {
			return "tool", name
		}
	case string(is) == `"allowed_tools"`:
		r.leaveOut("tool_choice", "it knows no list of allowed tools: give only those in tools")
		return "auto", nil
	}
	r.fail("tool_choice", "tool_choice: must be auto, none, required or a function's name")
	return "auto", nil
}

// appendName appends a tool's name. Converse takes fewer characters than others
// do: one that does not fit gets another name, which the answer's reader turns
// back.
func (r *request) appendName(out, raw []byte) []byte {
	name := plain(raw)
	if fits(name, nameChars) {
		return append(append(append(out, '"'), name...), '"')
	}
	sent := fitted(name, nameChars)
	known := false
	for _, other := range r.note.renamed {
		known = known || other.sent == sent
	}
	if !known {
		r.note.renamed = append(r.note.renamed, renamed{string(name), sent})
	}
	return append(append(append(out, '"'), sent...), '"')
}

// original is the name in the request of a tool that the server calls by name.
func (n *note) original(name []byte) (string, bool) {
	for _, known := range n.renamed {
		if known.sent == string(name) {
			return known.name, true
		}
	}
	return "", false
}
