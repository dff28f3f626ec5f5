package router

import (
	"bytes"
	"encoding/json"
	"strings"

	"pelton/schema"
)

// body is an answer's top level, read once: the success it may be and the
// shapes that servers give to errors.
type body struct {
	Error   json.RawMessage `json:"error"`
	Choices array           `json:"choices"`
	Data    array           `json:"data"`
	Results array           `json:"results"`
	Output  array           `json:"output"`
	Usage   json.RawMessage `json:"usage"`
	Status  json.RawMessage `json:"status"`

	// Flat errors, and FastAPI's.
	Object  json.RawMessage `json:"object"`
	Message json.RawMessage `json:"message"`
	Detail  json.RawMessage `json:"detail"`
	Errors  json.RawMessage `json:"errors"`
	Type    json.RawMessage `json:"type"`
	Code    json.RawMessage `json:"code"`
	Param   json.RawMessage `json:"param"`

	valid bool   // JSON of any kind
	raw   []byte // all of it
}

// array is an array of which only the presence of members counts.
type array struct {
	is    bool   // is an array at all
	any   bool   // has a member
	fault []byte // the error inside a choice
}

// UnmarshalJSON looks at the array without copying it.
func (l *array) UnmarshalJSON(b []byte) error {
	rest, isArray := bytes.CutPrefix(b, []byte("["))
	l.is = isArray
	l.any = isArray && len(bytes.TrimSpace(rest)) > 1
	if !l.any || !bytes.Contains(b, []byte(`"error"`)) {
		return nil
	}
	var choices []struct {
		Error  json.RawMessage `json:"error"`
		Finish string          `json:"finish_reason"`
	}
	_ = json.Unmarshal(b, &choices)
	for _, c := range choices {
		switch {
		case present(c.Error):
			l.fault = c.Error
		case c.Finish == "error" && l.fault == nil:
			l.fault = []byte(`"the upstream ended the answer with an error"`)
		}
	}
	return nil
}

func parseBody(raw []byte) body {
	b := body{raw: raw}
	err := json.Unmarshal(raw, &b)
	switch err.(type) {
	case nil:
		b.valid = true
	case *json.UnmarshalTypeError: // no object
		b.valid = true
		var all []json.RawMessage // Gemini puts its errors into an array
		if json.Unmarshal(raw, &all) == nil && len(all) > 0 {
			_ = json.Unmarshal(all[0], &b)
		}
	}
	return b
}

// present reports whether raw is a value that says something.
func present(raw []byte) bool {
	switch string(raw) {
	case "", "null", "false", "0", `""`, "{}", "[]":
		return false
	}
	return true
}

// fault returns the error in the body, and whether there certainly is one. A
// body of a failed status that holds none gives what text it has.
func (b body) fault() (fault, bool) {
	var f fault
	switch {
	case !b.valid:
		f.message = plain(b.raw)
	case present(b.Error) && string(b.Error) != "true":
		f.read(b.Error)
		if f.code == "" {
			f.code = scalar(b.Code)
		}
		if f.message == "" {
			f.message = scalar(b.Message)
		}
	case b.Choices.fault != nil:
		f.read(b.Choices.fault)
	case scalar(b.Object) == "error", string(b.Error) == "true", scalar(b.Type) == "error",
		!b.Choices.any && !b.Data.any && !b.Results.any && !b.Output.any && (present(b.Detail) || scalar(b.Message) != "" || present(b.Errors)):
		f.read(b.raw)
	case scalar(b.Status) == "failed" || scalar(b.Status) == "cancelled":
		f.message = "the upstream reports the response as " + scalar(b.Status)
	default:
		return fault{message: bound(strings.TrimSpace(string(b.raw)), maxMessage)}, false
	}
	return f, true
}

// namesModel reports whether the body is a server's word on a model, not on a path.
func (b body) namesModel() bool {
	f, failed := b.fault()
	return failed && b.valid && (f.named(deadCodes) || strings.Contains(strings.ToLower(f.message), "model"))
}

func (b body) text() []byte { return b.raw[:min(len(b.raw), 4<<10)] }

// lacks says what a success of the endpoint must have and this one does not;
// empty when nothing.
func (b body) lacks(endpoint schema.Endpoint) string {
	switch endpoint {
	case schema.Embeddings:
		if !b.Data.any {
			return "the answer holds no embeddings"
		}
	case listModels: // an empty list is one
		if !b.Data.is {
			return "the answer is no list of models"
		}
	case schema.Moderations:
		if !b.Results.any {
			return "the answer holds no results"
		}
	case schema.Responses: // one that runs in the background has no output yet
		if !b.Output.any && !present(b.Status) {
			return "the answer holds no output"
		}
	default:
		if !b.Choices.any {
			return "the answer holds no choices"
		}
	}
	return ""
}
