package router

import (
	"bytes"
	"encoding/json"
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

func (s *scanner) array(depth int) bool {
	if !s.is('[') || depth > maxNesting {
		return false
	}
	s.space()
	if s.is(']') {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
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
		return s.array(depth)
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

func (s *scanner) text() bool {
	if !s.is('"') {
		return false
	}
	b, i := s.b, s.i
	for i < len(b) {
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

// scanObject calls visit for each member of raw. It reports whether raw is an
// object, and whether it is JSON at all; visit may have been called for what
// came before a fault.
func scanObject(raw []byte, visit func(key, value []byte)) (object, valid bool) {
	s := scanner{b: raw}
	s.space()
	if object = s.i < len(raw) && raw[s.i] == '{'; object {
		valid = s.members(visit)
	} else {
		valid = s.value(0)
	}
	s.space()
	valid = valid && s.i == len(raw)
	return object && valid, valid
}

// plainKey is a key as it is meant.
func plainKey(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	var text string
	_ = json.Unmarshal([]byte(`"`+string(key)+`"`), &text)
	return []byte(text)
}

// keyText is the same in lower case: encoding/json does not tell upper from
// lower case either.
func keyText(key []byte) []byte {
	for _, c := range key {
		if c == '\\' || c >= 'A' && c <= 'Z' {
			return bytes.ToLower(plainKey(key))
		}
	}
	return key
}

// textOf is a JSON string's text, "" for anything else.
func textOf(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	for _, c := range raw {
		if c == '\\' || c >= 0x80 { // encoding/json mends what is no UTF-8
			var text string
			_ = json.Unmarshal(raw, &text)
			return text
		}
	}
	return string(raw[1 : len(raw)-1])
}
