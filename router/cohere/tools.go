package cohere

import (
	"fmt"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// tools writes the tools and how they are to be used.
type tools struct {
	translate.Refusals
	only    [][]byte // names, with quotes, of the tools that are sent; nil: all
	sent    int
	strict  int // of those that are sent, how many are to be called as their schemas say
	choice  string
	refused int // the place of one that is not strict, among some that are
}

// append appends the tools, of which the choice may leave some out.
func (t *tools) append(out, given, choice []byte) []byte {
	if given == nil {
		if choice != nil && string(choice) != `"auto"` && string(choice) != `"none"` {
			t.Fail("tool_choice", "tool_choice: there are no tools")
		}
		return out
	}
	t.choose(choice)
	out = append(translate.AppendKey(out, "tools"), '[')
	position := 0
	array, _ := rawjson.Array(given, func(raw []byte) {
		out = t.tool(out, raw, position)
		position++
	})
	switch {
	case !array:
		t.Fail("tools", "tools: must be an array")
	case t.only != nil && t.sent < len(t.only):
		t.Fail("tool_choice", "tool_choice: names a function that is not in tools")
	case t.strict > 0 && t.strict < t.sent:
		t.LeaveOut(fmt.Sprintf("tools[%d].function.strict", t.refused), "it holds all tools to their schemas or none: set strict for each")
	}
	if out = append(out, ']'); t.strict > 0 && t.strict == t.sent {
		out = append(translate.AppendKey(out, "strict_tools"), "true"...)
	}
	if t.choice != "" {
		out = append(append(append(translate.AppendKey(out, "tool_choice"), '"'), t.choice...), '"')
	}
	return out
}

// choose reads tool_choice. Cohere cannot be told to call one tool: only that is
// sent then.
func (t *tools) choose(choice []byte) {
	switch string(choice) {
	case "", `"auto"`:
	case `"required"`, `"REQUIRED"`:
		t.choice = "REQUIRED"
	case `"none"`, `"NONE"`:
		t.choice = "NONE"
	default:
		t.chooseNamed(choice)
	}
}

func (t *tools) chooseNamed(choice []byte) {
	var kind, function, allowed []byte
	_, _ = rawjson.Object(choice, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "function":
			function = value
		case "allowed_tools":
			allowed = value
		}
	})
	t.only = [][]byte{}
	named := func(function []byte) {
		translate.Within(function, "name", func(name []byte) { t.only = append(t.only, name) })
	}
	switch string(kind) {
	case `"function"`:
		t.choice = "REQUIRED"
		named(function)
	case `"allowed_tools"`:
		_, _ = rawjson.Object(allowed, func(key, value []byte) {
			switch {
			case string(key) == "tools":
				_, _ = rawjson.Array(value, func(raw []byte) { translate.Within(raw, "function", named) })
			case string(key) == "mode" && string(value) == `"required"`:
				t.choice = "REQUIRED"
			}
		})
	}
	if len(t.only) == 0 {
		t.Fail("tool_choice", "tool_choice: must be auto, none, required or a function's name")
	}
}

// tool appends one tool, where it is one to send.
func (t *tools) tool(out, raw []byte, position int) []byte {
	at := func(field string) string { return fmt.Sprintf("tools[%d].%s", position, field) }
	tool := translate.ReadTool(raw)
	if tool.Kind != nil && string(tool.Kind) != `"function"` || tool.Function == nil {
		t.Unsupported(at("type"), "it knows functions alone")
		return out
	}
	switch {
	case !rawjson.IsString(tool.Name):
		t.Fail(at("function.name"), at("function.name")+": missing")
		return out
	case !t.sends(tool.Name):
		return out
	}
	t.sent++
	if string(tool.Strict) == "true" {
		t.strict++
	} else {
		t.refused = position
	}
	out = append(translate.Comma(out), `{"type":"function","function":{"name":`...)
	if out = append(out, tool.Name...); !rawjson.IsNull(tool.Description) {
		out = translate.AppendMember(out, "description", tool.Description)
	}
	if rawjson.IsNull(tool.Parameters) {
		tool.Parameters = []byte(`{"type":"object","properties":{}}`)
	}
	return append(translate.AppendMember(out, "parameters", tool.Parameters), `}}`...)
}

// sends reports whether a tool is one that the choice leaves.
func (t *tools) sends(name []byte) bool {
	if t.only == nil {
		return true
	}
	for _, one := range t.only {
		if string(translate.Plain(one)) == string(translate.Plain(name)) {
			return true
		}
	}
	return false
}
