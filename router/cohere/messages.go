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
		var m translate.Message
		_, _ = rawjson.Object(raw, m.Take)
		if !m.Is("tool") && !m.Is("function") {
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

// at names a field of the message being read.
func (c *conversation) at(field string) string { return fmt.Sprintf("messages[%d].%s", c.index, field) }

func (c *conversation) appendMessage(out []byte, m *translate.Message) []byte {
	switch {
	case m.Is("system"), m.Is("developer"):
		return append(c.appendContent(begin(out, "system"), m, false), '}')
	case m.Is("user"):
		if out = begin(out, "user"); m.Name != nil {
			out = translate.AppendMember(out, "name", m.Name)
		}
		if m.Content == nil {
			c.Fail(c.at("content"), c.at("content")+": missing")
		}
		return append(c.appendContent(out, m, false), '}')
	case m.Is("assistant"):
		return c.appendAssistant(begin(out, "assistant"), m)
	case m.Is("tool"), m.Is("function"):
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
func (c *conversation) appendContent(out []byte, m *translate.Message, result bool) []byte {
	switch {
	case m.Content == nil:
	case rawjson.IsString(m.Content):
		out = translate.AppendMember(out, "content", m.Content)
	case rawjson.IsArray(m.Content):
		out = append(translate.AppendKey(out, "content"), '[')
		out = append(c.appendParts(out, m.Content, result), ']')
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
func (c *conversation) appendResult(out []byte, m *translate.Message) []byte {
	switch {
	case m.Is("function"): // the result of the call before, as there are no ids
		out = strconv.AppendInt(append(out, `,"tool_call_id":"function_call_`...), int64(c.results), 10)
		out = append(out, '"')
		c.results++
	case len(translate.Inner(m.ID)) == 0:
		c.Fail(c.at("tool_call_id"), c.at("tool_call_id")+": missing")
	default:
		out = translate.AppendMember(out, "tool_call_id", m.ID)
	}
	before := len(out)
	out = c.appendContent(out, m, true)
	if len(out) == before || bytes.HasSuffix(out, []byte(`"content":[`)) || bytes.HasSuffix(out, []byte(`"content":[]`)) {
		out = append(out[:before], `,"content":""`...)
	}
	return append(out, '}')
}

// appendAssistant appends what the assistant said, thought and called.
func (c *conversation) appendAssistant(out []byte, m *translate.Message) []byte {
	thoughts := c.thoughts(m)
	if m.Content == nil { // it is what the assistant said
		m.Content = m.Refusal
	}
	out = c.appendSaid(out, m, thoughts)
	plan := m.Plan
	if plan == nil && thoughts == nil && (m.Calls != nil || m.Call != nil) && rawjson.IsString(m.Thoughts) {
		plan = m.Thoughts
	}
	if plan != nil {
		out = translate.AppendMember(out, "tool_plan", plan)
	}
	out = c.appendCalls(out, m)
	if m.Citations != nil {
		out = translate.AppendMember(out, "citations", m.Citations)
	}
	return append(out, '}')
}

// thoughts are what the assistant thought, as parts of its content, of a model that
// takes them back.
func (c *conversation) thoughts(m *translate.Message) (parts []byte) {
	if !c.reasons {
		return nil
	}
	add := func(text []byte) {
		parts = append(append(append(parts, `{"type":"thinking","thinking":`...), text...), `},`...)
	}
	_, _ = rawjson.Array(m.Blocks, func(raw []byte) { translate.Within(raw, "thinking", add) })
	if parts == nil && !translate.Blank(m.Thoughts) {
		add(m.Thoughts)
	}
	return bytes.TrimSuffix(parts, []byte(","))
}

// appendSaid appends what the assistant said, behind its thoughts.
func (c *conversation) appendSaid(out []byte, m *translate.Message, thoughts []byte) []byte {
	if thoughts == nil {
		return c.appendContent(out, m, false)
	}
	out = append(append(translate.AppendKey(out, "content"), '['), thoughts...)
	if rawjson.IsArray(m.Content) {
		out = c.appendParts(out, m.Content, false)
	} else if !translate.Blank(m.Content) {
		out = append(append(append(out, `,{"type":"text","text":`...), m.Content...), '}')
	}
	return append(out, ']')
}

// appendCalls appends the assistant's calls.
func (c *conversation) appendCalls(out []byte, m *translate.Message) []byte {
	if m.Calls == nil && m.Call == nil {
		return out
	}
	out = append(translate.AppendKey(out, "tool_calls"), '[')
	position := 0
	_, _ = rawjson.Array(m.Calls, func(raw []byte) {
		number := position
		position++
		at := func(field string) string { return c.at(fmt.Sprintf("tool_calls[%d].%s", number, field)) }
		call := translate.ReadCall(raw)
		switch {
		case call.Kind != nil && string(call.Kind) != `"function"`:
			c.Fail(at("type"), at("type")+": Cohere knows functions alone")
		case len(translate.Inner(call.ID)) == 0:
			c.Fail(at("id"), at("id")+": missing")
		}
		out = c.appendCall(out, call.ID, call.Function, func(field string) string { return at("function." + field) })
	})
	if m.Call != nil {
		id := strconv.AppendInt([]byte(`"function_call_`), int64(c.calls), 10)
		c.calls++
		out = c.appendCall(out, append(id, '"'), m.Call, func(field string) string { return c.at("function_call." + field) })
	}
	return append(out, ']')
}

func (c *conversation) appendCall(out, id, function []byte, at func(field string) string) []byte {
	name, arguments := translate.ReadCalled(function)
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
