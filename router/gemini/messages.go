package gemini

import (
	"bytes"
	"fmt"

	"pelton/internal/rawjson"
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

// contents writes the messages: system_instruction and contents. System text
// that stands before everything else is the instruction; what comes later stays
// in its place, as a user turn, and so does a system text without any other.
func (r *request) contents() {
	if array, _ := rawjson.Array(r.messages, r.message); !array {
		r.bad("messages", "must be an array of messages")
	}
	switch {
	case r.err != nil:
	case r.turn == noTurn:
		r.bad("messages", "there is none with anything in it")
	case r.turn == systemTurn:
		parts := bytes.Clone(r.out[r.system:])
		r.out = append(r.out[:1], `"contents":[{"role":"user","parts":[`...)
		r.out = append(append(r.out, parts...), "]}]"...)
	default:
		r.out = append(r.out, "]}]"...)
	}
	r.index = -1
}

// open makes room for another part of a turn.
func (r *request) open(t turn) {
	if t == r.turn {
		r.out = append(r.out, ',')
		return
	}
	switch {
	case t == systemTurn:
		r.out = append(r.out, `"system_instruction":{"parts":[`...)
		r.system = len(r.out)
	case r.turn == noTurn:
		r.out = append(r.out, `"contents":[`...)
	case r.turn == systemTurn:
		r.out = append(r.out, `]},"contents":[`...)
	default:
		r.out = append(r.out, "]},"...)
	}
	switch r.turn = t; t {
	case userTurn, resultTurn:
		r.out = append(r.out, `{"role":"user","parts":[`...)
	case modelTurn:
		r.out = append(r.out, `{"role":"model","parts":[`...)
	}
}

// at names the place that is being read.
func (r *request) at(field string) string {
	if r.part >= 0 {
		return fmt.Sprintf("messages[%d].content[%d]%s", r.index, r.part, field)
	}
	return fmt.Sprintf("messages[%d]%s", r.index, field)
}

func (r *request) message(raw []byte) {
	r.index++
	r.part = -1
	if r.err != nil {
		return
	}
	var m message
	if object, _ := rawjson.Object(raw, m.take); !object {
		r.bad(r.at(""), "is no object")
		return
	}
	switch string(m.role) {
	case `"system"`, `"developer"`:
		if r.turn == noTurn || r.turn == systemTurn {
			r.text(systemTurn, &m)
		} else {
			r.text(userTurn, &m)
		}
	case `"user"`:
		before, was := len(r.out), r.turn
		r.text(userTurn, &m)
		if len(r.out) == before && r.turn == was {
			r.bad(r.at(".content"), "is empty")
		}
	case `"assistant"`:
		r.assistant(&m)
	case `"tool"`, `"function"`:
		r.result(&m)
	default:
		r.bad(r.at(".role"), "must be system, developer, user, assistant, tool or function")
	}
}

// text writes a message's content.
func (r *request) text(t turn, m *message) {
	switch {
	case m.content == nil:
	case rawjson.IsString(m.content):
		r.appendText(t, m.content)
	case rawjson.IsArray(m.content):
		rawjson.Array(m.content, func(raw []byte) { r.contentPart(t, raw) })
		r.part = -1
	default:
		r.bad(r.at(".content"), "must be text or an array of parts")
	}
}

// appendText writes a part with a text; empty ones say nothing, and Gemini
// refuses them.
func (r *request) appendText(t turn, text []byte) {
	if len(text) > 2 {
		r.open(t)
		r.out = append(append(append(r.out, `{"text":`...), text...), '}')
	}
}

// assistant writes a turn of the model. Thoughts and signatures go back to where
// they came from.
func (r *request) assistant(m *message) {
	if len(m.reasoning) > 2 && rawjson.IsString(m.reasoning) {
		r.open(modelTurn)
		r.out = append(append(append(r.out, `{"thought":true,"text":`...), m.reasoning...), '}')
	}
	called := rawjson.IsArray(m.calls) && !isEmpty(m.calls) || m.function != nil
	switch {
	case rawjson.IsString(m.content):
		r.said(m, called)
	case m.content != nil:
		r.text(modelTurn, m)
	case rawjson.IsString(m.refusal) && !called: // what it said
		r.appendText(modelTurn, m.refusal)
	}
	if m.images != nil {
		rawjson.Array(m.images, func(raw []byte) { r.contentPart(modelTurn, raw) })
		r.part = -1
	}
	switch {
	case rawjson.IsArray(m.calls):
		number := 0
		rawjson.Array(m.calls, func(raw []byte) {
			r.toolCall(raw, number)
			number++
		})
	case m.function != nil:
		r.functionCall(toolCall{function: m.function}, r.at(".function_call"), true)
	}
}

// said writes an assistant's text, with the signature that came with it.
func (r *request) said(m *message, called bool) {
	if len(m.content) == 2 && called {
		return
	}
	r.open(modelTurn)
	r.out = append(append(r.out, `{"text":`...), m.content...)
	if signature := firstSignature(m.own); signature != nil && !bytes.Contains(m.calls, signature) {
		r.out = append(append(r.out, `,"thoughtSignature":`...), signature...)
	}
	r.out = append(r.out, '}')
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

// inner is a string as written, without its quotes.
func inner(raw []byte) []byte {
	if !rawjson.IsString(raw) {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// result writes what a tool gave back.
func (r *request) result(m *message) {
	id := plainID(inner(m.callID))
	name := inner(m.name)
	for i := len(r.made) - 1; i >= 0 && m.callID != nil; i-- {
		if bytes.Equal(r.made[i].id, id) {
			name = r.made[i].name
			break
		}
	}
	if len(name) == 0 {
		r.bad(r.at(".tool_call_id"), "no call before it has this id")
		return
	}
	var said, media []byte
	r.open(resultTurn)
	r.out = append(r.out, `{"function_response":{"name":`...)
	r.appendName(name)
	r.out = append(r.out, `,"response":`...)
	said, media = m.content, nil
	if rawjson.IsArray(m.content) {
		said, media = r.resultParts(m.content)
	}
	r.appendResponse(said)
	if r.three && len(id) > 0 {
		r.out = append(append(append(r.out, `,"id":"`...), id...), '"')
	}
	switch {
	case media == nil:
		r.out = append(r.out, "}}"...)
	case r.three:
		r.out = append(append(append(r.out, `,"parts":[`...), media...), "]}}"...)
	default: // pictures stand beside the result
		r.out = append(append(append(r.out, "}},"...), media...), ""...)
	}
}

// resultParts takes a result of several parts apart: the text as one string, and
// the rest as Gemini's parts.
func (r *request) resultParts(content []byte) (said, media []byte) {
	said = []byte{'"'}
	written := r.out
	r.out = nil
	rawjson.Array(content, func(raw []byte) {
		r.part++
		p := partOf(raw)
		if string(p.kind) == `"text"` {
			said = append(said, inner(p.text)...)
			return
		}
		if len(r.out) > 0 {
			r.out = append(r.out, ',')
		}
		r.appendMedia(&p)
	})
	media, r.out, r.part = r.out, written, -1
	return append(said, '"'), media
}

// appendResponse writes a result as the object that Gemini wants: itself where it
// is one, else within one.
func (r *request) appendResponse(said []byte) {
	before := len(r.out)
	if rawjson.IsString(said) {
		r.out = rawjson.AppendText(r.out, said)
		if text := bytes.TrimSpace(r.out[before:]); rawjson.IsObject(text) {
			if object, _ := rawjson.Object(text, nil); object {
				return
			}
		}
		r.out = r.out[:before]
	} else if rawjson.IsObject(said) {
		r.out = append(r.out, said...)
		return
	}
	if said == nil {
		said = []byte(`""`)
	}
	r.out = append(append(append(r.out, `{"content":`...), said...), '}')
}
