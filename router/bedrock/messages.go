package bedrock

import (
	"bytes"
	"fmt"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// conversation writes the messages: Converse's turns, of which one holds all that
// one side says in a row, results of tools included.
type conversation struct {
	translate.Refusals
	names toolNames
	guard bool // a guardrail looks at what the user says last

	index   int      // of the message being read
	turn    byte     // the open turn: 'u', 'a', or 0 for none
	begun   bool     // a turn was written
	guarded int      // from this message on, what the user says is guarded; -1: nothing is
	waiting [][]byte // system messages behind the first turn: a part of the user's next

	// The text of the open assistant turn's last block, if that is a text: from and
	// to within the buffer.
	from, to int

	results   int // of the old role function, and calls: they have no ids
	calls     int
	documents []string // their names, no two of which may be the same
}

// append appends the system prompt and the messages.
func (c *conversation) append(out, messages []byte) []byte {
	if messages == nil {
		c.Fail("messages", "messages: missing")
		return out
	}
	if c.guarded = -1; c.guard {
		c.guarded = lastOfUser(messages)
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
				out, prompt = append(translate.Comma(out), `"system":[`...), true
			}
			out = c.appendContent(out, &m)
		default:
			if !c.begun {
				if c.begun = true; prompt {
					out = append(out, ']')
				}
				out = append(translate.Comma(out), `"messages":[`...)
			}
			out = c.appendMessage(out, &m)
		}
		c.index++
	})
	switch {
	case !array:
		c.Fail("messages", "messages: must be an array")
	case !c.begun:
		c.Fail("messages", "messages: Bedrock needs a message besides the system prompt")
	}
	if c.turn == 'a' && len(c.waiting) == 0 {
		out = c.trimEnd(out)
	}
	if out = c.closeTurn(out); len(c.waiting) > 0 { // no other place is left
		out = c.closeTurn(c.openTurn(out, 'u'))
	}
	return append(out, ']')
}

// lastOfUser is the index of the first of the user's messages at the end.
func lastOfUser(messages []byte) int {
	first, index := -1, 0
	_, _ = rawjson.Array(messages, func(raw []byte) {
		var m translate.Message
		_, _ = rawjson.Object(raw, m.Take)
		switch {
		case !m.Is("user"):
			first = -1
		case first < 0:
			first = index
		}
		index++
	})
	return first
}

// at names a field of the message being read.
func (c *conversation) at(field string) string { return fmt.Sprintf("messages[%d].%s", c.index, field) }

// appendMessage appends one message to the turn that it belongs to.
func (c *conversation) appendMessage(out []byte, m *translate.Message) []byte {
	switch {
	case m.Is("user"):
		out = c.openTurn(out, 'u')
		before := len(out)
		if out = c.appendContent(out, m); len(out) == before {
			c.Fail(c.at("content"), c.at("content")+": empty, which Bedrock refuses")
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
	start, turn, waiting := len(out), c.turn, c.waiting
	out = c.openTurn(out, 'a')
	before := len(out)
	_, _ = rawjson.Array(m.Blocks, func(raw []byte) { out = appendThought(out, raw) })
	if !rawjson.IsString(m.Content) || !translate.Blank(m.Content) {
		out = c.appendContent(out, m)
	}
	if !translate.Blank(m.Refusal) {
		out = c.appendText(out, m.Refusal)
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
// signature, which would be refused, is nothing the model has to know.
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
	case string(kind) == `"thinking"` && len(signature) > 2 && text != nil:
		out = append(append(translate.Comma(out), `{"reasoningContent":{"reasoningText":{"text":`...), text...)
		out = append(append(append(out, `,"signature":`...), signature...), `}}}`...)
	case string(kind) == `"redacted_thinking"` && data != nil:
		out = append(append(append(translate.Comma(out), `{"reasoningContent":{"redactedContent":`...), data...), `}}`...)
	}
	return out
}

// openTurn opens a turn of one side, where none is open. System messages between
// two of the assistant's make a turn of the user's; any others stand before what
// the user says next.
func (c *conversation) openTurn(out []byte, side byte) []byte {
	between := side == 'a' && len(c.waiting) > 0
	if c.turn != side || between {
		if out = c.closeTurn(out); between {
			out = c.closeTurn(c.openTurn(out, 'u'))
		}
		c.turn, c.to = side, 0
		if side == 'a' {
			return append(translate.Comma(out), `{"role":"assistant","content":[`...)
		}
		out = append(translate.Comma(out), `{"role":"user","content":[`...)
	}
	return c.appendWaiting(out)
}

// closeTurn closes the open turn.
func (c *conversation) closeTurn(out []byte) []byte {
	switch c.turn {
	case 0:
		return out
	case 'u':
		out = c.appendWaiting(out)
	}
	c.turn = 0
	return append(out, `]}`...)
}

// appendWaiting appends the system messages that wait, as texts of the user's.
func (c *conversation) appendWaiting(out []byte) []byte {
	waiting, guarded := c.waiting, c.guarded
	c.waiting, c.guarded = nil, -1
	for _, content := range waiting {
		out = c.appendContent(out, &translate.Message{Content: content})
	}
	c.guarded = guarded
	return out
}

// trimEnd cuts white space from the end of what the assistant is to go on from:
// it is refused there.
func (c *conversation) trimEnd(out []byte) []byte {
	if c.to == 0 {
		return out
	}
	kept := c.from + len(translate.TrimRight(out[c.from:c.to]))
	return append(out[:kept], out[c.to:]...)
}

// appendContent appends the content of a message, a text or a list of parts.
func (c *conversation) appendContent(out []byte, m *translate.Message) []byte {
	switch {
	case m.Content == nil:
	case rawjson.IsString(m.Content):
		if len(m.Content) > 2 {
			out = appendCache(c.appendSaid(out, m.Content), m.Cache)
		}
	case rawjson.IsArray(m.Content):
		position := 0
		_, _ = rawjson.Array(m.Content, func(raw []byte) {
			out = c.appendPart(out, raw, position)
			position++
		})
	default:
		c.Fail(c.at("content"), c.at("content")+": must be a text or an array of parts")
	}
	return out
}

// appendSaid appends a text, which a guardrail is to look at where it is asked to.
func (c *conversation) appendSaid(out, text []byte) []byte {
	if c.guarded >= 0 && c.index >= c.guarded && c.turn == 'u' {
		return appendGuarded(out, text)
	}
	return c.appendText(out, text)
}

func appendGuarded(out, text []byte) []byte {
	out = append(append(translate.Comma(out), `{"guardContent":{"text":{"text":`...), text...)
	return append(out, `}}}`...)
}

// appendText appends a block of text, which is written as it came.
func (c *conversation) appendText(out, text []byte) []byte {
	out = append(translate.Comma(out), `{"text":`...)
	c.from = len(out) + 1
	out = append(out, text...)
	c.to = len(out) - 1
	return append(out, '}')
}

// appendCache appends the point up to which a cache is to hold, where cache, which
// is cache_control, asks for one.
func appendCache(out, cache []byte) []byte {
	if rawjson.IsNull(cache) {
		return out
	}
	out = append(translate.Comma(out), `{"cachePoint":{"type":"default"`...)
	_, _ = rawjson.Object(cache, func(key, value []byte) {
		if string(key) == "ttl" && rawjson.IsString(value) {
			out = translate.AppendMember(out, "ttl", value)
		}
	})
	return append(out, `}}`...)
}

// appendResult appends what a tool gave.
func (c *conversation) appendResult(out []byte, m *translate.Message) []byte {
	out = append(translate.Comma(out), `{"toolResult":{"toolUseId":`...)
	switch {
	case m.Is("function"): // the result of the call before, as there are no ids
		out = strconv.AppendInt(append(out, `"function_call_`...), int64(c.results), 10)
		out = append(out, '"')
		c.results++
	case len(translate.Inner(m.ID)) == 0:
		c.Fail(c.at("tool_call_id"), c.at("tool_call_id")+": missing")
	default:
		out = appendID(out, translate.Plain(m.ID))
	}
	out = append(out, `,"content":[`...)
	if rawjson.IsString(m.Content) {
		out = append(append(append(out, `{"text":`...), m.Content...), '}')
	} else {
		guarded := c.guarded
		c.guarded = -1
		out = c.appendContent(out, m)
		c.guarded = guarded
	}
	c.to = 0
	return appendCache(append(out, `]}}`...), m.Cache)
}

// appendCall appends one of an assistant's calls.
func (c *conversation) appendCall(out, raw []byte, position int) []byte {
	at := func(field string) string { return c.at(fmt.Sprintf("tool_calls[%d].%s", position, field)) }
	call := translate.ReadCall(raw)
	if call.Kind != nil && string(call.Kind) != `"function"` {
		c.Fail(at("type"), at("type")+": Bedrock knows functions alone")
	}
	if len(translate.Inner(call.ID)) == 0 {
		c.Fail(at("id"), at("id")+": missing")
	}
	return c.appendFunction(out, call.Function, translate.Plain(call.ID), func(field string) string { return at("function." + field) })
}

func (c *conversation) appendFunction(out, function, id []byte, at func(string) string) []byte {
	name, arguments := translate.ReadCalled(function)
	if !rawjson.IsString(name) {
		c.Fail(at("name"), at("name")+": missing")
		return out
	}
	c.names.Remember(name)
	c.to = 0
	out = append(appendID(append(translate.Comma(out), `{"toolUse":{"toolUseId":`...), id), `,"name":`...)
	out = append(c.names.append(out, name), `,"input":`...)
	start := len(out)
	out = rawjson.AppendText(out, arguments)
	if len(bytes.TrimSpace(out[start:])) == 0 {
		out = append(out[:start], "{}"...)
	}
	if object, valid := rawjson.Object(out[start:], func([]byte, []byte) {}); !object || !valid {
		c.Fail(at("arguments"), at("arguments")+": must be a JSON object as text")
	}
	return append(out, `}}`...)
}
