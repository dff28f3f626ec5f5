package openai

import (
	"bytes"
	"encoding/json"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// body is an answer's top level, read once: the success it may be and the
// shapes that servers give to errors.
type body struct {
	failure json.RawMessage // "error"

	choices, data, results, output array
	usage, status                  json.RawMessage

	// Flat errors, and FastAPI's.
	object, message, detail, errors, kind, code, param json.RawMessage

	provider, extra json.RawMessage // who answered, behind a gateway

	valid bool   // JSON of any kind
	raw   []byte // all of it
}

// array is an array of which only the presence of members counts.
type array struct {
	is  bool // is an array at all
	any bool // has a member
	raw []byte
}

func arrayOf(raw []byte) array {
	a := array{is: len(raw) > 0 && raw[0] == '[', raw: raw}
	a.any = a.is && len(bytes.TrimSpace(raw[1:])) > 1
	return a
}

// fault is the error inside one of a list of choices.
func (a array) fault() []byte {
	if !a.any || !bytes.Contains(a.raw, []byte(`"error"`)) {
		return nil
	}
	var choices []struct {
		Error  json.RawMessage `json:"error"`
		Finish string          `json:"finish_reason"`
	}
	_ = json.Unmarshal(a.raw, &choices)
	var found []byte
	for _, c := range choices {
		switch {
		case protocol.Present(c.Error):
			found = c.Error
		case c.Finish == "error" && found == nil:
			found = []byte(`"the upstream ended the answer with an error"`)
		}
	}
	return found
}

func parseBody(raw []byte) body {
	b := body{raw: raw}
	var object bool
	if object, b.valid = rawjson.Object(raw, b.take); object {
		return b
	}
	b = body{raw: raw, valid: b.valid}
	if trimmed := bytes.TrimSpace(raw); b.valid && trimmed[0] == '[' { // Gemini puts its errors into an array
		var all []json.RawMessage
		if json.Unmarshal(raw, &all) == nil && len(all) > 0 {
			_, _ = rawjson.Object(all[0], b.take)
		}
	}
	return b
}

// take keeps one member of the top level, where it says something.
func (b *body) take(key, value []byte) {
	switch string(rawjson.FoldedKey(key)) {
	case "error":
		b.failure = value
	case "choices":
		b.choices = arrayOf(value)
	case "data":
		b.data = arrayOf(value)
	case "results":
		b.results = arrayOf(value)
	case "output":
		b.output = arrayOf(value)
	case "usage":
		b.usage = value
	case "status":
		b.status = value
	case "object":
		b.object = value
	case "message":
		b.message = value
	case "detail":
		b.detail = value
	case "errors":
		b.errors = value
	case "type":
		b.kind = value
	case "code":
		b.code = value
	case "param":
		b.param = value
	case "provider":
		b.provider = value
	case "extra_fields":
		b.extra = value
	}
}

// fault returns the error in the body, and whether there certainly is one.
func (b *body) fault() (f protocol.Fault, failed bool) {
	if !b.valid {
		f.Message, f.Loose = protocol.Plain(b.raw), true
		return f, true
	}
	if protocol.Present(b.failure) && string(b.failure) != "true" {
		f.Read(b.failure)
		f.By(b.provider, b.extra)
		if f.Code == "" {
			f.Code = protocol.Scalar(b.code)
		}
		if f.Message == "" {
			f.Message = protocol.Scalar(b.message)
		}
		return f, true
	}
	if inner := b.choices.fault(); inner != nil {
		f.Read(inner)
		return f, true
	}
	empty := !b.choices.any && !b.data.any && !b.results.any && !b.output.any
	switch {
	case string(b.object) == `"error"`, string(b.failure) == "true", string(b.kind) == `"error"`,
		empty && (protocol.Present(b.detail) || protocol.Scalar(b.message) != "" || protocol.Present(b.errors)):
		f.Read(b.raw)
		return f, true
	case string(b.status) == `"failed"`, string(b.status) == `"cancelled"`:
		f.Message = "the upstream reports the response as " + protocol.Scalar(b.status)
		return f, true
	}
	return f, false
}

// text is the beginning of the body.
func (b *body) text() []byte { return b.raw[:min(len(b.raw), 4<<10)] }

// lacks says what a success of the endpoint must have and this one does not;
// empty when nothing.
func (b *body) lacks(endpoint schema.Endpoint) string {
	switch endpoint {
	case schema.Embeddings:
		if !b.data.any {
			return "the answer holds no embeddings"
		}
	case protocol.ListModels: // an empty list is one
		if !b.data.is {
			return "the answer is no list of models"
		}
	case schema.Moderations:
		if !b.results.any {
			return "the answer holds no results"
		}
	case schema.Responses: // one that runs in the background has no output yet
		if !b.output.any && !protocol.Present(b.status) {
			return "the answer holds no output"
		}
	default:
		if !b.choices.any {
			return "the answer holds no choices"
		}
		if bytes.Contains(b.choices.raw, []byte("null")) && !b.choices.answer() {
			return "the answer's choices hold no message"
		}
	}
	return ""
}

// answer reports whether any of a list of choices is one.
func (a array) answer() (is bool) {
	rawjson.Array(a.raw, func(raw []byte) {
		none := false
		object, _ := rawjson.Object(raw, func(key, value []byte) {
			none = none || string(key) == "message" && string(value) == "null"
		})
		is = is || object && !none
	})
	return is
}

// withheld reports whether the answer was kept back for its content: each choice ended
// by the filter, and nothing of it was said.
func (b *body) withheld(endpoint schema.Endpoint) bool {
	switch {
	case !bytes.Contains(b.raw, []byte("content_filter")):
		return false
	case endpoint == schema.Responses:
		return string(b.status) == `"incomplete"` && !bytes.Contains(b.output.raw, []byte(`"output_text"`)) && !bytes.Contains(b.output.raw, []byte(`"function_call"`))
	}
	all, any := true, false
	rawjson.Array(b.choices.raw, func(raw []byte) {
		var filtered, said bool
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			switch string(key) {
			case "finish_reason":
				filtered = string(value) == `"content_filter"`
			case "text":
				said = said || protocol.Present(value)
			case "message":
				_, _ = rawjson.Object(value, func(key, value []byte) {
					switch string(key) {
					case "content", "tool_calls", "function_call", "refusal", "audio":
						said = said || protocol.Present(value)
					}
				})
			}
		})
		all, any = all && filtered && !said, true
	})
	return all && any
}
