package gemini

import (
	"bytes"
	"hash/fnv"

	"pelton/internal/rawjson"
)

// maxName bounds a function's name.
const maxName = 128

// appendName writes a function's name, given without its quotes. One that Gemini
// does not take is rewritten; [originalName] finds it again.
func (o *output) appendName(name []byte) {
	if !rewritten(name) {
		o.out = append(append(append(o.out, '"'), name...), '"')
		return
	}
	o.out = append(appendRewritten(append(o.out, '"'), name), '"')
}

// rewritten reports whether a function's name has to be: Gemini takes letters,
// digits, and _ . : - behind a letter or a _.
func rewritten(name []byte) bool {
	for i, c := range name {
		if !nameByte(c) || i == 0 && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return true
		}
	}
	return len(name) > maxName
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == ':' || c == '-'
}

// appendRewritten writes a name that Gemini takes in the place of one that it
// does not: with a sum at its end, so that no two become one.
func appendRewritten(out, name []byte) []byte {
	sum := fnv.New32a()
	_, _ = sum.Write(name)
	if c := name[0] | 0x20; name[0] != '_' && (c < 'a' || c > 'z') {
		out = append(out, '_')
	}
	for _, c := range name[:min(len(name), maxName-sumLength-1)] {
		if !nameByte(c) {
			c = '_'
		}
		out = append(out, c)
	}
	out = append(out, '_')
	const hex = "0123456789abcdef"
	for n, shift := sum.Sum32(), 28; shift >= 0; shift -= 4 {
		out = append(out, hex[n>>shift&15])
	}
	return out
}

const sumLength = 9 // _ and eight digits

// originalName finds the name that a function has in the body, where Gemini calls
// it by a rewritten one. Both are without quotes, as written.
func originalName(body, name []byte) []byte {
	if len(name) <= sumLength || name[len(name)-sumLength] != '_' {
		return name
	}
	for _, c := range name[len(name)-sumLength+1:] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return name
		}
	}
	found := name
	var made []byte
	rawjson.Strings(body, func(text []byte) {
		if len(text) > 0 && rewritten(text) && len(text) < 4*maxName {
			if made = appendRewritten(made[:0], text); bytes.Equal(made, name) {
				found = text
			}
		}
	})
	return found
}
