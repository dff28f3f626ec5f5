package anthropic

import (
	"fmt"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// tools writes the tools, those that the conversation calls included.
type tools struct {
	translate.Refusals
	model
	names                    toolNames
	choice, parallel, format []byte
	schemaOnly               bool // the answer's text is the input of the tool schemaTool
}

// schemaTool is the tool by which models without structured answers give one.
const schemaTool = "json_tool_call"

// append appends the tools and how they are to be used.
func (t *tools) append(out []byte) []byte {
	switch {
	case t.format != nil && !t.schema:
		return t.appendSchemaTool(out)
	case t.names.tools != nil:
		out = append(out, `,"tools":[`...)
		position := 0
		_, _ = rawjson.Array(t.names.tools, func(raw []byte) {
			out = t.appendTool(translate.Comma(out), raw, position)
			position++
		})
		return t.appendChoice(append(out, ']'))
	case len(t.names.Called) > 0: // blocks of tools need tools
		out = append(out, `,"tools":[`...)
		for _, name := range t.names.Called {
			out = t.names.append(append(translate.Comma(out), `{"name":`...), name)
			out = append(out, `,"input_schema":{"type":"object","properties":{}},"type":"custom"}`...)
		}
		return append(out, `],"tool_choice":{"type":"none"}`...)
	case t.choice != nil && string(t.choice) != `"auto"` && string(t.choice) != `"none"`:
		t.Fail("tool_choice", "tool_choice: there are no tools")
	}
	return out
}

// appendSchemaTool appends the tool by which a model that knows no structured
// answers gives one: its input is the answer.
func (t *tools) appendSchemaTool(out []byte) []byte {
	if t.names.tools != nil || len(t.names.Called) > 0 {
		t.Unsupported("response_format", "the model "+t.name+" takes none together with tools")
		return out
	}
	t.schemaOnly = true
	out = appendObjectSchema(append(out, `,"tools":[{"name":"`+schemaTool+`","input_schema":`...), t.format)
	return append(out, `}],"tool_choice":{"type":"tool","name":"`+schemaTool+`"}`...)
}

// appendTool appends one tool. One that is no function of OpenAI's form is
// Anthropic's own, and stays as it is.
func (t *tools) appendTool(out, raw []byte, position int) []byte {
	at := func(field string) string { return fmt.Sprintf("tools[%d].%s", position, field) }
	tool := translate.ReadTool(raw)
	switch {
	case string(tool.Kind) == `"custom"` && tool.Function == nil && hasMember(raw, "custom"):
		t.Unsupported(at("type"), "it knows functions alone")
		return out
	case tool.Function == nil:
		return append(out, raw...)
	}
	if !rawjson.IsString(tool.Name) {
		t.Fail(at("function.name"), at("function.name")+": missing")
		return out
	}
	out = t.names.append(append(out, `{"name":`...), tool.Name)
	out = appendObjectSchema(append(out, `,"input_schema":`...), tool.Parameters)
	out = append(out, `,"type":"custom"`...)
	if !rawjson.IsNull(tool.Description) {
		out = append(append(out, `,"description":`...), tool.Description...)
	}
	if string(tool.Strict) == "true" && t.schema {
		out = append(out, `,"strict":true`...)
	} else if string(tool.Strict) == "true" {
		t.LeaveOut(at("function.strict"), "the model "+t.name+" does not know it")
	}
	if !rawjson.IsNull(tool.Cache) {
		out = append(append(out, `,"cache_control":`...), tool.Cache...)
	}
	return append(out, '}')
}

func hasMember(raw []byte, name string) (found bool) {
	_, _ = rawjson.Object(raw, func(key, _ []byte) { found = found || string(key) == name })
	return found
}

// appendChoice appends which tools are to be called, and whether several at
// once.
func (t *tools) appendChoice(out []byte) []byte {
	one := string(t.parallel) == "false"
	var kind string
	var name []byte
	switch string(t.choice) {
	case "":
		if !one {
			return out
		}
		kind = "auto"
	case `"auto"`:
		kind = "auto"
	case `"required"`:
		kind = "any"
	case `"none"`:
		kind, one = "none", false
	default:
		if kind, name = t.namedChoice(); kind == "" {
			return translate.AppendMember(out, []byte("tool_choice"), t.choice) // Anthropic's own form
		}
	}
	out = append(append(append(out, `,"tool_choice":{"type":"`...), kind...), '"')
	if name != nil {
		out = t.names.append(append(out, `,"name":`...), name)
	}
	if one {
		out = append(out, `,"disable_parallel_tool_use":true`...)
	}
	return append(out, '}')
}

// namedChoice reads a tool_choice that is an object; kind is empty for one of
// Anthropic's own form.
func (t *tools) namedChoice() (kind string, name []byte) {
	var is, function []byte
	_, _ = rawjson.Object(t.choice, func(key, value []byte) {
		switch string(key) {
		case "type":
			is = value
		case "function":
			function = value
		}
	})
	switch string(is) {
	case `"auto"`, `"any"`, `"tool"`, `"none"`:
		return "", nil
	case `"function"`:
		_, _ = rawjson.Object(function, func(key, value []byte) {
			if string(key) == "name" {
				name = value
			}
		})
		if name != nil {
			return "tool", name
		}
	case `"allowed_tools"`:
		t.LeaveOut("tool_choice", "it knows no list of allowed tools: give only those in tools")
		return "auto", nil
	}
	t.Fail("tool_choice", "tool_choice: must be auto, none, required or a function's name")
	return "auto", nil
}
