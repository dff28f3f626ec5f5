// Package translate is what protocols share that carry OpenAI's chat completions to
// servers of another form: JSON that is written piece by piece, what cannot be
// carried, and answers of blocks made into chat completions, whole or in chunks.
//
// Bodies and answers are read where they stand and written into one buffer. A raw
// value is JSON as it is written; a text without its quotes keeps its escapes.
package translate

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
)

// Comma puts a comma where a further member or element is to stand.
func Comma(out []byte) []byte {
	if c := out[len(out)-1]; c != '{' && c != '[' {
		return append(out, ',')
	}
	return out
}

// AppendKey appends the key of a further member, as it is written.
func AppendKey[K []byte | string](out []byte, key K) []byte {
	return append(append(append(Comma(out), '"'), key...), `":`...)
}

// AppendMember appends a further member: its key as it is written, and its value.
func AppendMember[K []byte | string](out []byte, key K, value []byte) []byte {
	return append(AppendKey(out, key), value...)
}

// AppendOpen appends an object without its last brace.
func AppendOpen(out, raw []byte) []byte {
	return append(out, bytes.TrimRight(raw[:len(raw)-1], " \t\r\n")...)
}

// AppendOr appends a text with its quotes, an empty one where there is none.
func AppendOr(out, value []byte) []byte {
	if value == nil {
		return append(out, `""`...)
	}
	return append(out, value...)
}

// Inner is a string without its quotes; nil for another value.
func Inner(raw []byte) []byte {
	if !rawjson.IsString(raw) {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// Plain is a string's text where it is written without escapes, else a copy
// without them; nil for another value.
func Plain(raw []byte) []byte {
	if text := Inner(raw); bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return []byte(rawjson.Text(raw))
}

// Blank reports whether a value is no string, or one of nothing but white space.
func Blank(raw []byte) bool { return len(TrimRight(Inner(raw))) == 0 }

// TrimRight cuts white space, escaped or not, from the end of a text as it is
// written.
func TrimRight(text []byte) []byte {
	for {
		n := len(text)
		switch {
		case n > 0 && text[n-1] == ' ':
			text = text[:n-1]
		case n > 1 && text[n-2] == '\\' && bytes.IndexByte([]byte("ntr"), text[n-1]) >= 0 && !escaped(text[:n-2]):
			text = text[:n-2]
		default:
			return text
		}
	}
}

// escaped reports whether what follows text is escaped by a backslash at its end.
func escaped(text []byte) bool { return (len(text)-len(bytes.TrimRight(text, `\`)))%2 == 1 }

// Within calls visit with the member of that name, where there is one.
func Within(raw []byte, name string, visit func(value []byte)) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) == name && !rawjson.IsNull(value) {
			visit(value)
		}
	})
}

// Count is a number that counts something, 0 for what is none.
func Count(raw []byte) int64 {
	n, _ := protocol.Count(raw)
	return n
}

// AppendPacked appends a vector, an array of numbers, as OpenAI packs it: base64 of
// floats of four bytes.
func AppendPacked(out, vector []byte) []byte {
	var packed []byte
	_, _ = rawjson.Array(vector, func(value []byte) {
		f, _ := strconv.ParseFloat(string(value), 32)
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(float32(f)))
	})
	return append(base64.StdEncoding.AppendEncode(append(out, '"'), packed), '"')
}
