package gemini

import (
	"bytes"
	"fmt"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// turn is what the parts that are being written belong to.
type turn byte

const (
	noTurn turn = iota
	systemTurn
	userTurn
	modelTurn
	resultTurn // results of function calls: a user turn that holds nothing else
)

// call is a function call in the history.
type call struct{ id, name []byte } // without their quotes

// message is one of the body's, as written.
type message struct {
	role, content, calls, callID, name, refusal, function, reasoning, own, images []byte
}

func (m *message) take(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(rawjson.Key(key)) {
	case "role":
		m.role = value
	case "content":
		m.content = value
	case "tool_calls":
		m.calls = value
	case "tool_call_id":
		m.callID = value
	case "name":
		m.name = value
	case "refusal":
		m.refusal = value
	case "function_call":
		m.function = value
	case "reasoning_content":
		m.reasoning = value
	case "provider_specific_fields":
		m.own = value
	case "images":
		m.images = value
	}
}

// conversation writes the messages.
type conversation struct {
	output
	index, part int  // of the message and its part that are being read; -1: none
	turn        turn // that is open
	system      int  // where its parts begin
	made        []call
	resolution  int // the highest that an image asks for, before Gemini 3
}

// contents writes the messages: system_instruction and contents. System text
// that stands before everything else is the instruction; what comes later stays
// in its place, as a user turn, and so does a system text without any other.
func (c *conversation) contents(messages []byte) {
	if array, _ := rawjson.Array(messages, c.message); !array {
		c.bad("messages", "must be an array of messages")
	}
	switch {
	case c.err != nil:
	case c.turn == noTurn:
		c.bad("messages", "there is none with anything in it")
	case c.turn == systemTurn:
		parts := bytes.Clone(c.out[c.system:])
		c.out = append(c.out[:1], `"contents":[{"role":"user","parts":[`...)
		c.out = append(append(c.out, parts...), "]}]"...)
	default:
		c.out = append(c.out, "]}]"...)
	}
	c.index = -1
}

// open makes room for another part of a turn.
func (c *conversation) open(t turn) {
	if t == c.turn {
		c.out = append(c.out, ',')
		return
	}
	switch {
	case t == systemTurn:
		c.out = append(c.out, `"system_instruction":{"parts":[`...)
		c.system = len(c.out)
	case c.turn == noTurn:
		c.out = append(c.out, `"contents":[`...)
	case c.turn == systemTurn:
		c.out = append(c.out, `]},"contents":[`...)
	default:
		c.out = append(c.out, "]},"...)
	}
	switch c.turn = t; t {
	case userTurn, resultTurn:
		c.out = append(c.out, `{"role":"user","parts":[`...)
	case modelTurn:
		c.out = append(c.out, `{"role":"model","parts":[`...)
	}
}

// at names the place that is being read.
func (c *conversation) at(field string) string {
	if c.part >= 0 {
		return fmt.Sprintf("messages[%d].content[%d]%s", c.index, c.part, field)
	}
	return fmt.Sprintf("messages[%d]%s", c.index, field)
}

func (c *conversation) message(raw []byte) {
	c.index++
	c.part = -1
	if c.err != nil {
		return
	}
	var m message
	if object, _ := rawjson.Object(raw, m.take); !object {
		c.bad(c.at(""), "is no object")
		return
	}
	switch string(m.role) {
	case `"system"`, `"developer"`:
		if c.turn == noTurn || c.turn == systemTurn {
			c.text(systemTurn, &m)
		} else {
			c.text(userTurn, &m)
		}
	case `"user"`:
		before, was := len(c.out), c.turn
		c.text(userTurn, &m)
		if len(c.out) == before && c.turn == was {
			c.bad(c.at(".content"), "is empty")
		}
	case `"assistant"`:
		c.assistant(&m)
	case `"tool"`, `"function"`:
		c.result(&m)
	default:
		c.bad(c.at(".role"), "must be system, developer, user, assistant, tool or function")
	}
}

// text writes a message's content.
func (c *conversation) text(t turn, m *message) {
	switch {
	case m.content == nil:
	case rawjson.IsString(m.content):
		c.appendText(t, m.content)
	case rawjson.IsArray(m.content):
		rawjson.Array(m.content, func(raw []byte) { c.contentPart(t, raw) })
		c.part = -1
	default:
		c.bad(c.at(".content"), "must be text or an array of parts")
	}
}

// appendText writes a part with a text; empty ones say nothing, and Gemini
// refuses them.
func (c *conversation) appendText(t turn, text []byte) {
	if len(text) > 2 {
		c.open(t)
		c.out = append(append(append(c.out, `{"text":`...), text...), '}')
	}
}

// assistant writes a turn of the model. Thoughts and signatures go back to where
// they came from.
func (c *conversation) assistant(m *message) {
	if len(m.reasoning) > 2 && rawjson.IsString(m.reasoning) {
		c.open(modelTurn)
		c.out = append(append(append(c.out, `{"thought":true,"text":`...), m.reasoning...), '}')
	}
	called := rawjson.IsArray(m.calls) && !isEmpty(m.calls) || m.function != nil
	switch {
	case rawjson.IsString(m.content):
		c.said(m, called)
	case m.content != nil:
		c.text(modelTurn, m)
	case rawjson.IsString(m.refusal) && !called: // what it said
		c.appendText(modelTurn, m.refusal)
	}
	if m.images != nil {
		rawjson.Array(m.images, func(raw []byte) { c.contentPart(modelTurn, raw) })
		c.part = -1
	}
	switch {
	case rawjson.IsArray(m.calls):
		number := 0
		rawjson.Array(m.calls, func(raw []byte) {
			c.toolCall(raw, number)
			number++
		})
	case m.function != nil:
		c.functionCall(toolCall{function: m.function}, c.at(".function_call"), true)
	}
}

// said writes an assistant's text, with the signature that came with it.
func (c *conversation) said(m *message, called bool) {
	if len(m.content) == 2 && called {
		return
	}
	c.open(modelTurn)
	c.out = append(append(c.out, `{"text":`...), m.content...)
	if signature := firstSignature(m.own); signature != nil && !bytes.Contains(m.calls, signature) {
		c.out = append(append(c.out, `,"thoughtSignature":`...), signature...)
	}
	c.out = append(c.out, '}')
}

// firstSignature is the first of thought_signatures.
func firstSignature(own []byte) (signature []byte) {
	if own == nil {
		return nil
	}
	_, _ = rawjson.Object(own, func(key, value []byte) {
		if string(key) == "thought_signatures" {
			rawjson.Array(value, func(value []byte) {
				if signature == nil && rawjson.IsString(value) {
					signature = value
				}
			})
		}
	})
	return signature
}

func isEmpty(array []byte) bool { return len(bytes.TrimSpace(array[1:])) == 1 }

// result writes what a tool gave back.
func (c *conversation) result(m *message) {
	id := plainID(translate.Inner(m.callID))
	name := translate.Inner(m.name)
	for i := len(c.made) - 1; i >= 0 && m.callID != nil; i-- {
		if bytes.Equal(c.made[i].id, id) {
			name = c.made[i].name
			break
		}
	}
	if len(name) == 0 {
		c.bad(c.at(".tool_call_id"), "no call before it has this id")
		return
	}
	var said, media []byte
	c.open(resultTurn)
	c.out = append(c.out, `{"function_response":{"name":`...)
	c.appendName(name)
	c.out = append(c.out, `,"response":`...)
	said, media = m.content, nil
	if rawjson.IsArray(m.content) {
		said, media = c.resultParts(m.content)
	}
	c.appendResponse(said)
	if c.three && len(id) > 0 {
		c.out = append(append(append(c.out, `,"id":"`...), id...), '"')
	}
	switch {
	case media == nil:
		c.out = append(c.out, "}}"...)
	case c.three:
		c.out = append(append(append(c.out, `,"parts":[`...), media...), "]}}"...)
	default: // pictures stand beside the result
		c.out = append(append(append(c.out, "}},"...), media...), ""...)
	}
}

// resultParts takes a result of several parts apart: the text as one string, and
// the rest as Gemini's parts.
func (c *conversation) resultParts(content []byte) (said, media []byte) {
	said = []byte{'"'}
	written := c.out
	c.out = nil
	rawjson.Array(content, func(raw []byte) {
		c.part++
		p := partOf(raw)
		if string(p.kind) == `"text"` {
			said = append(said, translate.Inner(p.text)...)
			return
		}
		if len(c.out) > 0 {
			c.out = append(c.out, ',')
		}
		c.appendMedia(&p)
	})
	media, c.out, c.part = c.out, written, -1
	return append(said, '"'), media
}

// appendResponse writes a result as the object that Gemini wants: itself where it
// is one, else within one.
func (c *conversation) appendResponse(said []byte) {
	before := len(c.out)
	if rawjson.IsString(said) {
		c.out = rawjson.AppendText(c.out, said)
		if text := bytes.TrimSpace(c.out[before:]); rawjson.IsObject(text) {
			if object, _ := rawjson.Object(text, nil); object {
				return
			}
		}
		c.out = c.out[:before]
	} else if rawjson.IsObject(said) {
		c.out = append(c.out, said...)
		return
	}
	if said == nil {
		said = []byte(`""`)
	}
	c.out = append(append(append(c.out, `{"content":`...), said...), '}')
}
