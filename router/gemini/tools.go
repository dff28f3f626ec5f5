package gemini

import (
	"bytes"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
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

func (c *conversation) toolCall(raw []byte, number int) {
	var call toolCall
	_, _ = rawjson.Object(raw, call.take)
	if call.function == nil {
		c.bad(c.at(".tool_calls"), "call %d is none of a function", number)
		return
	}
	c.functionCall(call, c.at(".tool_calls"), number == 0)
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
func (c *conversation) functionCall(t toolCall, where string, first bool) {
	var name, arguments, own []byte
	_, _ = rawjson.Object(t.function, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "arguments":
			arguments = value
		case "provider_specific_fields":
			own = value
		}
	})
	if len(translate.Inner(name)) == 0 {
		c.bad(where, "a call has no name")
		return
	}
	id := plainID(translate.Inner(t.id))
	c.made = append(c.made, call{id, translate.Inner(name)})
	c.open(modelTurn)
	c.out = append(c.out, `{"function_call":{"name":`...)
	c.appendName(translate.Inner(name))
	c.out = append(c.out, `,"args":`...)
	before := len(c.out)
	if rawjson.IsObject(arguments) {
		c.out = append(c.out, arguments...)
	} else {
		c.out = rawjson.AppendText(c.out, arguments)
	}
	switch object, _ := rawjson.Object(c.out[before:], nil); {
	case object:
	case len(bytes.TrimSpace(c.out[before:])) == 0:
		c.out = append(c.out[:before], "{}"...)
	default:
		c.bad(where, "the arguments of the call of %s are no JSON object", translate.Inner(name))
		return
	}
	if c.three && len(id) > 0 {
		c.out = append(append(append(c.out, `,"id":"`...), id...), '"')
	}
	c.out = append(c.out, '}')
	signature := signatureOf(&t, own)
	if signature == nil && first && c.three {
		signature = []byte(anySignature)
	}
	if signature != nil {
		c.out = append(append(append(c.out, `,"thoughtSignature":"`...), signature...), '"')
	}
	c.out = append(c.out, '}')
}

// signatureOf finds a call's thought signature: where this package and LiteLLM
// put it, where Google's OpenAI endpoint does, or in the id.
func signatureOf(c *toolCall, inFunction []byte) (signature []byte) {
	find := func(raw []byte) {
		if raw != nil && signature == nil {
			_, _ = rawjson.Object(raw, func(key, value []byte) {
				if string(key) == "thought_signature" {
					signature = translate.Inner(value)
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
	if _, after, ok := bytes.Cut(translate.Inner(c.id), []byte(signatureMark)); ok && signature == nil {
		signature = after
	}
	if len(signature) == 0 {
		return nil
	}
	return signature
}

// tools writes the tools. Values are as they are written.
type tools struct {
	output
	toolParams
}

// toolParams are the parameters of the body that say which tools there are, and
// how they are to be used.
type toolParams struct {
	tools, functions, choice, calls, search []byte
}

// append writes the tools and how they are to be used.
func (t *tools) append() {
	var declared, others, strict bool
	each := func(declare func(function []byte), other func(raw []byte)) {
		if t.tools != nil {
			number := 0
			if array, _ := rawjson.Array(t.tools, func(raw []byte) {
				t.tool(raw, number, declare, other)
				number++
			}); !array {
				t.bad("tools", "must be an array")
			}
		}
		if t.functions != nil {
			rawjson.Array(t.functions, declare)
		}
	}
	each(func(function []byte) {
		if !declared {
			declared = true
			t.member("tools")
			t.out = append(t.out, `[{"function_declarations":[`...)
		} else {
			t.out = append(t.out, ',')
		}
		strict = t.declare(function) || strict
	}, func([]byte) { others = true })
	switch {
	case declared:
		t.out = append(t.out, "]}"...)
	case others || t.search != nil:
		t.member("tools")
		t.out = append(t.out, '[')
	default:
		t.appendChoice(false)
		return
	}
	own := func(raw []byte) {
		if t.out[len(t.out)-1] != '[' {
			t.out = append(t.out, ',')
		}
		t.out = append(t.out, raw...)
	}
	if others {
		each(func([]byte) {}, own)
	}
	if t.search != nil {
		own([]byte(`{"googleSearch":{}}`))
		if string(t.search) != "{}" {
			t.unsupported("web_search_options", "Google's search has no options: it must be {}")
		}
	}
	t.out = append(t.out, ']')
	t.appendChoice(strict)
}

// tool takes one of the tools apart: a function, or one of Google's own.
func (t *tools) tool(raw []byte, number int, declare, other func(raw []byte)) {
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
		t.bad("tools", "tool %d is neither a function nor one of Google's own, such as {\"googleSearch\":{}}", number)
	}
}

// declare writes a function, and reports whether it is strict. The schema goes
// into parameters where Google's own kind of schema has all that is in it, else
// as the JSON Schema that it is.
func (t *tools) declare(function []byte) (strict bool) {
	var f translate.Tool
	f.ReadFunction(function)
	if len(translate.Inner(f.Name)) == 0 {
		t.bad("tools", "a function has no name")
		return false
	}
	t.out = append(t.out, `{"name":`...)
	t.appendName(translate.Inner(f.Name))
	if rawjson.IsString(f.Description) {
		t.out = append(append(t.out, `,"description":`...), f.Description...)
	}
	switch {
	case rawjson.IsNull(f.Parameters):
	case isSubset(f.Parameters):
		t.out = append(append(t.out, `,"parameters":`...), f.Parameters...)
	default:
		t.out = append(append(t.out, `,"parametersJsonSchema":`...), f.Parameters...)
	}
	t.out = append(t.out, '}')
	return string(f.Strict) == "true"
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
func (t *tools) appendChoice(strict bool) {
	var mode string
	var named []byte
	choice := t.choice
	if choice == nil {
		choice = t.calls
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
		mode, named = t.namedChoice(choice)
	}
	if t.err != nil || mode == "" {
		return
	}
	t.member("toolConfig")
	t.out = append(append(append(t.out, `{"functionCallingConfig":{"mode":"`...), mode...), '"')
	if named != nil {
		t.out = append(append(append(t.out, `,"allowed_function_names":[`...), named...), ']')
	}
	t.out = append(t.out, "}}"...)
}

// namedChoice reads a choice that names functions: one, or those allowed.
func (t *tools) namedChoice(choice []byte) (mode string, named []byte) {
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
	written := t.out
	t.out = nil
	defer func() { t.out = written }()
	if allowed == nil {
		names(function)
		if len(translate.Inner(name)) == 0 {
			t.bad("tool_choice", "must be auto, none, required, or name a function")
			return "", nil
		}
		t.appendName(translate.Inner(name))
		return "ANY", t.out
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
				if len(t.out) > 0 {
					t.out = append(t.out, ',')
				}
				t.appendName(translate.Inner(name))
			})
		}
	})
	if string(how) != `"required"` {
		t.unsupported("tool_choice", "Gemini can be held to some functions only where one must be called")
		return "", nil
	}
	return "ANY", t.out
}
