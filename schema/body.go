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
	key              []byte // the key's text, unescaped
	start, end       int    // the value
	keyStart, keyEnd int    // the key with its quotes
	depth            int    // how deep the value nests; 0 for one that is no array and no object
}

// Field returns the raw value of a top-level member of the object body, and
// whether it is there. Of a repeated key it returns the last, as decoders do.
func Field(body []byte, key string) (json.RawMessage, bool) {
	var value json.RawMessage
	found := false
	_ = scanObject(body, func(f field) {
		if string(f.key) == key {
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
// last. No other byte changes. The argument is not modified. It fails when body
// is no JSON object or value is no JSON.
func SetField(body []byte, key string, value []byte) ([]byte, error) {
	if !json.Valid(value) {
		return nil, fmt.Errorf("value of %q: %w", key, syntaxError(value))
	}
	out := make([]byte, 0, len(body)+len(key)+len(value)+4)
	last, found := 0, false
	err := scanObject(body, func(f field) {
		if string(f.key) != key {
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
	quoted, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	return appendFields(body, []member{{quoted, value}}), nil
}

// Merge returns body with every top-level member of defaults that body lacks
// appended, key and value as they are written there. No byte that was there
// changes. Of a key that defaults has twice the last counts. Without anything
// to add it returns body itself. It fails when either is no JSON object; empty
// defaults are none.
func Merge(body, defaults []byte) ([]byte, error) {
	if len(defaults) == 0 {
		return body, nil
	}
	const ours = -1
	at := map[string]int{} // where in missing a key stands
	if err := scanObject(body, func(f field) { at[string(f.key)] = ours }); err != nil {
		return nil, err
	}
	var missing []member
	err := scanObject(defaults, func(f field) {
		m := member{defaults[f.keyStart:f.keyEnd], defaults[f.start:f.end]}
		switch i, ok := at[string(f.key)]; {
		case !ok:
			at[string(f.key)] = len(missing)
			missing = append(missing, m)
		case i != ours:
			missing[i] = m
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

type member struct{ key, value []byte } // both raw, the key with its quotes

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
		out = append(append(append(out, m.key...), ':'), m.value...)
	}
	return append(out, body[head:]...)
}
