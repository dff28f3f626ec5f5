package anthropic

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
