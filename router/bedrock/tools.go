package bedrock

import (
	"fmt"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// tools writes the tools, those that the conversation calls included.
type tools struct {
	translate.Refusals
	model
	names                           toolNames
	given, choice, parallel, format []byte
	extras                          extras
	schemaOnly                      bool // the answer's text is the input of the tool schemaTool
}

// schemaTool is the tool by which models without structured answers give one.
const schemaTool = "json_tool_call"

// append appends the tools and how they are to be used.
func (t *tools) append(out []byte) []byte {
	switch {
	case t.format != nil && !t.formats:
		return t.appendSchemaTool(out)
	case t.given == nil && len(t.names.Called) > 0: // blocks of tools need tools
		return t.appendCalled(out)
	case t.given == nil:
		if t.choice != nil && string(t.choice) != `"auto"` && string(t.choice) != `"none"` {
			t.Fail("tool_choice", "tool_choice: there are no tools")
		}
		return out
	case string(t.choice) == `"none"` && len(t.names.Called) == 0: // Converse has no such choice
		return out
	}
	out = append(translate.Comma(out), `"toolConfig":{"tools":[`...)
	position := 0
	_, _ = rawjson.Array(t.given, func(raw []byte) {
		out = t.appendTool(out, raw, position)
		position++
	})
	return append(t.appendChoice(append(out, ']')), '}')
}

// appendCalled appends the tools that the history calls, none of which is to be
// called again.
func (t *tools) appendCalled(out []byte) []byte {
	out = append(translate.Comma(out), `"toolConfig":{"tools":[`...)
	for _, name := range t.names.Called {
		out = t.names.append(append(translate.Comma(out), `{"toolSpec":{"name":`...), name)
		out = append(out, `,"inputSchema":{"json":{"type":"object","properties":{}}}}}`...)
	}
	if t.family == claude {
		t.extras.add("tool_choice", []byte(`{"type":"none"}`))
	}
	return append(out, `]}`...)
}

// appendSchemaTool appends the tool by which a model that knows no structured
// answers gives one: its input is the answer.
func (t *tools) appendSchemaTool(out []byte) []byte {
	if t.given != nil || len(t.names.Called) > 0 {
		t.Unsupported("response_format", "the model "+t.name+" takes none together with tools")
		return out
	}
	t.schemaOnly = true
	out = append(translate.Comma(out), `"toolConfig":{"tools":[{"toolSpec":{"name":"`+schemaTool+`","inputSchema":{"json":`...)
	out = appendObjectSchema(out, t.format)
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
			out = translate.AppendMember(out, key, value)
		}
	})
	return append(out, '}')
}

// appendTool appends one tool. One without a type is of Converse's own form, and
// stays as it is.
func (t *tools) appendTool(out, raw []byte, position int) []byte {
	at := func(field string) string { return fmt.Sprintf("tools[%d].%s", position, field) }
	tool := translate.ReadTool(raw)
	switch {
	case tool.Function == nil && tool.Kind == nil:
		return append(translate.Comma(out), raw...)
	case tool.Function == nil:
		t.Unsupported(at("type"), "it knows functions alone")
		return out
	}
	if !rawjson.IsString(tool.Name) {
		t.Fail(at("function.name"), at("function.name")+": missing")
		return out
	}
	out = t.names.append(append(translate.Comma(out), `{"toolSpec":{"name":`...), tool.Name)
	out = append(appendObjectSchema(append(out, `,"inputSchema":{"json":`...), tool.Parameters), '}')
	if len(translate.Inner(tool.Description)) > 0 {
		out = translate.AppendMember(out, "description", tool.Description)
	}
	if string(tool.Strict) == "true" {
		out = translate.AppendMember(out, "strict", tool.Strict)
	}
	return appendCache(append(out, `}}`...), tool.Cache)
}

// appendChoice appends which tools are to be called. Whether several at once
// is a matter of Anthropic's models alone, and goes to the model itself then.
func (t *tools) appendChoice(out []byte) []byte {
	one := string(t.parallel) == "false"
	if one && t.family != claude {
		t.LeaveOut("parallel_tool_calls", "the model "+t.name+" cannot be told to make one call at a time")
		one = false
	}
	kind, name := "", []byte(nil)
	switch string(t.choice) {
	case "":
	case `"auto"`:
		kind = "auto"
	case `"required"`:
		kind = "any"
	case `"none"`:
		if t.family == claude {
			t.extras.add("tool_choice", []byte(`{"type":"none"}`))
		} else {
			t.LeaveOut("tool_choice", "it has no none, and the tools that the history calls must be there")
		}
		return out
	default:
		if kind, name = t.namedChoice(); kind == "" {
			return translate.AppendMember(out, "toolChoice", t.choice) // Converse's own form
		}
	}
	if one {
		t.oneCall(kind, name)
		return out
	}
	switch kind {
	case "":
		return out
	case "tool":
		out = append(translate.Comma(out), `"toolChoice":{"tool":{"name":`...)
		return append(t.names.append(out, name), `}}`...)
	}
	return append(append(append(translate.Comma(out), `"toolChoice":{"`...), kind...), `":{}}`...)
}

// oneCall notes that one call is to be made at a time, in Anthropic's words.
func (t *tools) oneCall(kind string, name []byte) {
	if kind == "" {
		kind = "auto"
	}
	choice := append(append([]byte(`{"type":"`), kind...), '"')
	if name != nil {
		choice = t.names.append(append(choice, `,"name":`...), name)
	}
	t.extras.add("tool_choice", append(choice, `,"disable_parallel_tool_use":true}`...))
}

// namedChoice reads a tool_choice that is an object; kind is empty for one of
// Converse's own form.
func (t *tools) namedChoice() (kind string, name []byte) {
	var is, function []byte
	object, _ := rawjson.Object(t.choice, func(key, value []byte) {
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
		t.LeaveOut("tool_choice", "it knows no list of allowed tools: give only those in tools")
		return "auto", nil
	}
	t.Fail("tool_choice", "tool_choice: must be auto, none, required or a function's name")
	return "auto", nil
}
