package dataset

import (
	"bytes"
	"encoding/json"
)

// The values of a row as templates see them. They are what encoding/json makes,
// but print as a prompt wants them: numbers as they were written, null as
// nothing rather than "<no value>", and arrays and objects as JSON rather than
// in Go's notation.
type (
	object map[string]any
	array  []any
	null   string
)

func (o object) String() string           { return asJSON(map[string]any(o)) }
func (a array) String() string            { return asJSON([]any(a)) }
func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// textRow is a line of text, as {{.}} and as {{.line}}.
type textRow map[string]any

func (t textRow) String() string { return t["line"].(string) }

func forTemplate(v any) any {
	switch v := v.(type) {
	case nil:
		return null("")
	case map[string]any:
		for key, value := range v {
			v[key] = forTemplate(value)
		}
		return object(v)
	case []any:
		for i, value := range v {
			v[i] = forTemplate(value)
		}
		return array(v)
	}
	return v
}

func asJSON(v any) string { return string(appendJSON(nil, v)) }

// appendJSON appends v without escaping what only HTML minds.
func appendJSON(dst []byte, v any) []byte {
	buffer := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil { // of values that JSON gave us
		panic(err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}
