package schema

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Body is a JSON object whose top level is looked at and spliced without
// touching any other byte of it.

// ErrNotObject is returned for a body that is JSON but no object.
var ErrNotObject = errors.New("must be a JSON object")

// field is one top-level member of an object, as offsets into its bytes.
type field struct {
	key              string
	start, end       int // the value
	keyStart, keyEnd int // the key with its quotes
}

// Field returns the raw value of a top-level member of the object body, and
// whether it is there. Of a repeated key it returns the last, as decoders do.
func Field(body []byte, key string) (json.RawMessage, bool) {
	var value json.RawMessage
	found := false
	_ = scanObject(body, func(f field) {
		if f.key == key {
			value, found = body[f.start:f.end], true
		}
	})
	return value, found
}

// StringField is [Field] for a string; it reports false for any other value.
func StringField(body []byte, key string) (string, bool) {
	raw, ok := Field(body, key)
	if !ok || len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// SetField returns body with the top-level member key set to the raw JSON
// value: in its place where it exists (every occurrence), else appended as the
// last. No other byte changes. The argument is not modified.
func SetField(body []byte, key string, value []byte) ([]byte, error) {
	out := make([]byte, 0, len(body)+len(key)+len(value)+4)
	last, found := 0, false
	err := scanObject(body, func(f field) {
		if f.key != key {
			return
		}
		out = append(out, body[last:f.start]...)
		out = append(out, value...)
		last, found = f.end, true
	})
	if err != nil {
		return nil, err
	}
	if found {
		return append(out, body[last:]...), nil
	}
	return appendFields(body, []member{{key, value}}), nil
}

// Merge returns body with every top-level member of defaults that body lacks
// appended. No byte that was there changes.
func Merge(body, defaults []byte) ([]byte, error) {
	if len(defaults) == 0 {
		return body, nil
	}
	have := map[string]bool{}
	if err := scanObject(body, func(f field) { have[f.key] = true }); err != nil {
		return nil, err
	}
	var missing []member
	err := scanObject(defaults, func(f field) {
		if !have[f.key] {
			missing = append(missing, member{f.key, defaults[f.start:f.end]})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	if len(missing) == 0 {
		return body, nil
	}
	return appendFields(body, missing), nil
}

type member struct {
	key   string
	value []byte
}

// appendFields splices members in before the closing brace of a valid object.
func appendFields(body []byte, members []member) []byte {
	end := len(body) - 1
	for body[end] != '}' {
		end--
	}
	head := end // right after the last value, or the opening brace
	for isSpace(body[head-1]) {
		head--
	}
	empty := body[head-1] == '{'
	out := append(make([]byte, 0, len(body)+64), body[:head]...)
	for _, m := range members {
		if !empty {
			out = append(out, ',')
		}
		empty = false
		key, _ := json.Marshal(m.key)
		out = append(append(append(out, key...), ':'), m.value...)
	}
	return append(out, body[head:]...)
}

// scanObject calls visit for each top-level member of the JSON object body, in
// order. It fails, before the first call, unless body is one valid object.
func scanObject(body []byte, visit func(field)) error {
	if !json.Valid(body) {
		var v any
		err := json.Unmarshal(body, &v)
		if err == nil { // cannot be: Valid and Unmarshal share their scanner
			err = errors.New("invalid")
		}
		return fmt.Errorf("not valid JSON: %w", err)
	}
	i := skipSpace(body, 0)
	if body[i] != '{' {
		return ErrNotObject
	}
	for i = skipSpace(body, i+1); body[i] != '}'; {
		var f field
		f.keyStart = i
		i = skipString(body, i)
		f.keyEnd = i
		f.key = keyText(body[f.keyStart:f.keyEnd])
		i = skipSpace(body, skipSpace(body, i)+1) // the colon
		f.start = i
		i = skipValue(body, i)
		f.end = i
		visit(f)
		if i = skipSpace(body, i); body[i] == ',' {
			i = skipSpace(body, i+1)
		}
	}
	return nil
}

func keyText(quoted []byte) string {
	for _, c := range quoted[1 : len(quoted)-1] {
		if c == '\\' || c >= 0x80 {
			var s string
			_ = json.Unmarshal(quoted, &s)
			return s
		}
	}
	return string(quoted[1 : len(quoted)-1])
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// skipString returns the offset behind the string that starts at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the offset behind the value that starts at i; b is valid.
func skipValue(b []byte, i int) int {
	depth := 0
	for {
		switch c := b[i]; {
		case c == '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // the end of what encloses a bare value
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || isSpace(c)):
			return i
		}
		i++
		if i == len(b) {
			return i
		}
	}
}
