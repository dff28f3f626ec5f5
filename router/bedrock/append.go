package bedrock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"pelton/internal/rawjson"
)

// comma puts a comma where a further member or element is to stand.
func comma(out []byte) []byte {
	if c := out[len(out)-1]; c != '{' && c != '[' {
		return append(out, ',')
	}
	return out
}

// appendMember appends a member: its key as it is written, and its value.
func appendMember[K []byte | string](out []byte, key K, value []byte) []byte {
	out = append(append(append(comma(out), '"'), key...), `":`...)
	return append(out, value...)
}

// inner is a string without its quotes; nil for another value.
func inner(raw []byte) []byte {
	if !rawjson.IsString(raw) {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// plain is a string's text where it is written without escapes, else a copy
// without them.
func plain(raw []byte) []byte {
	if text := inner(raw); bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return []byte(rawjson.Text(raw))
}

// blank reports whether a JSON string, as it is written, holds nothing but white
// space.
func blank(raw []byte) bool { return len(trimRight(inner(raw))) == 0 }

// trimRight cuts white space, escaped or not, from the end of a string as it is
// written between its quotes.
func trimRight(text []byte) []byte {
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

// Converse takes few characters, and 64 of them, in names of tools and in ids of
// calls.
const (
	maxName   = 64
	nameChars = "_-"
	idChars   = "_-.:"
)

// fits reports whether a text may stand as it is.
func fits(text []byte, more string) bool {
	return len(text) > 0 && len(text) <= maxName && !slices.ContainsFunc(text, func(c byte) bool { return !allowed(c, more) })
}

func allowed(c byte, more string) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || bytes.IndexByte([]byte(more), c) >= 0
}

// fitted is a text that fits, made of one that does not: an underscore for each
// character that may not be, and a hash, so that two texts stay two.
func fitted(text []byte, more string) string {
	var out []byte
	for _, c := range string(text) {
		if c < 0x80 && allowed(byte(c), more) {
			out = append(out, byte(c))
		} else {
			out = append(out, '_')
		}
	}
	sum := sha256.Sum256(text)
	return string(append(append(out[:min(len(out), maxName-9)], '_'), hex.EncodeToString(sum[:4])...))
}

// appendID appends the id of a call.
func appendID(out, text []byte) []byte {
	out = append(out, '"')
	if fits(text, idChars) {
		out = append(out, text...)
	} else {
		out = append(out, fitted(text, idChars)...)
	}
	return append(out, '"')
}
