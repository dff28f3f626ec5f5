package anthropic

import (
	"bytes"
	"fmt"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// conversation writes the messages: Anthropic's turns, of which one
// holds all that one side says in a row, results of tools included.
type conversation struct {
	translate.Refusals
	names     toolNames
	system    []byte // Anthropic's own
	midSystem bool   // the model takes system messages behind the first turn

	index int  // of the message being read
	turn  byte // the open turn: 'u', 'a', or 0 for none
	begun bool // a turn was written

	// System messages behind the first turn wait here: they stand behind the
	// user's turn with models that take them there, and are a part of it with
	// others.
	waiting [][]byte

	// The text of the open assistant turn's last block, if that is a text: from and
	// to within the buffer.
	from, to int

	results int // of the old role function, and calls: they have no ids
	calls   int
}

// append appends the system prompt and the messages.
func (c *conversation) append(out, messages []byte) []byte {
	if messages == nil {
		c.Fail("messages", "messages: missing")
		return out
	}
	prompt := false
	array, _ := rawjson.Array(messages, func(raw []byte) {
		var m translate.Message
		_, _ = rawjson.Object(raw, m.Take)
		switch isSystem := m.Is("system") || m.Is("developer"); {
		case isSystem && c.begun:
			c.waiting = append(c.waiting, m.Content)
		case isSystem:
			if !prompt {
				out, prompt = append(out, `,"system":[`...), true
			}
			out = c.appendContent(out, &m, false)
		default:
			if !c.begun {
				out = c.begin(out, prompt)
			}
			out = c.appendMessage(out, &m)
		}
		c.index++
	})
	switch {
	case !array:
		c.Fail("messages", "messages: must be an array")
	case !c.begun:
		c.Fail("messages", "messages: Anthropic needs a message besides the system prompt")
	}
	if c.turn == 'a' && len(c.waiting) == 0 {
		out = c.trimEnd(out)
	}
	if out = c.closeTurn(out); len(c.waiting) > 0 { // no other place is left
		out = c.closeTurn(c.appendWaiting(c.openTurn(out, 'u')))
	}
	return append(out, ']')
}

// begin ends the system prompt, if there is one, and begins the messages.
func (c *conversation) begin(out []byte, prompt bool) []byte {
	switch c.begun = true; {
	case prompt && c.system != nil:
		c.Fail("system", "system: given besides messages of the role system; keep one")
	case prompt:
		out = append(out, ']')
	case c.system != nil:
		out = append(append(out, `,"system":`...), c.system...)
	}
	return append(out, `,"messages":[`...)
}

// appendMessage appends one message to the turn that it belongs to.
func (c *conversation) appendMessage(out []byte, m *translate.Message) []byte {
	switch {
	case m.Is("user"):
		out = c.openTurn(out, 'u')
		if !c.midSystem {
			out = c.appendWaiting(out)
		}
		before := len(out)
		if out = c.appendContent(out, m, false); len(out) == before {
			c.Fail(c.at("content"), c.at("content")+": empty, which Anthropic refuses")
		}
	case m.Is("tool"), m.Is("function"):
		out = c.appendResult(c.openTurn(out, 'u'), m)
	case m.Is("assistant"):
		out = c.appendAssistant(out, m)
	default:
		c.Fail(c.at("role"), c.at("role")+": must be system, developer, user, assistant or tool")
	}
	return out
}

// appendAssistant appends what the assistant said: its thoughts as they came,
// its words, and its calls. Where that is nothing the message is left out.
func (c *conversation) appendAssistant(out []byte, m *translate.Message) []byte {
	start, turn := len(out), c.turn
	waiting := c.waiting
	out = c.openTurn(out, 'a')
	before := len(out)
	_, _ = rawjson.Array(m.Blocks, func(raw []byte) { out = appendThought(out, raw) })
	out = c.appendContent(out, m, true)
	if rawjson.IsString(m.Refusal) && !translate.Blank(m.Refusal) {
		out = c.appendText(out, m.Refusal, nil)
	}
	position := 0
	_, _ = rawjson.Array(m.Calls, func(raw []byte) {
		out = c.appendCall(out, raw, position)
		position++
	})
	if m.Call != nil {
		at := func(field string) string { return c.at("function_call." + field) }
		out = c.appendFunction(out, m.Call, []byte("function_call_"+strconv.Itoa(c.calls)), at)
		c.calls++
	}
	if len(out) == before {
		c.turn, c.waiting = turn, waiting
		return out[:start]
	}
	return out
}

// appendThought appends a block of thinking of an earlier answer. One without a
// signature, which Anthropic would refuse, is nothing it has to know.
func appendThought(out, raw []byte) []byte {
	var kind, text, signature, data []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "thinking":
			text = value
		case "signature":
			signature = value
		case "data":
			data = value
		}
	})
	switch {
	case string(kind) == `"thinking"` && len(signature) > 2:
		out = append(append(translate.Comma(out), `{"type":"thinking","thinking":`...), text...)
		out = append(append(append(out, `,"signature":`...), signature...), '}')
	case string(kind) == `"redacted_thinking"` && data != nil:
		out = append(append(append(translate.Comma(out), `{"type":"redacted_thinking","data":`...), data...), '}')
	}
	return out
}

// at names a field of the message being read.
func (c *conversation) at(field string) string { return fmt.Sprintf("messages[%d].%s", c.index, field) }

// openTurn opens a turn of one side, where none is open. System messages between
// two of the assistant's make a turn of the user's.
func (c *conversation) openTurn(out []byte, side byte) []byte {
	between := side == 'a' && len(c.waiting) > 0
	if c.turn == side && !between {
		return out
	}
	if out = c.closeTurn(out); side == 'a' && len(c.waiting) > 0 {
		out = c.closeTurn(c.appendWaiting(c.openTurn(out, 'u')))
	}
	c.turn, c.to = side, 0
	if side == 'a' {
		return append(translate.Comma(out), `{"role":"assistant","content":[`...)
	}
	return append(translate.Comma(out), `{"role":"user","content":[`...)
}

// closeTurn closes the open turn. Behind one of the user's stands what the system
// said meanwhile.
func (c *conversation) closeTurn(out []byte) []byte {
	switch {
	case c.turn == 0:
		return out
	case c.turn == 'u' && len(c.waiting) > 0 && c.midSystem:
		out = append(out, `]},{"role":"system","content":[`...)
		out = c.appendWaiting(out)
	case c.turn == 'u':
		out = c.appendWaiting(out)
	}
	c.turn = 0
	return append(out, `]}`...)
}

// appendWaiting appends the system messages that wait.
func (c *conversation) appendWaiting(out []byte) []byte {
	for _, content := range c.waiting {
		out = c.appendContent(out, &translate.Message{Content: content}, false)
	}
	c.waiting = nil
	return out
}

// trimEnd cuts white space from the end of what the assistant is to go on from:
// Anthropic refuses it there.
func (c *conversation) trimEnd(out []byte) []byte {
	if c.to == 0 {
		return out
	}
	kept := c.from + len(translate.TrimRight(out[c.from:c.to]))
	return append(out[:kept], out[c.to:]...)
}

// appendContent appends the content of a message, a text or a list of parts.
func (c *conversation) appendContent(out []byte, m *translate.Message, assistant bool) []byte {
	switch {
	case m.Content == nil:
	case rawjson.IsString(m.Content):
		if !translate.Blank(m.Content) {
			out = c.appendText(out, m.Content, m.Cache)
		}
	case rawjson.IsArray(m.Content):
		position := 0
		_, _ = rawjson.Array(m.Content, func(raw []byte) {
			out = c.appendPart(out, raw, position, assistant)
			position++
		})
	default:
		c.Fail(c.at("content"), c.at("content")+": must be a text or an array of parts")
	}
	return out
}

// appendText appends a block of text, which is written as it came.
func (c *conversation) appendText(out, text, cache []byte) []byte {
	out = append(translate.Comma(out), `{"type":"text","text":`...)
	c.from = len(out) + 1
	out = append(out, text...)
	c.to = len(out) - 1
	if cache != nil {
		out = append(append(out, `,"cache_control":`...), cache...)
	}
	return append(out, '}')
}

// appendResult appends what a tool gave.
func (c *conversation) appendResult(out []byte, m *translate.Message) []byte {
	out = append(translate.Comma(out), `{"type":"tool_result","tool_use_id":"`...)
	switch {
	case m.Is("function"): // the result of the call before, as there are no ids
		out = strconv.AppendInt(append(out, "function_call_"...), int64(c.results), 10)
		c.results++
	case m.ID == nil:
		c.Fail(c.at("tool_call_id"), c.at("tool_call_id")+": missing")
	default:
		out = appendSafe(out, translate.Plain(m.ID))
	}
	out = append(out, '"')
	switch {
	case rawjson.IsString(m.Content):
		out = append(append(out, `,"content":`...), m.Content...)
	case m.Content != nil:
		out = append(c.appendContent(append(out, `,"content":[`...), m, false), ']')
	}
	if m.Cache != nil {
		out = append(append(out, `,"cache_control":`...), m.Cache...)
	}
	return append(out, '}')
}

// appendCall appends one of an assistant's calls.
func (c *conversation) appendCall(out, raw []byte, position int) []byte {
	at := func(field string) string { return c.at(fmt.Sprintf("tool_calls[%d].%s", position, field)) }
	call := translate.ReadCall(raw)
	if call.Kind != nil && string(call.Kind) != `"function"` {
		c.Fail(at("type"), at("type")+": Anthropic knows functions alone")
	}
	inner := func(field string) string { return at("function." + field) }
	return c.appendFunction(out, call.Function, translate.Plain(call.ID), inner)
}

func (c *conversation) appendFunction(out, function, id []byte, at func(string) string) []byte {
	name, arguments := translate.ReadCalled(function)
	if !rawjson.IsString(name) {
		c.Fail(at("name"), at("name")+": missing")
		return out
	}
	c.names.Remember(name)
	c.to = 0
	out = append(appendSafe(append(translate.Comma(out), `{"type":"tool_use","id":"`...), id), `","name":`...)
	out = append(c.names.append(out, name), `,"input":`...)
	start := len(out)
	out = rawjson.AppendText(out, arguments)
	if len(bytes.TrimSpace(out[start:])) == 0 {
		out = append(out[:start], "{}"...)
	}
	if object, _ := rawjson.Object(out[start:], nil); !object {
		c.Fail(at("arguments"), at("arguments")+": must be a JSON object as text")
	}
	return append(out, '}')
}
