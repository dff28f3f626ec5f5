package openai

import (
	"slices"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// Merger makes of a stream's chunks the answer that the same server would have
// given without streaming. It keeps every field, known or not, and texts as they
// are written: what is escaped stays escaped, and a character that was cut in
// two is whole again once both halves stand side by side. One goroutine uses it.
type Merger struct {
	endpoint schema.Endpoint
	limit    int64
	size     int64 // about what is held

	head    node
	choices []*choice
	counts  []byte // the last that counts something
	aside   []byte // the same, from where it does not belong
	grew    bool   // the last chunk brought something of the answer's content

	response responseMerger
}

// choice is one of the answers that a stream carries at once.
type choice struct {
	index   int
	message node // what the deltas add up to
	rest    node
}

// NewMerger makes a merger of chunks of an endpoint, which holds about limit
// bytes at most.
func NewMerger(endpoint schema.Endpoint, limit int64) *Merger {
	return &Merger{endpoint: endpoint, limit: limit}
}

// TooLarge reports whether more came than is to be held.
func (m *Merger) TooLarge() bool { return m.size > m.limit }

// Grew reports whether the last chunk brought something of the answer's content.
func (m *Merger) Grew() bool { return m.grew }

// Add merges one chunk. It reports false for what is no JSON object.
func (m *Merger) Add(data []byte) bool {
	m.grew = false
	if m.endpoint == schema.Responses {
		return m.addEvent(data)
	}
	object, _ := rawjson.Object(data, m.take)
	return object
}

func (m *Merger) take(key, value []byte) {
	switch string(key) {
	case "choices":
		position := 0
		rawjson.Array(value, func(raw []byte) {
			m.addChoice(raw, position)
			position++
		})
	case "usage":
		if protocol.Present(value) {
			m.counts = append(m.counts[:0], value...)
		}
	case "obfuscation": // OpenAI's, which hides the length of a token
	case "x_groq":
		_, _ = rawjson.Object(value, func(key, value []byte) {
			if string(key) == "usage" && protocol.Present(value) {
				m.aside = append(m.aside[:0], value...)
			}
		})
		m.put(&m.head, key, value, keepFirst)
	default:
		m.put(&m.head, key, value, keepFirst)
	}
}

func (m *Merger) addChoice(raw []byte, position int) {
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
			if !c.hasContent() {
				m.addDelta(c, value)
			}
		case "text":
			m.grew = m.grew || len(value) > 2
			m.put(&c.rest, key, value, join)
		case "logprobs":
			m.put(&c.rest, key, value, join)
		case "usage": // Moonshot
			if protocol.Present(value) {
				m.aside = append(m.aside[:0], value...)
			}
		default:
			m.put(&c.rest, key, value, keepLast)
		}
	})
}

func (m *Merger) choiceAt(index int) *choice {
	for _, c := range m.choices {
		if c.index == index {
			return c
		}
	}
	if len(m.choices) >= mostKids {
		m.size = m.limit + 1
		return nil
	}
	c := &choice{index: index}
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

// hasContent reports whether there is anything of the choice's content yet.
func (c *choice) hasContent() bool {
	for _, kid := range c.message.kids {
		if kid.key != "role" && (len(kid.text) > 0 && kid.kind == '"' || len(kid.kids) > 0) {
			return true
		}
	}
	return false
}

func (m *Merger) addDelta(c *choice, raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) == "tool_calls" && value[0] == '[' {
			m.addToolCalls(&c.message, value)
			return
		}
		if string(key) != "role" && (value[0] == '"' && len(value) > 2 || (value[0] == '{' || value[0] == '[') && protocol.Present(value)) {
			m.grew = true
		}
		m.put(&c.message, key, value, join)
	})
}

// addToolCalls merges fragments of tool calls: by index where there is one, and
// otherwise by id; a name where another call has one already begins the next.
func (m *Merger) addToolCalls(message *node, raw []byte) {
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
	if protocol.Present(id) {
		for _, call := range n.kids {
			if call.says("id", unquoted(id)) && (!indexed || call.index == index) {
				return call
			}
		}
	}
	for _, call := range slices.Backward(n.kids) {
		switch function := call.find("function"); {
		case indexed && call.index != index:
		case !protocol.Present(name):
			return call
		case protocol.Present(id) && call.find("id") != nil: // another id and a name: a server that counts wrong
			return nil
		case !indexed && function != nil && function.find("name") != nil:
			return nil
		case function != nil && function.begins(name):
			return nil
		default:
			return call
		}
	}
	return nil
}

// begins reports whether a name, in a fragment that seems to belong to the function n of
// a call, begins another call: by another name, or by the same where the arguments are
// whole.
func (n *node) begins(name []byte) bool {
	if known := n.find("name"); known == nil || len(known.text) == 0 {
		return false
	}
	if !n.says("name", unquoted(name)) {
		return true
	}
	arguments := n.find("arguments")
	if arguments == nil || len(arguments.text) == 0 {
		return false
	}
	text := arguments.text
	if arguments.kind == '"' {
		text = []byte(rawjson.Text(slices.Concat([]byte{'"'}, text, []byte{'"'})))
	}
	return rawjson.Valid(text)
}

// Unfinished says what is missing of a whole answer, as a sentence; empty: nothing.
func (m *Merger) Unfinished() string {
	if m.endpoint == schema.Responses {
		return m.response.unfinished()
	}
	for _, c := range m.choices {
		if reason := c.rest.find("finish_reason"); reason == nil || reason.kind != '"' || len(reason.text) == 0 {
			return "the stream ended before the answer did: it brought no finish_reason"
		}
	}
	return ""
}

// any reports whether there is anything of an answer.
func (m *Merger) any() bool {
	return len(m.head.kids) > 0 || len(m.choices) > 0 || len(m.counts) > 0 || m.response.any()
}

// Body returns the merged answer; nil where nothing came.
func (m *Merger) Body() []byte {
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
	if usage := m.usage(); usage != nil {
		out = append(append(comma(out), `"usage":`...), usage...)
	}
	return append(out, '}')
}

// usage is the usage that the stream brought; nil: none.
func (m *Merger) usage() []byte {
	if m.counts == nil {
		return m.aside
	}
	return m.counts
}

func (c *choice) render(out []byte, endpoint schema.Endpoint) []byte {
	out = strconv.AppendInt(append(out, `{"index":`...), int64(c.index), 10)
	if endpoint != schema.Completions {
		c.normalise()
		out = append(out, `,"message":`...)
		out = c.message.append(out)
	}
	for _, kid := range c.rest.kids {
		out = kid.member(out)
	}
	return append(out, '}')
}

// normalise undoes what only streams have: a text that was begun and never came.
func (c *choice) normalise() {
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
