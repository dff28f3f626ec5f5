package anthropic

import (
	"bytes"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// A schema of a structured answer must keep to a part of JSON Schema, or the
// request is refused. What lies outside of it and narrows a value (minimum,
// maxLength, pattern …) stands in the value's description then, keyword and
// value as they are, as Anthropic's own SDKs do it: nothing of a schema is lost,
// and nothing is added to it but the false that closes an object.

// answerSchema writes a schema in that form.
type answerSchema struct {
	open bool // an object may have further members, which cannot be said
}

// append appends the schema raw.
func (a *answerSchema) append(out, raw []byte) []byte {
	if !rawjson.IsObject(raw) {
		return append(out, raw...)
	}
	var kind, closed, properties, description []byte
	var rest restOf
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "additionalProperties":
			closed = value
		case "properties":
			properties = value
		case "description":
			description = value
		}
	})
	out = append(out, '{')
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type", "$ref", "enum", "const", "title", "required", "default":
			out = translate.AppendMember(out, key, value)
		case "items":
			out = a.append(translate.AppendKey(out, key), value)
		case "properties", "$defs", "definitions":
			out = a.appendMembers(translate.AppendKey(out, key), value)
		case "anyOf", "allOf":
			out = a.appendList(translate.AppendKey(out, key), value)
		case "oneOf":
			out = a.appendList(translate.AppendKey(out, []byte("anyOf")), value)
		case "format":
			if formats[string(value)] {
				out = translate.AppendMember(out, key, value)
			} else {
				rest.add(key, value)
			}
		case "minItems":
			if string(value) == "0" || string(value) == "1" {
				out = translate.AppendMember(out, key, value)
			} else {
				rest.add(key, value)
			}
		case "description", "additionalProperties", "$schema", "$id", "$comment":
		default:
			rest.add(key, value)
		}
	})
	if properties != nil || bytes.Contains(kind, []byte(`"object"`)) {
		if closed != nil && string(closed) != "false" {
			a.open = true
		}
		out = append(translate.Comma(out), `"additionalProperties":false`...)
	}
	if description = rest.describe(description); description != nil {
		out = translate.AppendMember(out, []byte("description"), description)
	}
	return append(out, '}')
}

// formats are the formats of texts that are kept to.
var formats = map[string]bool{
	`"date-time"`: true, `"time"`: true, `"date"`: true, `"duration"`: true, `"email"`: true,
	`"hostname"`: true, `"uri"`: true, `"ipv4"`: true, `"ipv6"`: true, `"uuid"`: true,
}

func (a *answerSchema) appendMembers(out, raw []byte) []byte {
	out = append(out, '{')
	_, _ = rawjson.Object(raw, func(key, value []byte) { out = a.append(translate.AppendKey(out, key), value) })
	return append(out, '}')
}

func (a *answerSchema) appendList(out, raw []byte) []byte {
	out = append(out, '[')
	_, _ = rawjson.Array(raw, func(value []byte) { out = a.append(translate.Comma(out), value) })
	return append(out, ']')
}

// restOf collects the keywords of a schema that go into its description.
type restOf struct{ text []byte }

func (o *restOf) add(key, value []byte) {
	if o.text != nil {
		o.text = append(o.text, ", "...)
	}
	o.text = append(append(append(o.text, key...), ": "...), value...)
}

// describe is the description with the keywords behind it; nil: there is none.
func (o *restOf) describe(description []byte) []byte {
	if o.text == nil {
		return description
	}
	text := []byte{}
	if rawjson.IsString(description) {
		text = append(append(text, rawjson.Text(description)...), "\n\n"...)
	}
	text = append(append(append(text, '{'), o.text...), '}')
	return rawjson.AppendString(nil, text)
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
		return append(out, `{"type":"object","properties":{}}`...)
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
