// Package rawjson reads JSON where it stands: in one pass, without memory of its
// own, it checks a text and finds the members of objects and the elements of
// arrays. What it accepts is what encoding/json accepts. The slices that it
// hands out are parts of the text and live as long as it does. All functions
// may be called at the same time.
package rawjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner reads JSON in one pass without memory of its own: it checks and
// finds where things stand at once. encoding/json took half of a request's time
// in this package, a third of it for fields that nobody looks at.
type scanner struct {
	b []byte
	i int
}

// maxNesting is how deep JSON may nest, as for encoding/json.
const maxNesting = 10000

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return
		}
	}
}

// is reports whether c comes next, and goes past it.
func (s *scanner) is(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// members calls visit for each member of the object that comes next, with the
// key's text and the value as it is written. It reports whether it is one.
func (s *scanner) members(visit func(key, value []byte)) bool { return s.object(visit, 0) }

func (s *scanner) object(visit func(key, value []byte), depth int) bool {
	if !s.is('{') || depth > maxNesting {
		return false
	}
	s.space()
	if s.is('}') {
		return true
	}
	for {
		start := s.i
		if !s.text() {
			return false
		}
		key := s.b[start+1 : s.i-1]
		s.space()
		if !s.is(':') {
			return false
		}
		s.space()
		start = s.i
		if !s.value(depth + 1) {
			return false
		}
		if visit != nil {
			visit(key, s.b[start:s.i])
		}
		s.space()
		switch {
		case s.is(','):
			s.space()
		default:
			return s.is('}')
		}
	}
}

func (s *scanner) array(visit func(value []byte), depth int) bool {
	if !s.is('[') || depth > maxNesting {
		return false
	}
	s.space()
	if s.is(']') {
		return true
	}
	for {
		start := s.i
		if !s.value(depth + 1) {
			return false
		}
		if visit != nil {
			visit(s.b[start:s.i])
		}
		s.space()
		switch {
		case s.is(','):
			s.space()
		default:
			return s.is(']')
		}
	}
}

// value goes past any value.
func (s *scanner) value(depth int) bool {
	if s.i >= len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '"':
		return s.text()
	case '{':
		return s.object(nil, depth)
	case '[':
		return s.array(nil, depth)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(word string) bool {
	if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
		s.i += len(word)
		return true
	}
	return false
}

// plainText marks the bytes of a string that mean themselves.
var plainText = func() (plain [256]bool) {
	for c := range plain {
		plain[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return plain
}()

// plain8 reports whether eight bytes of a string all mean themselves.
func plain8(eight uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, slash := eight^ones*'"', eight^ones*'\\'
	return ((eight-ones*' ')&^eight|(quote-ones)&^quote|(slash-ones)&^slash)&tops == 0
}

func (s *scanner) text() bool {
	if !s.is('"') {
		return false
	}
	b, i := s.b, s.i
	for i < len(b) {
		for len(b)-i >= 8 && plain8(binary.LittleEndian.Uint64(b[i:])) {
			i += 8
		}
		if i == len(b) {
			break
		}
		c := b[i]
		i++
		if plainText[c] {
			continue
		}
		switch {
		case c == '"':
			s.i = i
			return true
		case c != '\\' || i >= len(b):
			return false
		}
		switch b[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i++
		case 'u':
			if len(b)-i < 5 || !isHex(b[i+1]) || !isHex(b[i+2]) || !isHex(b[i+3]) || !isHex(b[i+4]) {
				return false
			}
			i += 5
		default:
			return false
		}
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) number() bool {
	s.is('-')
	if !s.is('0') && !s.digits() {
		return false
	}
	if s.is('.') && !s.digits() {
		return false
	}
	if s.is('e') || s.is('E') {
		if !s.is('+') {
			s.is('-')
		}
		return s.digits()
	}
	return true
}

// Object calls visit for each member of raw, with the key as it is written
// between its quotes and the value as it is written. It reports whether raw is
// an object, and whether it is JSON at all; visit may have been called for what
// came before a fault.
func Object(raw []byte, visit func(key, value []byte)) (object, valid bool) {
	s := scanner{b: raw}
	s.space()
	if object = s.i < len(raw) && raw[s.i] == '{'; object {
		valid = s.members(visit)
	} else {
		valid = s.value(0)
	}
	return object && valid && s.ended(), valid && s.ended()
}

// Array is Object for the elements of an array.
func Array(raw []byte, visit func(value []byte)) (array, valid bool) {
	s := scanner{b: raw}
	s.space()
	if array = s.i < len(raw) && raw[s.i] == '['; array {
		valid = s.array(visit, 0)
	} else {
		valid = s.value(0)
	}
	return array && valid && s.ended(), valid && s.ended()
}

// Valid reports whether raw is JSON.
func Valid(raw []byte) bool {
	_, valid := Object(raw, nil)
	return valid
}

// Deeper reports whether the valid JSON raw nests deeper than limit.
func Deeper(raw []byte, limit int) bool {
	if len(raw) <= 2*limit || bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) <= limit {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > limit {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// ended goes past white space, and reports whether nothing else is left.
func (s *scanner) ended() bool {
	s.space()
	return s.i == len(s.b)
}

// Strings calls visit with each string within a valid value, keys of objects
// too, as it is written between its quotes. It stops at the first string that
// does not end.
func Strings(raw []byte, visit func(text []byte)) {
	for s := (scanner{b: raw}); ; {
		next := bytes.IndexByte(raw[s.i:], '"')
		if next < 0 {
			return
		}
		s.i += next
		start := s.i + 1
		if !s.text() {
			return
		}
		visit(raw[start : s.i-1])
	}
}

// Key is a member's key without its escapes.
func Key(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	var text string
	_ = json.Unmarshal([]byte(`"`+string(key)+`"`), &text)
	return []byte(text)
}

// FoldedKey is Key in lower case, for documents whose keys encoding/json reads:
// it does not tell upper from lower case.
func FoldedKey(key []byte) []byte {
	for _, c := range key {
		if c == '\\' || c >= 'A' && c <= 'Z' {
			return bytes.ToLower(Key(key))
		}
	}
	return key
}

// Text is a string's text, "" for a value of any other kind. What is no UTF-8 in
// it becomes U+FFFD, as for encoding/json.
func Text(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	for _, c := range raw {
		if c == '\\' || c >= utf8.RuneSelf {
			var text string
			_ = json.Unmarshal(raw, &text)
			return text
		}
	}
	return string(raw[1 : len(raw)-1])
}

// AppendText appends a string's text to out, as [Text] has it, and returns the
// longer slice. It makes no memory of its own.
func AppendText(out, raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return out
	}
	return AppendUnquoted(out, raw[1:len(raw)-1])
}

// AppendUnquoted is AppendText for what stands between a string's quotes, as
// [Strings] has it.
func AppendUnquoted(out, raw []byte) []byte {
	for len(raw) > 0 {
		switch c := raw[0]; {
		case c == '\\' && len(raw) > 1:
			var n int
			out, n = appendEscaped(out, raw)
			raw = raw[n:]
		case c < utf8.RuneSelf:
			n := 1
			for n < len(raw) && raw[n] < utf8.RuneSelf && raw[n] != '\\' {
				n++
			}
			out, raw = append(out, raw[:n]...), raw[n:]
		default: // what is no UTF-8 becomes U+FFFD
			r, n := utf8.DecodeRune(raw)
			out, raw = utf8.AppendRune(out, r), raw[n:]
		}
	}
	return out
}

// TextLen is how many bytes AppendUnquoted appends for a string that is valid UTF-8.
func TextLen(raw []byte) int {
	n := len(raw)
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 == len(raw) {
			return n
		}
		var text [utf8.UTFMax]byte
		out, written := appendEscaped(text[:0], raw[i:])
		n, raw = n-written+len(out), raw[i+written:]
	}
}

// appendEscaped appends what the escape at raw's beginning stands for. n is how
// long that is.
func appendEscaped(out, raw []byte) (longer []byte, n int) {
	switch c := raw[1]; c {
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r := unit(raw)
		if low := rune(-1); utf16.IsSurrogate(r) {
			if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
				low = unit(raw[6:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return utf8.AppendRune(out, r), 12
			}
		}
		return utf8.AppendRune(out, r), min(6, len(raw))
	default:
		return append(out, c), 2
	}
}

// unit is the number in \uXXXX.
func unit(raw []byte) (n rune) {
	if len(raw) < 6 {
		return utf8.RuneError
	}
	for _, c := range raw[2:6] {
		switch {
		case c <= '9':
			n = n<<4 | rune(c-'0')
		default:
			n = n<<4 | rune(c|0x20-'a'+10)
		}
	}
	return n
}

// IsString reports whether a valid value is a string.
func IsString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }

// IsArray reports whether a valid value is an array.
func IsArray(raw []byte) bool { return len(raw) > 0 && raw[0] == '[' }

// IsObject reports whether a valid value is an object.
func IsObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// IsNull reports whether a valid value is null, or is absent altogether.
func IsNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

const hexDigits = "0123456789abcdef"

// AppendString appends text to out as a JSON string and returns the longer
// slice. Bytes that are not UTF-8 become U+FFFD.
func AppendString[T []byte | string](out []byte, s T) []byte {
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
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
