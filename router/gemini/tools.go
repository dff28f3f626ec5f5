package gemini

import (
	"bytes"

	"pelton/internal/rawjson"
)

// toolCall is a call in the history, as written.
type toolCall struct{ id, function, own, extra []byte }

func (c *toolCall) take(key, value []byte) {
	switch string(key) {
	case "id":
		c.id = value
	case "function":
		c.function = value
	case "provider_specific_fields":
		c.own = value
	case "extra_content":
		c.extra = value
	}
}

func (r *request) toolCall(raw []byte, number int) {
	var c toolCall
	_, _ = rawjson.Object(raw, c.take)
	if c.function == nil {
		r.bad(r.at(".tool_calls"), "call %d is none of a function", number)
		return
	}
	r.functionCall(c, r.at(".tool_calls"), number == 0)
}

// signatureMark stands in a call's id before its thought signature, where LiteLLM
// made the id.
const signatureMark = "__thought__"

// plainID is an id without a signature in it.
func plainID(id []byte) []byte {
	plain, _, _ := bytes.Cut(id, []byte(signatureMark))
	return plain
}

// anySignature is what Google has a client send for a call that another model
// made, or that has lost its signature: Gemini 3 refuses calls without one.
const anySignature = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="

// functionCall writes a call of the model's, first says that it is its turn's
// first.
func (r *request) functionCall(c toolCall, where string, first bool) {
	var name, arguments, own []byte
	_, _ = rawjson.Object(c.function, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "arguments":
			arguments = value
		case "provider_specific_fields":
			own = value
		}
	})
	if len(inner(name)) == 0 {
		r.bad(where, "a call has no name")
		return
	}
	id := plainID(inner(c.id))
	r.made = append(r.made, call{id, inner(name)})
	r.open(modelTurn)
	r.out = append(r.out, `{"function_call":{"name":`...)
	r.appendName(inner(name))
	r.out = append(r.out, `,"args":`...)
	before := len(r.out)
	if rawjson.IsObject(arguments) {
		r.out = append(r.out, arguments...)
	} else {
		r.out = rawjson.AppendText(r.out, arguments)
	}
	switch object, _ := rawjson.Object(r.out[before:], nil); {
	case object:
	case len(bytes.TrimSpace(r.out[before:])) == 0:
		r.out = append(r.out[:before], "{}"...)
	default:
		r.bad(where, "the arguments of the call of %s are no JSON object", inner(name))
		return
	}
	if r.three && len(id) > 0 {
		r.out = append(append(append(r.out, `,"id":"`...), id...), '"')
	}
	r.out = append(r.out, '}')
	signature := signatureOf(&c, own)
	if signature == nil && first && r.three {
		signature = []byte(anySignature)
	}
	if signature != nil {
		r.out = append(append(append(r.out, `,"thoughtSignature":"`...), signature...), '"')
	}
	r.out = append(r.out, '}')
}

// signatureOf finds a call's thought signature: where this package and LiteLLM
// put it, where Google's OpenAI endpoint does, or in the id.
func signatureOf(c *toolCall, inFunction []byte) (signature []byte) {
	find := func(raw []byte) {
		if raw != nil && signature == nil {
			_, _ = rawjson.Object(raw, func(key, value []byte) {
				if string(key) == "thought_signature" {
					signature = inner(value)
				}
			})
		}
	}
	find(c.own)
	find(inFunction)
	if c.extra != nil {
		_, _ = rawjson.Object(c.extra, func(key, value []byte) {
			if string(key) == "google" {
				find(value)
			}
		})
	}
	if _, after, ok := bytes.Cut(inner(c.id), []byte(signatureMark)); ok && signature == nil {
		signature = after
	}
	if len(signature) == 0 {
		return nil
	}
	return signature
}

// appendTools writes the tools and how they are to be used.
func (r *request) appendTools() {
	var declared, others, strict bool
	each := func(declare func(function []byte), other func(raw []byte)) {
		if r.tools != nil {
			number := 0
			if array, _ := rawjson.Array(r.tools, func(raw []byte) {
				r.tool(raw, number, declare, other)
				number++
			}); !array {
				r.bad("tools", "must be an array")
			}
		}
		if r.functions != nil {
			rawjson.Array(r.functions, declare)
		}
	}
	each(func(function []byte) {
		if !declared {
			declared = true
			r.member("tools")
			r.out = append(r.out, `[{"function_declarations":[`...)
		} else {
			r.out = append(r.out, ',')
		}
		strict = r.declare(function) || strict
	}, func([]byte) { others = true })
	switch {
	case declared:
		r.out = append(r.out, "]}"...)
	case others || r.search != nil:
		r.member("tools")
		r.out = append(r.out, '[')
	default:
		r.appendChoice(false)
		return
	}
	own := func(raw []byte) {
		if r.out[len(r.out)-1] != '[' {
			r.out = append(r.out, ',')
		}
		r.out = append(r.out, raw...)
	}
	if others {
		each(func([]byte) {}, own)
	}
	if r.search != nil {
		own([]byte(`{"googleSearch":{}}`))
		if string(r.search) != "{}" {
			r.unsupported("web_search_options", "Google's search has no options: it must be {}")
		}
	}
	r.out = append(r.out, ']')
	r.appendChoice(strict)
}

// tool takes one of the tools apart: a function, or one of Google's own.
func (r *request) tool(raw []byte, number int, declare, other func(raw []byte)) {
	var kind, function []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "function":
			function = value
		}
	})
	switch {
	case function != nil:
		declare(function)
	case kind == nil && rawjson.IsObject(raw): // such as {"googleSearch":{}}
		other(raw)
	default:
		r.bad("tools", "tool %d is neither a function nor one of Google's own, such as {\"googleSearch\":{}}", number)
	}
}

// declare writes a function, and reports whether it is strict. The schema goes
// into parameters where Google's own kind of schema has all that is in it, else
// as the JSON Schema that it is.
func (r *request) declare(function []byte) (strict bool) {
	var name, description, parameters []byte
	_, _ = rawjson.Object(function, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "description":
			description = value
		case "parameters":
			parameters = value
		case "strict":
			strict = string(value) == "true"
		}
	})
	if len(inner(name)) == 0 {
		r.bad("tools", "a function has no name")
		return false
	}
	r.out = append(r.out, `{"name":`...)
	r.appendName(inner(name))
	if rawjson.IsString(description) {
		r.out = append(append(r.out, `,"description":`...), description...)
	}
	switch {
	case rawjson.IsNull(parameters):
	case isSubset(parameters):
		r.out = append(append(r.out, `,"parameters":`...), parameters...)
	default:
		r.out = append(append(r.out, `,"parametersJsonSchema":`...), parameters...)
	}
	r.out = append(r.out, '}')
	return strict
}

// isSubset reports whether a JSON Schema is one that Google's own kind of schema
// takes as it is.
func isSubset(raw []byte) bool {
	ok, properties, object := true, false, false
	isObject, _ := rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			ok = ok && rawjson.IsString(value)
			object = string(value) == `"object"`
		case "title", "description", "pattern":
		case "nullable", "required", "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "minProperties", "maxProperties":
		case "enum":
			rawjson.Array(value, func(value []byte) { ok = ok && rawjson.IsString(value) })
		case "items":
			ok = ok && isSubset(value)
		case "anyOf":
			rawjson.Array(value, func(value []byte) { ok = ok && isSubset(value) })
		case "properties":
			_, _ = rawjson.Object(value, func(_, value []byte) { properties, ok = true, ok && isSubset(value) })
		default:
			ok = false
		}
	})
	return isObject && ok && (properties || !object)
}

// appendChoice writes which tools are to be called.
func (r *request) appendChoice(strict bool) {
	var mode string
	var named []byte
	choice := r.choice
	if choice == nil {
		choice = r.calls
	}
	switch string(choice) {
	case "":
		if !strict {
			return
		}
		mode = "VALIDATED"
	case `"auto"`:
		if mode = "AUTO"; strict {
			mode = "VALIDATED" // as AUTO, with arguments held to their schemas
		}
	case `"none"`:
		mode = "NONE"
	case `"required"`, `"any"`:
		mode = "ANY"
	default:
		mode, named = r.namedChoice(choice)
	}
	if r.err != nil || mode == "" {
		return
	}
	r.member("toolConfig")
	r.out = append(append(append(r.out, `{"functionCallingConfig":{"mode":"`...), mode...), '"')
	if named != nil {
		r.out = append(append(append(r.out, `,"allowed_function_names":[`...), named...), ']')
	}
	r.out = append(r.out, "}}"...)
}

// namedChoice reads a choice that names functions: one, or those allowed.
func (r *request) namedChoice(choice []byte) (mode string, named []byte) {
	var name, function, allowed []byte
	_, _ = rawjson.Object(choice, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "function":
			function = value
		case "allowed_tools":
			allowed = value
		}
	})
	names := func(raw []byte) {
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			if string(key) == "name" {
				name = value
			}
		})
	}
	written := r.out
	r.out = nil
	defer func() { r.out = written }()
	if allowed == nil {
		names(function)
		if len(inner(name)) == 0 {
			r.bad("tool_choice", "must be auto, none, required, or name a function")
			return "", nil
		}
		r.appendName(inner(name))
		return "ANY", r.out
	}
	var how []byte
	_, _ = rawjson.Object(allowed, func(key, value []byte) {
		switch string(key) {
		case "mode":
			how = value
		case "tools":
			rawjson.Array(value, func(raw []byte) {
				_, _ = rawjson.Object(raw, func(key, value []byte) {
					if string(key) == "function" {
						names(value)
					}
				})
				if len(r.out) > 0 {
					r.out = append(r.out, ',')
				}
				r.appendName(inner(name))
			})
		}
	})
	if string(how) != `"required"` {
		r.unsupported("tool_choice", "Gemini can be held to some functions only where one must be called")
		return "", nil
	}
	return "ANY", r.out
}
