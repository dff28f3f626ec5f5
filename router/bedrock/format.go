package bedrock

import (
	"bytes"
	"encoding/json"

	"pelton/internal/rawjson"
	"pelton/router/anthropic"
	"pelton/router/internal/translate"
)

// takeFormat reads response_format.
func (r *request) takeFormat(value []byte) {
	var kind, inside []byte
	_, _ = rawjson.Object(value, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "json_schema":
			inside = value
		}
	})
	switch string(kind) {
	case `"text"`:
	case `"json_schema"`:
		_, _ = rawjson.Object(inside, func(key, value []byte) {
			switch {
			case string(key) == "schema" && rawjson.IsObject(value):
				r.format = value
			case string(key) == "name":
				r.formatName = value
			case string(key) == "description" && !rawjson.IsNull(value):
				r.formatText = value
			}
		})
		if r.format == nil {
			r.Fail("response_format", "response_format.json_schema.schema: missing")
		}
	case `"json_object"`:
		r.LeaveOut("response_format", "it has no mode for JSON without a schema: give one by json_schema")
	default:
		r.Fail("response_format", "response_format.type: must be text, json_object or json_schema")
	}
}

// appendFormat appends the form of the answer, for models that take one.
func (r *request) appendFormat(out []byte) []byte {
	switch {
	case r.outputConfig != nil && r.format != nil:
		r.Fail("outputConfig", "outputConfig: given besides response_format; keep one")
		return out
	case r.outputConfig != nil:
		return translate.AppendMember(out, "outputConfig", r.outputConfig)
	case r.format == nil || !r.formats:
		return out
	}
	closed, err := anthropic.AppendSchema(nil, r.format)
	if err != nil {
		r.Unsupported("response_format", "it takes no schema with additionalProperties: name the properties, and set additionalProperties to false")
		return out
	}
	var compact bytes.Buffer
	if json.Compact(&compact, closed) == nil {
		closed = compact.Bytes()
	}
	out = append(translate.Comma(out), `"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":`...)
	out = rawjson.AppendString(out, closed)
	if rawjson.IsString(r.formatName) {
		out = translate.AppendMember(out, "name", r.formatName)
	}
	if r.formatText != nil {
		out = translate.AppendMember(out, "description", r.formatText)
	}
	return append(out, `}}}}`...)
}
