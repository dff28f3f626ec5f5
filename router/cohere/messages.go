package cohere

import (
	"bytes"
	"fmt"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// conversation writes the messages, which Cohere has as OpenAI has them, but for
// what stands in them.
type conversation struct {
	translate.Refusals
	reasons bool // the model thinks, and takes its thoughts back

	index    int    // of the message being read
	pictures []byte // of results of tools, parts of the user's next message
	results  int    // of the old role function, and calls: they have no ids
	calls    int
}

// append appends the messages.
func (c *conversation) append(out, messages []byte) []byte {
	if messages == nil {
		c.Fail("messages", "messages: missing")
		return out
	}
	out = append(translate.AppendKey(out, "messages"), '[')
	array, _ := rawjson.Array(messages, func(raw []byte) {
		var m message
		_, _ = rawjson.Object(raw, m.take)
		if !m.is("tool") && !m.is("function") {
			out = c.appendPictures(out)
		}
		out = c.appendMessage(out, &m)
		c.index++
	})
	switch {
	case !array:
		c.Fail("messages", "messages: must be an array")
	case c.index == 0:
		c.Fail("messages", "messages: empty")
	}
	return append(c.appendPictures(out), ']')
}

// message is what counts of one message, as it is written.
type message struct {
	role, content, refusal, calls, call, id, name, blocks, thoughts, plan, citations []byte
}

func (m *message) is(role string) bool { return string(translate.Inner(m.role)) == role }

func (m *message) take(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(key) {
	case "role":
		m.role = value
	case "content":
		m.content = value
	case "refusal":
		m.refusal = value
	case "tool_calls":
		m.calls = value
	case "function_call":
		m.call = value
	case "tool_call_id":
		m.id = value
	case "name":
		m.name = value
	case "thinking_blocks":
		m.blocks = value
	case "reasoning_content":
		m.thoughts = value
	case "tool_plan": // Cohere's own, as the next
		m.plan = value
	case "citations":
		m.citations = value
	}
}

// at names a field of the message being read.
func (c *conversation) at(field string) string { return fmt.Sprintf("messages[%d].%s", c.index, field) }

func (c *conversation) appendMessage(out []byte, m *message) []byte {
	switch {
	case m.is("system"), m.is("developer"):
		return append(c.appendContent(begin(out, "system"), m, false), '}')
	case m.is("user"):
		if out = begin(out, "user"); m.name != nil {
			out = translate.AppendMember(out, "name", m.name)
		}
		if m.content == nil {
			c.Fail(c.at("content"), c.at("content")+": missing")
		}
		return append(c.appendContent(out, m, false), '}')
	case m.is("assistant"):
		return c.appendAssistant(begin(out, "assistant"), m)
	case m.is("tool"), m.is("function"):
		return c.appendResult(begin(out, "tool"), m)
	}
	c.Fail(c.at("role"), c.at("role")+": must be system, developer, user, assistant or tool")
	return out
}

// begin begins a message.
func begin(out []byte, role string) []byte {
	return append(append(append(translate.Comma(out), `{"role":"`...), role...), '"')
}

// appendContent appends the content of a message, a text or a list of parts, of
// which those of a tool's result cannot be pictures.
func (c *conversation) appendContent(out []byte, m *message, result bool) []byte {
	switch {
	case m.content == nil:
	case rawjson.IsString(m.content):
		out = translate.AppendMember(out, "content", m.content)
	case rawjson.IsArray(m.content):
		out = append(translate.AppendKey(out, "content"), '[')
		out = append(c.appendParts(out, m.content, result), ']')
	default:
		c.Fail(c.at("content"), c.at("content")+": must be a text or an array of parts")
	}
	return out
}

func (c *conversation) appendParts(out, parts []byte, result bool) []byte {
	position := 0
	_, _ = rawjson.Array(parts, func(raw []byte) {
		out = c.appendPart(out, raw, position, result)
		position++
	})
	return out
}

// appendPart appends a part of a message.
func (c *conversation) appendPart(out, raw []byte, position int, result bool) []byte {
	at := func(field string) string { return c.at(fmt.Sprintf("content[%d].%s", position, field)) }
	var kind, text, image, refusal []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "text":
			text = value
		case "refusal":
			refusal = value
		case "image_url":
			image = value
		}
	})
	switch string(kind) {
	case `"text"`, `"refusal"`:
		if string(kind) == `"refusal"` {
			text = refusal
		}
		if !rawjson.IsString(text) {
			c.Fail(at("text"), at("text")+": must be a text")
		}
		return append(append(append(translate.Comma(out), `{"type":"text","text":`...), text...), '}')
	case `"image_url"`:
		if rawjson.IsString(image) {
			image = append(append([]byte(`{"url":`), image...), '}')
		}
		if !rawjson.IsObject(image) {
			c.Fail(at("image_url"), at("image_url")+": missing")
			return out
		}
		picture := append(append([]byte(`{"type":"image_url","image_url":`), image...), '}')
		if result {
			c.pictures = append(append(c.pictures, ','), picture...)
			return out
		}
		return append(translate.Comma(out), picture...)
	case `"document"`, `"thinking"`: // Cohere's own
		return append(translate.Comma(out), raw...)
	case `"input_audio"`:
		c.Fail(at("type"), at("type")+": Cohere takes no sound")
	case `"file"`:
		c.Fail(at("type"), at("type")+": Cohere takes no files: send their text, or documents beside the messages")
	default:
		c.Fail(at("type"), at("type")+": Cohere knows no "+string(kind))
	}
	return out
}

// appendPictures appends the pictures that tools gave, which Cohere takes from the
// user alone: in a message of the user's behind the results.
func (c *conversation) appendPictures(out []byte) []byte {
	if c.pictures == nil {
		return out
	}
	out = append(translate.AppendKey(begin(out, "user"), "content"), '[')
	out = append(append(out, c.pictures[1:]...), `]}`...)
	c.pictures = nil
	return out
}

// appendResult appends what a tool gave.
func (c *conversation) appendResult(out []byte, m *message) []byte {
	switch {
	case m.is("function"): // the result of the call before, as there are no ids
		out = strconv.AppendInt(append(out, `,"tool_call_id":"function_call_`...), int64(c.results), 10)
		out = append(out, '"')
		c.results++
	case len(translate.Inner(m.id)) == 0:
		c.Fail(c.at("tool_call_id"), c.at("tool_call_id")+": missing")
	default:
		out = translate.AppendMember(out, "tool_call_id", m.id)
	}
	before := len(out)
	out = c.appendContent(out, m, true)
	if len(out) == before || bytes.HasSuffix(out, []byte(`"content":[`)) || bytes.HasSuffix(out, []byte(`"content":[]`)) {
		out = append(out[:before], `,"content":""`...)
	}
	return append(out, '}')
}

// appendAssistant appends what the assistant said, thought and called.
func (c *conversation) appendAssistant(out []byte, m *message) []byte {
	thoughts := c.thoughts(m)
	if m.content == nil { // it is what the assistant said
		m.content = m.refusal
	}
	out = c.appendSaid(out, m, thoughts)
	plan := m.plan
	if plan == nil && thoughts == nil && (m.calls != nil || m.call != nil) && rawjson.IsString(m.thoughts) {
		plan = m.thoughts
	}
	if plan != nil {
		out = translate.AppendMember(out, "tool_plan", plan)
	}
	out = c.appendCalls(out, m)
	if m.citations != nil {
		out = translate.AppendMember(out, "citations", m.citations)
	}
	return append(out, '}')
}

// thoughts are what the assistant thought, as parts of its content, of a model that
// takes them back.
func (c *conversation) thoughts(m *message) (parts []byte) {
	if !c.reasons {
		return nil
	}
	add := func(text []byte) {
		parts = append(append(append(parts, `{"type":"thinking","thinking":`...), text...), `},`...)
	}
	_, _ = rawjson.Array(m.blocks, func(raw []byte) { translate.Within(raw, "thinking", add) })
	if parts == nil && !translate.Blank(m.thoughts) {
		add(m.thoughts)
	}
	return bytes.TrimSuffix(parts, []byte(","))
}

// appendSaid appends what the assistant said, behind its thoughts.
func (c *conversation) appendSaid(out []byte, m *message, thoughts []byte) []byte {
	if thoughts == nil {
		return c.appendContent(out, m, false)
	}
	out = append(append(translate.AppendKey(out, "content"), '['), thoughts...)
	if rawjson.IsArray(m.content) {
		out = c.appendParts(out, m.content, false)
	} else if !translate.Blank(m.content) {
		out = append(append(append(out, `,{"type":"text","text":`...), m.content...), '}')
	}
	return append(out, ']')
}

// appendCalls appends the assistant's calls.
func (c *conversation) appendCalls(out []byte, m *message) []byte {
	if m.calls == nil && m.call == nil {
		return out
	}
	out = append(translate.AppendKey(out, "tool_calls"), '[')
	position := 0
	_, _ = rawjson.Array(m.calls, func(raw []byte) {
		number := position
		position++
		at := func(field string) string { return c.at(fmt.Sprintf("tool_calls[%d].%s", number, field)) }
		var id, function, kind []byte
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			switch string(key) {
			case "id":
				id = value
			case "function":
				function = value
			case "type":
				kind = value
			}
		})
		switch {
		case kind != nil && string(kind) != `"function"`:
			c.Fail(at("type"), at("type")+": Cohere knows functions alone")
		case len(translate.Inner(id)) == 0:
			c.Fail(at("id"), at("id")+": missing")
		}
		out = c.appendCall(out, id, function, func(field string) string { return at("function." + field) })
	})
	if m.call != nil {
		id := strconv.AppendInt([]byte(`"function_call_`), int64(c.calls), 10)
		c.calls++
		out = c.appendCall(out, append(id, '"'), m.call, func(field string) string { return c.at("function_call." + field) })
	}
	return append(out, ']')
}

func (c *conversation) appendCall(out, id, function []byte, at func(field string) string) []byte {
	var name, arguments []byte
	_, _ = rawjson.Object(function, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "arguments":
			arguments = value
		}
	})
	if !rawjson.IsString(name) {
		c.Fail(at("name"), at("name")+": missing")
		return out
	}
	out = append(append(translate.Comma(out), `{"id":`...), id...)
	out = append(append(out, `,"type":"function","function":{"name":`...), name...)
	if translate.Blank(arguments) {
		arguments = []byte(`"{}"`)
	} else if object, valid := rawjson.Object(translate.Plain(arguments), nil); !object || !valid {
		c.Fail(at("arguments"), at("arguments")+": must be a JSON object as text")
	}
	return append(append(append(out, `,"arguments":`...), arguments...), `}}`...)
}
