package router

import (
	"bytes"
	"slices"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/schema"
)

// merger makes of a stream's chunks the answer that the same server would have
// given without streaming. It keeps every field, known or not, and texts as they
// are written: what is escaped stays escaped, and a character that was cut in
// two is whole again once both halves stand side by side.
type merger struct {
	endpoint schema.Endpoint
	limit    int64
	size     int64 // about what is held

	head    node
	choices []*strand
	usage   []byte // the last that counts something
	aside   []byte // the same, from where it does not belong
	grew    bool   // the last chunk brought something of the answer's content

	response responseMerger
}

// strand is one of the answers that a stream carries at once.
type strand struct {
	index   int
	message node // what the deltas add up to
	rest    node
}

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

func (m *merger) tooLarge() bool { return m.size > m.limit }

// add merges one chunk. It reports false for what is no JSON object.
func (m *merger) add(data []byte) bool {
	m.grew = false
	if m.endpoint == schema.Responses {
		return m.addEvent(data)
	}
	object, _ := rawjson.Object(data, m.take)
	return object
}

func (m *merger) take(key, value []byte) {
	switch string(key) {
	case "choices":
		position := 0
		rawjson.Array(value, func(raw []byte) {
			m.addChoice(raw, position)
			position++
		})
	case "usage":
		if present(value) {
			m.usage = append(m.usage[:0], value...)
		}
	case "obfuscation": // OpenAI's, which hides the length of a token
	case "x_groq":
		_, _ = rawjson.Object(value, func(key, value []byte) {
			if string(key) == "usage" && present(value) {
				m.aside = append(m.aside[:0], value...)
			}
		})
		m.put(&m.head, key, value, keepFirst)
	default:
		m.put(&m.head, key, value, keepFirst)
	}
}

func (m *merger) addChoice(raw []byte, position int) {
	if index, ok := indexOf(raw); ok {
		position = index
	}
	c := m.choiceAt(position)
	if c == nil {
		return
	}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "index":
		case "delta":
			m.addDelta(c, value)
		case "message": // a server that gives the whole at the end, or only that
			if !c.said() {
				m.addDelta(c, value)
			}
		case "text":
			m.grew = m.grew || len(value) > 2
			m.put(&c.rest, key, value, join)
		case "logprobs":
			m.put(&c.rest, key, value, join)
		case "usage": // Moonshot
			if present(value) {
				m.aside = append(m.aside[:0], value...)
			}
		default:
			m.put(&c.rest, key, value, keepLast)
		}
	})
}

func (m *merger) choiceAt(index int) *strand {
	for _, c := range m.choices {
		if c.index == index {
			return c
		}
	}
	if len(m.choices) >= mostKids {
		m.size = m.limit + 1
		return nil
	}
	c := &strand{index: index}
	at := len(m.choices)
	for at > 0 && m.choices[at-1].index > index {
		at--
	}
	m.choices = append(m.choices, nil)
	copy(m.choices[at+1:], m.choices[at:])
	m.choices[at] = c
	m.size += nodeSize
	return c
}

// said reports whether there is anything of the choice's content yet.
func (c *strand) said() bool {
	for _, kid := range c.message.kids {
		if kid.key != "role" && (len(kid.text) > 0 && kid.kind == '"' || len(kid.kids) > 0) {
			return true
		}
	}
	return false
}

func (m *merger) addDelta(c *strand, raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) == "tool_calls" && value[0] == '[' {
			m.addToolCalls(&c.message, value)
			return
		}
		if string(key) != "role" && (value[0] == '"' && len(value) > 2 || (value[0] == '{' || value[0] == '[') && present(value)) {
			m.grew = true
		}
		m.put(&c.message, key, value, join)
	})
}

// addToolCalls merges fragments of tool calls: by index where there is one, and
// otherwise by id; a name where another call has one already begins the next.
func (m *merger) addToolCalls(message *node, raw []byte) {
	list := m.kid(message, []byte("tool_calls"))
	if list == nil {
		return
	}
	if list.kind != '[' {
		list.kind, list.text = '[', nil
	}
	rawjson.Array(raw, func(raw []byte) {
		m.grew = true
		index, indexed := indexOf(raw)
		var id, name []byte
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			switch string(key) {
			case "id":
				id = value
			case "function":
				_, _ = rawjson.Object(value, func(key, value []byte) {
					if string(key) == "name" {
						name = value
					}
				})
			}
		})
		call := list.callFor(index, indexed, id, name)
		if call == nil {
			if len(list.kids) >= mostKids {
				m.size = m.limit + 1
				return
			}
			if !indexed {
				index = len(list.kids)
			}
			call = &node{index: index, kind: '{'}
			list.kids = append(list.kids, call)
			m.size += nodeSize
		}
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			if string(key) != "index" {
				m.put(call, key, value, join)
			}
		})
	})
}

// callFor finds the tool call that a fragment belongs to; nil: it begins one.
func (n *node) callFor(index int, indexed bool, id, name []byte) *node {
	if present(id) {
		for _, call := range n.kids {
			if call.says("id", unquoted(id)) && (!indexed || call.index == index) {
				return call
			}
		}
	}
	for _, call := range slices.Backward(n.kids) {
		switch function := call.find("function"); {
		case indexed && call.index != index:
		case !present(name):
			return call
		case present(id) && call.find("id") != nil: // another id and a name: a server that counts wrong
			return nil
		case !indexed && function != nil && function.find("name") != nil:
			return nil
		default:
			return call
		}
	}
	return nil
}

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
func (m *merger) kid(n *node, key []byte) *node {
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
func (m *merger) put(n *node, key, value []byte, how mode) {
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

func (m *merger) merge(n *node, raw []byte, how mode) {
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
	case how == keepFirst && n.kind != 0 && (n.kind != 'v' || present(n.text)):
	default:
		n.kind, n.text, n.kids = 'v', append(n.text[:0], raw...), nil
	}
	m.size += int64(len(n.text) - before)
}

func (m *merger) mergeObject(n *node, raw []byte, how mode) {
	if n.kind != '{' {
		n.kind, n.text, n.kids = '{', nil, nil
	}
	_, _ = rawjson.Object(raw, func(key, value []byte) { m.put(n, key, value, how) })
}

// mergeArray joins arrays: members with an index by that, others in their order.
func (m *merger) mergeArray(n *node, raw []byte, how mode) {
	empty := n.kind != '[' || len(n.kids) == 0 && len(n.text) == 0
	switch {
	case how == keepFirst && !empty, how == keepLast && !empty && !present(raw):
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

// finished says what is missing of a whole answer; empty: nothing.
func (m *merger) finished() string {
	if m.endpoint == schema.Responses {
		return m.response.finished()
	}
	for _, c := range m.choices {
		if reason := c.rest.find("finish_reason"); reason == nil || reason.kind != '"' || len(reason.text) == 0 {
			return "the stream ended before the answer did: it brought no finish_reason"
		}
	}
	return ""
}

// any reports whether there is anything of an answer.
func (m *merger) any() bool {
	return len(m.head.kids) > 0 || len(m.choices) > 0 || len(m.usage) > 0 || m.response.any()
}

// render returns the merged answer; nil where nothing came.
func (m *merger) render() []byte {
	switch {
	case !m.any():
		return nil
	case m.endpoint == schema.Responses:
		return m.response.render(m)
	}
	out := append(make([]byte, 0, m.size+64), '{')
	for _, kid := range m.head.kids {
		out = kid.member(out)
	}
	if len(m.choices) > 0 {
		out = append(comma(out), `"choices":[`...)
		for _, c := range m.choices {
			out = c.render(comma(out), m.endpoint)
		}
		out = append(out, ']')
	}
	if usage := m.counted(); usage != nil {
		out = append(append(comma(out), `"usage":`...), usage...)
	}
	return append(out, '}')
}

// counted is the usage that the stream brought; nil: none.
func (m *merger) counted() []byte {
	if m.usage == nil {
		return m.aside
	}
	return m.usage
}

func (c *strand) render(out []byte, endpoint schema.Endpoint) []byte {
	out = strconv.AppendInt(append(out, `{"index":`...), int64(c.index), 10)
	if endpoint != schema.Completions {
		c.tidy()
		out = append(out, `,"message":`...)
		out = c.message.append(out)
	}
	for _, kid := range c.rest.kids {
		out = kid.member(out)
	}
	return append(out, '}')
}

// tidy undoes what only streams have: a text that was begun and never came.
func (c *strand) tidy() {
	role := c.message.find("role")
	if role == nil {
		c.message.kind = '{'
		c.message.kids = append([]*node{{key: "role", kind: '"', text: []byte("assistant")}}, c.message.kids...)
	}
	content := c.message.find("content")
	if content == nil || content.kind != '"' || len(content.text) > 0 {
		return
	}
	for _, kid := range c.message.kids {
		switch kid.key {
		case "tool_calls", "function_call", "refusal", "audio":
			if len(kid.kids) > 0 || kid.kind == '"' && len(kid.text) > 0 {
				content.kind, content.text = 'v', []byte("null")
			}
		}
	}
}

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
