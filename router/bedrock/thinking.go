package bedrock

import (
	"bytes"
	"encoding/json"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/anthropic"
)

// think notes how much the model is to think, each family in its own words, and
// the bound on the answer.
func (r *request) think() {
	if r.bound = r.maxTokens; r.maxCompletion != nil {
		r.bound = r.maxCompletion
	}
	switch r.family {
	case claude:
		r.thinkClaude()
	default:
		r.effortOf()
		if r.thinking != nil {
			r.extras = append(r.extras, extra{"thinking", r.thinking})
		}
		if r.output != nil {
			r.extras = append(r.extras, extra{"output_config", r.output})
		}
	}
}

func (r *request) thinkClaude() {
	if r.effort == nil && r.thinking == nil && r.output == nil {
		return
	}
	t := anthropic.Thinking{Thinking: r.thinking, Effort: r.effort, Output: r.output}
	t.MaxTokens, _ = strconv.Atoi(string(r.bound))
	members, err := t.Append([]byte("{"), r.name, r.drop)
	if err != nil && r.err == nil {
		r.err = err
	}
	if len(members) > 1 {
		if members[1] == ',' {
			members = append([]byte("{"), members[2:]...)
		}
		members = append(members, '}')
		_, _ = rawjson.Object(members, func(key, value []byte) { r.extras = append(r.extras, extra{string(key), value}) })
	}
	if r.ponders = t.Ponders; t.Budget > 0 && r.bound == nil { // an answer needs room behind the thoughts
		r.bound = strconv.AppendInt(nil, int64(t.Budget+4096), 10)
	}
}

// effortOf notes the effort for models that are not Anthropic's.
func (r *request) effortOf() {
	level := string(r.effort)
	switch {
	case r.effort == nil:
	case r.family == gptOSS && (level == `"low"` || level == `"medium"` || level == `"high"`):
		r.extras = append(r.extras, extra{"reasoning_effort", r.effort})
	case r.family == nova2:
		switch level {
		case `"none"`:
			r.extras = append(r.extras, extra{"reasoningConfig", []byte(`{"type":"disabled"}`)})
			return
		case `"minimal"`:
			level = `"low"`
		case `"low"`, `"medium"`, `"high"`:
		default:
			r.leaveOut("reasoning_effort", "the model "+r.name+" does not know the value "+rawjson.Text(r.effort))
			return
		}
		r.extras = append(r.extras, extra{"reasoningConfig", []byte(`{"type":"enabled","maxReasoningEffort":` + level + `}`)})
	case r.family == nova && level == `"none"`: // it does not think
	case r.family == gptOSS:
		r.leaveOut("reasoning_effort", "the model "+r.name+" does not know the value "+rawjson.Text(r.effort))
	default:
		r.leaveOut("reasoning_effort", "nothing is known of how "+r.name+" is told; additionalModelRequestFields goes to the model as it is")
	}
}

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
			r.fail("response_format", "response_format.json_schema.schema: missing")
		}
	case `"json_object"`:
		r.leaveOut("response_format", "it has no mode for JSON without a schema: give one by json_schema")
	default:
		r.fail("response_format", "response_format.type: must be text, json_object or json_schema")
	}
}

// appendFormat appends the form of the answer, for models that take one.
func (r *request) appendFormat(out []byte) []byte {
	switch {
	case r.outputConfig != nil && r.format != nil:
		r.fail("outputConfig", "outputConfig: given besides response_format; keep one")
		return out
	case r.outputConfig != nil:
		return appendMember(out, "outputConfig", r.outputConfig)
	case r.format == nil || !r.formats:
		return out
	}
	closed, err := anthropic.AppendSchema(nil, r.format)
	if err != nil {
		r.unsupported("response_format", "it takes no schema with additionalProperties: name the properties, and set additionalProperties to false")
		return out
	}
	var compact bytes.Buffer
	if json.Compact(&compact, closed) == nil {
		closed = compact.Bytes()
	}
	out = append(comma(out), `"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":`...)
	out = rawjson.AppendString(out, closed)
	if rawjson.IsString(r.formatName) {
		out = appendMember(out, "name", r.formatName)
	}
	if r.formatText != nil {
		out = appendMember(out, "description", r.formatText)
	}
	return append(out, `}}}}`...)
}
