package anthropic

import (
	"fmt"
	"hash/fnv"
	"strconv"

	"pelton/internal/rawjson"
)

// appendTools appends the tools and how they are to be used.
func (r *request) appendTools(out []byte) []byte {
	switch {
	case r.format != nil && !r.schema:
		return r.appendSchemaTool(out)
	case r.tools != nil:
		out = append(out, `,"tools":[`...)
		position := 0
		_, _ = rawjson.Array(r.tools, func(raw []byte) {
			out = r.appendTool(comma(out), raw, position)
			position++
		})
		return r.appendToolChoice(append(out, ']'))
	case len(r.called) > 0: // blocks of tools need tools
		out = append(out, `,"tools":[`...)
		for _, name := range r.called {
			out = r.appendName(append(comma(out), `{"name":`...), name)
			out = append(out, `,"input_schema":{"type":"object","properties":{}},"type":"custom"}`...)
		}
		return append(out, `],"tool_choice":{"type":"none"}`...)
	case r.toolChoice != nil && string(r.toolChoice) != `"auto"` && string(r.toolChoice) != `"none"`:
		r.fail("tool_choice", "tool_choice: there are no tools")
	}
	return out
}

// appendSchemaTool appends the tool by which a model that knows no structured
// answers gives one: its input is the answer.
func (r *request) appendSchemaTool(out []byte) []byte {
	if r.tools != nil || len(r.called) > 0 {
		r.unsupported("response_format", "the model "+r.name+" takes none together with tools")
		return out
	}
	r.note.schema = true
	out = appendObjectSchema(append(out, `,"tools":[{"name":"`+schemaTool+`","input_schema":`...), r.format)
	return append(out, `}],"tool_choice":{"type":"tool","name":"`+schemaTool+`"}`...)
}

// appendTool appends one tool. One that is no function of OpenAI's form is
// Anthropic's own, and stays as it is.
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
	case string(kind) == `"custom"` && function == nil && hasMember(raw, "custom"):
		r.unsupported(at("type"), "it knows functions alone")
		return out
	case function == nil:
		return append(out, raw...)
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
	out = r.appendName(append(out, `{"name":`...), name)
	out = appendObjectSchema(append(out, `,"input_schema":`...), parameters)
	out = append(out, `,"type":"custom"`...)
	if !rawjson.IsNull(description) {
		out = append(append(out, `,"description":`...), description...)
	}
	if string(strict) == "true" && r.schema {
		out = append(out, `,"strict":true`...)
	} else if string(strict) == "true" {
		r.leaveOut(at("function.strict"), "the model "+r.name+" does not know it")
	}
	if !rawjson.IsNull(cache) {
		out = append(append(out, `,"cache_control":`...), cache...)
	}
	return append(out, '}')
}

func hasMember(raw []byte, name string) (found bool) {
	_, _ = rawjson.Object(raw, func(key, _ []byte) { found = found || string(key) == name })
	return found
}

// appendToolChoice appends which tools are to be called, and whether several at
// once.
func (r *request) appendToolChoice(out []byte) []byte {
	one := string(r.parallel) == "false"
	var kind string
	var name []byte
	switch string(r.toolChoice) {
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
		if kind, name = r.namedChoice(); kind == "" {
			return appendMember(out, []byte("tool_choice"), r.toolChoice) // Anthropic's own form
		}
	}
	out = append(append(append(out, `,"tool_choice":{"type":"`...), kind...), '"')
	if name != nil {
		out = r.appendName(append(out, `,"name":`...), name)
	}
	if one {
		out = append(out, `,"disable_parallel_tool_use":true`...)
	}
	return append(out, '}')
}

// namedChoice reads a tool_choice that is an object; kind is empty for one of
// Anthropic's own form.
func (r *request) namedChoice() (kind string, name []byte) {
	var is, function []byte
	_, _ = rawjson.Object(r.toolChoice, func(key, value []byte) {
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
		r.leaveOut("tool_choice", "it knows no list of allowed tools: give only those in tools")
		return "auto", nil
	}
	r.fail("tool_choice", "tool_choice: must be auto, none, required or a function's name")
	return "auto", nil
}

// appendName appends a tool's name. Anthropic takes fewer characters than others
// do: where one does not fit, it gets another name, which the answer's reader
// turns back.
func (r *request) appendName(out, raw []byte) []byte {
	name := plain(raw)
	if safe(name) && len(name) <= maxName {
		return append(append(append(out, '"'), name...), '"')
	}
	return append(append(append(out, '"'), r.rename(string(name))...), '"')
}

// maxName is the length of a tool's name that every way to Anthropic takes.
const maxName = 64

func (r *request) rename(name string) string {
	for _, known := range r.note.renamed {
		if known.name == name {
			return known.sent
		}
	}
	sent := string(appendSafe(nil, []byte(name)))
	if len(sent) > maxName || sent == "" || r.taken(sent) {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(name))
		sent = sent[:min(len(sent), maxName-9)] + "_" + strconv.FormatUint(uint64(hash.Sum32())|1<<31, 16)
	}
	r.note.renamed = append(r.note.renamed, renamed{name, sent})
	return sent
}

// taken reports whether another tool has that name.
func (r *request) taken(name string) (taken bool) {
	for _, known := range r.note.renamed {
		taken = taken || known.sent == name
	}
	_, _ = rawjson.Array(r.tools, func(raw []byte) {
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			if string(key) == "function" {
				_, _ = rawjson.Object(value, func(key, value []byte) {
					taken = taken || string(key) == "name" && string(plain(value)) == name
				})
			}
		})
	})
	return taken
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
