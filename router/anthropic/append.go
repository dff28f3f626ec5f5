package anthropic

import (
	"bytes"

	"pelton/internal/rawjson"
)

// comma puts a comma where a further member or element is to stand.
func comma(out []byte) []byte {
	if c := out[len(out)-1]; c != '{' && c != '[' {
		return append(out, ',')
	}
	return out
}

// appendKey appends the key of a further member, as it is written.
func appendKey(out, key []byte) []byte {
	return append(append(append(comma(out), '"'), key...), `":`...)
}

func appendMember(out, key, value []byte) []byte { return append(appendKey(out, key), value...) }

// appendOpen appends an object without its last brace.
func appendOpen(out, raw []byte) []byte {
	return append(out, bytes.TrimRight(raw[:len(raw)-1], " \t\r\n")...)
}

// blank reports whether a JSON string, as it is written, holds nothing but white
// space.
func blank(raw []byte) bool { return len(raw) >= 2 && len(trimRight(raw[1:len(raw)-1])) == 0 }

// trimRight cuts white space, escaped or not, from the end of a string as it is
// written between its quotes.
func trimRight(text []byte) []byte {
	for {
		n := len(text)
		switch {
		case n > 0 && text[n-1] == ' ':
			text = text[:n-1]
		case n > 1 && text[n-2] == '\\' && (text[n-1] == 'n' || text[n-1] == 't' || text[n-1] == 'r') && !escaped(text[:n-2]):
			text = text[:n-2]
		default:
			return text
		}
	}
}

// escaped reports whether what follows text is escaped by a backslash at its end.
func escaped(text []byte) bool {
	return (len(text)-len(bytes.TrimRight(text, `\`)))%2 == 1
}

// plain is a string's text where it is written without escapes, else a copy
// without them.
func plain(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	if text := raw[1 : len(raw)-1]; bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return []byte(rawjson.Text(raw))
}

// safe reports whether a text has only characters that names of tools and ids of
// calls may have.
func safe(text []byte) bool {
	for _, c := range text {
		if !safeByte(c) {
			return false
		}
	}
	return len(text) > 0
}

func safeByte(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// appendSafe appends text with an underscore for each character that may not be.
func appendSafe(out, text []byte) []byte {
	for _, c := range string(text) {
		if c < 0x80 && safeByte(byte(c)) {
			out = append(out, byte(c))
		} else {
			out = append(out, '_')
		}
	}
	return out
}
