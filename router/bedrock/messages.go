package bedrock

import (
	"bytes"
	"fmt"
	"strconv"

	"pelton/internal/rawjson"
)

// conversation is the state of writing messages: Converse's turns, of which one
// holds all that one side says in a row, results of tools included.
type conversation struct {
	index   int      // of the message being read
	turn    byte     // the open turn: 'u', 'a', or 0 for none
	begun   bool     // a turn was written
	guarded int      // from this message on, what the user says is guarded; -1: nothing is
	waiting [][]byte // system messages behind the first turn: a part of the user's next

	// The text of the open assistant turn's last block, if that is a text: from and
	// to within the buffer.
	from, to int

	called    [][]byte // names of tools in the history, as they are written
	results   int      // of the old role function, and calls: they have no ids
	calls     int
	documents []string // their names, no two of which may be the same
}

// appendMessages appends the system prompt and the messages.
func (r *request) appendMessages(out []byte) []byte {
	if r.messages == nil {
		r.fail("messages", "messages: missing")
		return out
	}
	if r.guarded = -1; r.guard {
		r.guarded = lastOfUser(r.messages)
	}
	prompt := false
	array, _ := rawjson.Array(r.messages, func(raw []byte) {
		var m message
		_, _ = rawjson.Object(raw, m.take)
		switch isSystem := m.is("system") || m.is("developer"); {
		case isSystem && r.begun:
			r.waiting = append(r.waiting, m.content)
		case isSystem:
			if !prompt {
				out, prompt = append(comma(out), `"system":[`...), true
			}
			out = r.appendContent(out, &m)
		default:
			if !r.begun {
				if r.begun = true; prompt {
					out = append(out, ']')
				}
				out = append(comma(out), `"messages":[`...)
			}
			out = r.appendMessage(out, &m)
		}
		r.index++
	})
	switch {
	case !array:
		r.fail("messages", "messages: must be an array")
	case !r.begun:
		r.fail("messages", "messages: Bedrock needs a message besides the system prompt")
	}
	if r.turn == 'a' && len(r.waiting) == 0 {
		out = r.trimEnd(out)
	}
	if out = r.closeTurn(out); len(r.waiting) > 0 { // no other place is left
		out = r.closeTurn(r.openTurn(out, 'u'))
	}
	return append(out, ']')
}

// lastOfUser is the index of the first of the user's messages at the end.
func lastOfUser(messages []byte) int {
	first, index := -1, 0
	_, _ = rawjson.Array(messages, func(raw []byte) {
		var m message
		_, _ = rawjson.Object(raw, m.take)
		switch {
		case !m.is("user"):
			first = -1
		case first < 0:
			first = index
		}
		index++
	})
	return first
}

// message is what counts of one message, as it is written.
type message struct {
	role, content, refusal, calls, call, id, name, blocks, cache []byte
}

func (m *message) is(role string) bool { return string(inner(m.role)) == role }

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
	case "cache_control":
		m.cache = value
	}
}

// at names a field of the message being read.
func (r *request) at(field string) string { return fmt.Sprintf("messages[%d].%s", r.index, field) }

// appendMessage appends one message to the turn that it belongs to.
func (r *request) appendMessage(out []byte, m *message) []byte {
	switch {
	case m.is("user"):
		out = r.openTurn(out, 'u')
		before := len(out)
		if out = r.appendContent(out, m); len(out) == before {
			r.fail(r.at("content"), r.at("content")+": empty, which Bedrock refuses")
		}
	case m.is("tool"), m.is("function"):
		out = r.appendResult(r.openTurn(out, 'u'), m)
	case m.is("assistant"):
		out = r.appendAssistant(out, m)
	default:
		r.fail(r.at("role"), r.at("role")+": must be system, developer, user, assistant or tool")
	}
	return out
}

// appendAssistant appends what the assistant said: its thoughts as they came,
// its words, and its calls. Where that is nothing the message is left out.
func (r *request) appendAssistant(out []byte, m *message) []byte {
	start, turn, waiting := len(out), r.turn, r.waiting
	out = r.openTurn(out, 'a')
	before := len(out)
	_, _ = rawjson.Array(m.blocks, func(raw []byte) { out = appendThought(out, raw) })
	if !rawjson.IsString(m.content) || !blank(m.content) {
		out = r.appendContent(out, m)
	}
	if !blank(m.refusal) {
		out = r.appendText(out, m.refusal)
	}
	position := 0
	_, _ = rawjson.Array(m.calls, func(raw []byte) {
		out = r.appendCall(out, raw, position)
		position++
	})
	if m.call != nil {
		at := func(field string) string { return r.at("function_call." + field) }
		out = r.appendFunction(out, m.call, []byte("function_call_"+strconv.Itoa(r.calls)), at)
		r.calls++
	}
	if len(out) == before {
		r.turn, r.waiting = turn, waiting
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
		out = append(append(comma(out), `{"reasoningContent":{"reasoningText":{"text":`...), text...)
		out = append(append(append(out, `,"signature":`...), signature...), `}}}`...)
	case string(kind) == `"redacted_thinking"` && data != nil:
		out = append(append(append(comma(out), `{"reasoningContent":{"redactedContent":`...), data...), `}}`...)
	}
	return out
}

// openTurn opens a turn of one side, where none is open. System messages between
// two of the assistant's make a turn of the user's; any others stand before what
// the user says next.
func (r *request) openTurn(out []byte, side byte) []byte {
	between := side == 'a' && len(r.waiting) > 0
	if r.turn != side || between {
		if out = r.closeTurn(out); between {
			out = r.closeTurn(r.openTurn(out, 'u'))
		}
		r.turn, r.to = side, 0
		if side == 'a' {
			return append(comma(out), `{"role":"assistant","content":[`...)
		}
		out = append(comma(out), `{"role":"user","content":[`...)
	}
	return r.appendWaiting(out)
}

// closeTurn closes the open turn.
func (r *request) closeTurn(out []byte) []byte {
	switch r.turn {
	case 0:
		return out
	case 'u':
		out = r.appendWaiting(out)
	}
	r.turn = 0
	return append(out, `]}`...)
}

// appendWaiting appends the system messages that wait, as texts of the user's.
func (r *request) appendWaiting(out []byte) []byte {
	waiting, guarded := r.waiting, r.guarded
	r.waiting, r.guarded = nil, -1
	for _, content := range waiting {
		out = r.appendContent(out, &message{content: content})
	}
	r.guarded = guarded
	return out
}

// trimEnd cuts white space from the end of what the assistant is to go on from:
// it is refused there.
func (r *request) trimEnd(out []byte) []byte {
	if r.to == 0 {
		return out
	}
	kept := r.from + len(trimRight(out[r.from:r.to]))
	return append(out[:kept], out[r.to:]...)
}

// appendContent appends the content of a message, a text or a list of parts.
func (r *request) appendContent(out []byte, m *message) []byte {
	switch {
	case m.content == nil:
	case rawjson.IsString(m.content):
		if len(m.content) > 2 {
			out = appendCache(r.appendSaid(out, m.content), m.cache)
		}
	case rawjson.IsArray(m.content):
		position := 0
		_, _ = rawjson.Array(m.content, func(raw []byte) {
			out = r.appendPart(out, raw, position)
			position++
		})
	default:
		r.fail(r.at("content"), r.at("content")+": must be a text or an array of parts")
	}
	return out
}

// appendSaid appends a text, which a guardrail is to look at where it is asked to.
func (r *request) appendSaid(out, text []byte) []byte {
	if r.guarded >= 0 && r.index >= r.guarded && r.turn == 'u' {
		return appendGuarded(out, text)
	}
	return r.appendText(out, text)
}

func appendGuarded(out, text []byte) []byte {
	out = append(append(comma(out), `{"guardContent":{"text":{"text":`...), text...)
	return append(out, `}}}`...)
}

// appendText appends a block of text, which is written as it came.
func (r *request) appendText(out, text []byte) []byte {
	out = append(comma(out), `{"text":`...)
	r.from = len(out) + 1
	out = append(out, text...)
	r.to = len(out) - 1
	return append(out, '}')
}

// appendCache appends the point up to which a cache is to hold, where cache, which
// is cache_control, asks for one.
func appendCache(out, cache []byte) []byte {
	if rawjson.IsNull(cache) {
		return out
	}
	out = append(comma(out), `{"cachePoint":{"type":"default"`...)
	_, _ = rawjson.Object(cache, func(key, value []byte) {
		if string(key) == "ttl" && rawjson.IsString(value) {
			out = appendMember(out, "ttl", value)
		}
	})
	return append(out, `}}`...)
}

// appendResult appends what a tool gave.
func (r *request) appendResult(out []byte, m *message) []byte {
	out = append(comma(out), `{"toolResult":{"toolUseId":`...)
	switch {
	case m.is("function"): // the result of the call before, as there are no ids
		out = strconv.AppendInt(append(out, `"function_call_`...), int64(r.results), 10)
		out = append(out, '"')
		r.results++
	case len(inner(m.id)) == 0:
		r.fail(r.at("tool_call_id"), r.at("tool_call_id")+": missing")
	default:
		out = appendID(out, plain(m.id))
	}
	out = append(out, `,"content":[`...)
	if rawjson.IsString(m.content) {
		out = append(append(append(out, `{"text":`...), m.content...), '}')
	} else {
		guarded := r.guarded
		r.guarded = -1
		out = r.appendContent(out, m)
		r.guarded = guarded
	}
	r.to = 0
	return appendCache(append(out, `]}}`...), m.cache)
}

// appendCall appends one of an assistant's calls.
func (r *request) appendCall(out, raw []byte, position int) []byte {
	at := func(field string) string { return r.at(fmt.Sprintf("tool_calls[%d].%s", position, field)) }
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
	if kind != nil && string(kind) != `"function"` {
		r.fail(at("type"), at("type")+": Bedrock knows functions alone")
	}
	if len(inner(id)) == 0 {
		r.fail(at("id"), at("id")+": missing")
	}
	return r.appendFunction(out, function, plain(id), func(field string) string { return at("function." + field) })
}

func (r *request) appendFunction(out, function, id []byte, at func(string) string) []byte {
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
		r.fail(at("name"), at("name")+": missing")
		return out
	}
	r.remember(name)
	r.to = 0
	out = append(appendID(append(comma(out), `{"toolUse":{"toolUseId":`...), id), `,"name":`...)
	out = append(r.appendName(out, name), `,"input":`...)
	start := len(out)
	out = rawjson.AppendText(out, arguments)
	if len(bytes.TrimSpace(out[start:])) == 0 {
		out = append(out[:start], "{}"...)
	}
	if object, valid := rawjson.Object(out[start:], func([]byte, []byte) {}); !object || !valid {
		r.fail(at("arguments"), at("arguments")+": must be a JSON object as text")
	}
	return append(out, `}}`...)
}

// remember keeps the name of a tool that was called.
func (r *request) remember(name []byte) {
	for _, known := range r.called {
		if bytes.Equal(known, name) {
			return
		}
	}
	r.called = append(r.called, name)
}
