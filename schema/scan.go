package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// The scanner finds where the members of an object stand. It trusts its input
// to be valid JSON, so encoding/json has to have seen it first.

// scanObject calls visit for each top-level member of the JSON object body, in
// order. It fails, before the first call, unless body is one valid object.
func scanObject(body []byte, visit func(field)) error {
	if !json.Valid(body) {
		return fmt.Errorf("not valid JSON: %w", syntaxError(body))
	}
	return walkObject(body, visit)
}

// syntaxError is what encoding/json says of data that is no JSON.
func syntaxError(data []byte) error {
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	return errors.New("invalid") // cannot be: Valid and Unmarshal share their scanner
}

// walkObject is scanObject for what is known to be valid JSON.
func walkObject(body []byte, visit func(field)) error {
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
		i, f.depth = skipValue(body, i)
		f.end = i
		visit(f)
		if i = skipSpace(body, i); body[i] == ',' {
			i = skipSpace(body, i+1)
		}
	}
	return nil
}

// walkArray calls visit with each element of the valid JSON array and how deep
// it nests, until visit returns false.
func walkArray(array []byte, visit func(element []byte, depth int) bool) {
	for i := skipSpace(array, skipSpace(array, 0)+1); array[i] != ']'; {
		end, depth := skipValue(array, i)
		if !visit(array[i:end], depth) {
			return
		}
		if i = skipSpace(array, end); array[i] == ',' {
			i = skipSpace(array, i+1)
		}
	}
}

func keyText(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	for _, c := range inner {
		if c == '\\' || c >= 0x80 {
			var s string
			_ = json.Unmarshal(quoted, &s)
			return []byte(s)
		}
	}
	return inner
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
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		slashes := 0
		for b[i-1-slashes] == '\\' { // stops at the opening quote
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// skipValue returns the offset behind the value that starts at i, and how deep
// it nests: 0 for a string, number or literal.
func skipValue(b []byte, i int) (end, deepest int) {
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			if i = skipString(b, i); depth == 0 {
				return i, 0
			}
			continue
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			if depth == 0 {
				return i, 0 // the end of what encloses a bare value
			}
			if depth--; depth == 0 {
				return i + 1, deepest
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i, 0
			}
		}
		i++
	}
	return i, deepest
}
