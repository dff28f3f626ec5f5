package jet

import (
	"strings"

	"github.com/nats-io/nats.go"
)

// Headers is a header whose values lie in one piece of memory.
type Headers struct {
	nats.Header
	values []string
}

// NewHeaders has room for those of a usual result: a map of at most eight is one
// piece of memory.
func NewHeaders() Headers {
	return Headers{Header: make(nats.Header, 8), values: make([]string, 0, 8)}
}

// Reset empties it, for other values in the same memory.
func (h *Headers) Reset() {
	clear(h.Header)
	clear(h.values)
	h.values = h.values[:0]
}

// Set sets a value, as that of nats.Header does.
func (h *Headers) Set(key, value string) {
	n := len(h.values)
	h.values = append(h.values, value)
	h.Header[key] = h.values[n : n+1 : n+1]
}

// Matches reports whether a subject without wildcards matches a pattern
// with those of NATS: * for one token, > for one or more at the end.
func Matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s), token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}
