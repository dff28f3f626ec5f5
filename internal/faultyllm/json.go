package faultyllm

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// The server needs a few fields of each request and must refuse what is no
// JSON. This scanner does both in one pass over the bytes, without building
// values; decoding each body in full would cost more than everything else.

// maxDepth bounds recursion, as encoding/json does.
const maxDepth = 10000

// jsonSpace reports the index of the first byte from i on that is no space.
func jsonSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// jsonValue reports where the value that begins at i ends, or -1 if it is not
// well-formed.
func jsonValue(b []byte, i, depth int) int {
	if i >= len(b) || depth > maxDepth {
		return -1
	}
	switch c := b[i]; {
	case c == '"':
		return jsonString(b, i)
	case c == '{':
		return jsonObject(b, i, depth, nil)
	case c == '[':
		return jsonArray(b, i, depth, nil)
	case c == 't':
		return jsonWord(b, i, "true")
	case c == 'f':
		return jsonWord(b, i, "false")
	case c == 'n':
		return jsonWord(b, i, "null")
	case c == '-' || c >= '0' && c <= '9':
		return jsonNumber(b, i)
	}
	return -1
}

// jsonObject reports where the object at i ends; each, when given, sees its
// fields, the key without its quotes and with escapes as they stand.
func jsonObject(b []byte, i, depth int, each func(key, value []byte)) int {
	i = jsonSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return -1
		}
		k := i
		if i = jsonString(b, i); i < 0 {
			return -1
		}
		key := b[k+1 : i-1]
		if i = jsonSpace(b, i); i >= len(b) || b[i] != ':' {
			return -1
		}
		v := jsonSpace(b, i+1)
		if i = jsonValue(b, v, depth+1); i < 0 {
			return -1
		}
		if each != nil {
			each(key, b[v:i])
		}
		if i = jsonSpace(b, i); i >= len(b) {
			return -1
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i = jsonSpace(b, i+1)
	}
}

// jsonArray is jsonObject for the elements of an array.
func jsonArray(b []byte, i, depth int, each func(value []byte)) int {
	i = jsonSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		v := i
		if i = jsonValue(b, v, depth+1); i < 0 {
			return -1
		}
		if each != nil {
			each(b[v:i])
		}
		if i = jsonSpace(b, i); i >= len(b) {
			return -1
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i = jsonSpace(b, i+1)
	}
}

func jsonString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			i++
			if i >= len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(b) || !isHex(b[i+1]) || !isHex(b[i+2]) || !isHex(b[i+3]) || !isHex(b[i+4]) {
					return -1
				}
				i += 4
			default:
				return -1
			}
		}
	}
	return -1
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func jsonWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func jsonNumber(b []byte, i int) int {
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// isString, isArray and isObject tell values apart that jsonValue has accepted.
func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }
func isArray(v []byte) bool  { return len(v) > 0 && v[0] == '[' }
func isObject(v []byte) bool { return len(v) > 0 && v[0] == '{' }

// stringText decodes a string value. Without escapes the result shares memory
// with v.
func stringText(v []byte) []byte {
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return inner
	}
	return []byte(s)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string; bytes that are not UTF-8 become
// U+FFFD.
func appendString(out, s []byte) []byte {
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && n == 1 {
				out = append(out, s[from:i]...)
				out = append(out, "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		out = append(out, s[from:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	out = append(out, s[from:]...)
	return append(out, '"')
}

func appendStringOrNull(out []byte, s string) []byte {
	if s == "" {
		return append(out, "null"...)
	}
	return appendString(out, []byte(s))
}
