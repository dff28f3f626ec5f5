package openai

import (
	"bytes"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
)

// node is a JSON value that grows.
type node struct {
	kind byte   // '"' a text, '{', '[', 'v' any other value, 0 nothing yet
	text []byte // a text without its quotes, a value as written, or members of an array
	kids []*node

	key   string // in an object
	index int    // in an array
}

// mode says what becomes of a value for which there is one already.
type mode int

const (
	keepFirst mode = iota // of those that say something
	keepLast
	join // texts and arrays are joined
)

const (
	mostKids = 1024 // of one object, or of one array by index
	nodeSize = 128
)

// says reports whether the object has such a text.
func (n *node) says(key string, text []byte) bool {
	kid := n.find(key)
	return kid != nil && kid.kind == '"' && bytes.Equal(kid.text, text)
}

func (n *node) at(index int) *node {
	for _, kid := range n.kids {
		if kid.index == index {
			return kid
		}
	}
	return nil
}

func (n *node) find(key string) *node {
	for _, kid := range n.kids {
		if kid.key == key {
			return kid
		}
	}
	return nil
}

// kid returns the member of that key, made where there is none; nil beyond the
// bound.
func (m *Merger) kid(n *node, key []byte) *node {
	if n.kind == 0 || n.kind == 'v' {
		n.kind, n.text = '{', nil
	}
	for _, kid := range n.kids {
		if kid.key == string(key) {
			return kid
		}
	}
	if len(n.kids) >= mostKids {
		m.size = m.limit + 1
		return nil
	}
	kid := &node{key: string(key)}
	n.kids = append(n.kids, kid)
	m.size += nodeSize + int64(len(key))
	return kid
}

// put merges a member into an object.
func (m *Merger) put(n *node, key, value []byte, how mode) {
	if kid := m.kid(n, key); kid != nil {
		m.merge(kid, value, how)
	}
}

// names are the texts that say what something is: they come once, or again and
// again, but not in pieces.
func naming(key string) bool {
	switch key {
	case "id", "type", "role", "name", "format", "status", "object", "call_id", "index":
		return true
	}
	return false
}

func (m *Merger) merge(n *node, raw []byte, how mode) {
	before := len(n.text)
	switch {
	case string(raw) == "null" && n.kind != 0:
	case raw[0] == '"' && n.kind == '"' && how == join && !naming(n.key):
		n.text = append(n.text, unquoted(raw)...)
	case raw[0] == '"' && n.kind == '"' && (how != keepLast && len(n.text) > 0 || len(raw) == 2):
	case raw[0] == '"':
		n.kind, n.text, n.kids = '"', append(n.text[:0], unquoted(raw)...), nil
	case n.key == "arguments" && raw[0] == '{': // not for us to take apart
		n.kind, n.text, n.kids = 'v', append(n.text[:0], raw...), nil
	case raw[0] == '{':
		m.mergeObject(n, raw, how)
	case raw[0] == '[':
		m.mergeArray(n, raw, how)
	case how == keepFirst && n.kind != 0 && (n.kind != 'v' || protocol.Present(n.text)):
	default:
		n.kind, n.text, n.kids = 'v', append(n.text[:0], raw...), nil
	}
	m.size += int64(len(n.text) - before)
}

func (m *Merger) mergeObject(n *node, raw []byte, how mode) {
	if n.kind != '{' {
		n.kind, n.text, n.kids = '{', nil, nil
	}
	_, _ = rawjson.Object(raw, func(key, value []byte) { m.put(n, key, value, how) })
}

// mergeArray joins arrays: members with an index by that, others in their order.
func (m *Merger) mergeArray(n *node, raw []byte, how mode) {
	empty := n.kind != '[' || len(n.kids) == 0 && len(n.text) == 0
	switch {
	case how == keepFirst && !empty, how == keepLast && !empty && !protocol.Present(raw):
		return
	case n.kind != '[' || how == keepLast:
		n.kind, n.text, n.kids = '[', n.text[:0], nil
	}
	rawjson.Array(raw, func(raw []byte) {
		index, ok := indexOf(raw)
		if how != join || !ok || len(n.kids) >= mostKids && n.at(index) == nil {
			if len(n.text) > 0 {
				n.text = append(n.text, ',')
			}
			n.text = append(n.text, raw...)
			return
		}
		kid := n.at(index)
		if kid == nil {
			kid = &node{index: index}
			n.kids = append(n.kids, kid)
			m.size += nodeSize
		}
		m.mergeObject(kid, raw, how)
	})
}

// indexOf returns the "index" of an object.
func indexOf(raw []byte) (index int, ok bool) {
	if len(raw) == 0 || raw[0] != '{' {
		return 0, false
	}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) == "index" {
			n, err := strconv.Atoi(string(value))
			index, ok = n, err == nil && n >= 0
		}
	})
	return index, ok
}

// unquoted is a text as it is written, without its quotes.
func unquoted(raw []byte) []byte { return raw[1 : len(raw)-1] }

func comma(out []byte) []byte {
	if c := out[len(out)-1]; c != '{' && c != '[' {
		return append(out, ',')
	}
	return out
}

func (n *node) member(out []byte) []byte {
	out = append(append(append(comma(out), '"'), n.key...), `":`...)
	if n.key == "object" && n.kind == '"' {
		if whole, ok := bytes.CutSuffix(n.text, []byte(".chunk")); ok {
			return append(append(append(out, '"'), whole...), '"')
		}
	}
	return n.append(out)
}

func (n *node) append(out []byte) []byte {
	switch n.kind {
	case '"':
		return append(append(append(out, '"'), n.text...), '"')
	case '{':
		out = append(out, '{')
		for _, kid := range n.kids {
			out = kid.member(out)
		}
		return append(out, '}')
	case '[':
		out = append(out, '[')
		for _, kid := range n.kids {
			out = kid.append(comma(out))
		}
		if len(n.text) > 0 {
			out = append(comma(out), n.text...)
		}
		return append(out, ']')
	case 'v':
		return append(out, n.text...)
	}
	return append(out, "null"...)
}
