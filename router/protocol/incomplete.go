package protocol

import (
	"bytes"

	"pelton/internal/rawjson"
	"pelton/schema"
)

// Incomplete says of an answer in OpenAI's form, a success, why it is not all that was
// asked for: [schema.IncompleteFilter] where a filter cut it short, and
// [schema.IncompleteLength] where its length did and the request wanted JSON, of which a
// part is none. Empty: it is whole, or cut where the request could have expected it.
func Incomplete(endpoint schema.Endpoint, request, answer []byte) (why string) {
	filtered := bytes.Contains(answer, []byte(`"content_filter"`))
	cut := bytes.Contains(answer, []byte(`"length"`)) || bytes.Contains(answer, []byte(`"max_output_tokens"`))
	if cut = cut && wantsJSON(request); !filtered && !cut {
		return ""
	}
	note := func(reason string) {
		switch {
		case filtered && reason == `"content_filter"`:
			why = schema.IncompleteFilter
		case cut && why == "" && (reason == `"length"` || reason == `"max_output_tokens"`):
			why = schema.IncompleteLength
		}
	}
	_, _ = rawjson.Object(answer, func(key, value []byte) {
		switch {
		case endpoint == schema.Responses && string(key) == "incomplete_details":
			_, _ = rawjson.Object(value, func(key, value []byte) {
				if string(key) == "reason" {
					note(string(value))
				}
			})
		case endpoint != schema.Responses && string(key) == "choices":
			rawjson.Array(value, func(choice []byte) {
				_, _ = rawjson.Object(choice, func(key, value []byte) {
					if string(key) == "finish_reason" {
						note(string(value))
					}
				})
			})
		}
	})
	return why
}

// wantsJSON reports whether a request asks for an answer that is JSON.
func wantsJSON(request []byte) (wants bool) {
	if !bytes.Contains(request, []byte("json_schema")) && !bytes.Contains(request, []byte("json_object")) {
		return false
	}
	_, _ = rawjson.Object(request, func(key, value []byte) {
		switch string(rawjson.Key(key)) {
		case "response_format", "text":
			wants = wants || bytes.Contains(value, []byte(`"json_schema"`)) || bytes.Contains(value, []byte(`"json_object"`))
		}
	})
	return wants
}
