package bedrock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

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
