package bedrock

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
)

// answer is an answer of Converse's, whole or as far as it came. Its texts are as
// they are written, without quotes.
type answer struct {
	note    *note
	created int64
	id      string // of the request, as AWS counts it
	model   string

	reason     []byte // why it ended, with quotes; nil: it did not end
	blocks     []block
	usage      usage
	trace      []byte // of a guardrail
	own        []byte // what was asked for by additionalModelResponseFieldPaths
	tier       []byte
	first      [4]block // of blocks, as a rule
	hasMessage bool
}

// block is a part of the content.
type block struct {
	kind      kind
	text      []byte   // of a text, of thinking, or of what is cited for
	signature []byte   // of thinking
	hidden    []byte   // thinking that is hidden, in base64
	raw       []byte   // as it is written
	citations [][]byte // citationsContent, of a text
	cited     [][]byte // the citations of a text that came in pieces
	id, name  []byte   // of a call, with quotes
	input     []byte   // of a call: the object as it is written
	arguments []byte   // the same as a text, of which it came in pieces
}

type kind byte

const (
	otherBlock kind = iota
	textBlock
	thinkingBlock
	hiddenBlock
	callBlock
)

func newAnswer(c *protocol.Call, reply protocol.Reply) answer {
	a := answer{note: noteOf(c), model: c.Model, id: reply.Header.Get("X-Amzn-Requestid")}
	if !reply.At.IsZero() {
		a.created = reply.At.Unix()
	}
	return a
}

// take reads a whole answer.
func (a *answer) take(key, value []byte) {
	switch string(key) {
	case "output":
		within(value, "message", func(message []byte) {
			within(message, "content", func(content []byte) {
				a.hasMessage, _ = rawjson.Array(content, func(raw []byte) { a.blocks = append(a.blocks, blockOf(raw)) })
			})
		})
	default:
		a.takeEnd(key, value)
	}
}

// takeEnd reads what stands beside the content, of a whole answer and at the end
// of a stream.
func (a *answer) takeEnd(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(key) {
	case "stopReason":
		a.reason = value
	case "usage":
		a.usage.take(value)
	case "trace":
		a.trace = value
	case "serviceTier":
		within(value, "type", func(tier []byte) { a.tier = tier })
	case "additionalModelResponseFields":
		a.own = value
		a.usage.takeOwn(value)
	}
}

func blockOf(raw []byte) block {
	b := block{raw: raw}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text":
			b.kind, b.text = textBlock, inner(value)
		case "toolUse":
			b.kind = callBlock
			b.takeCall(value)
		case "reasoningContent":
			within(value, "reasoningText", func(value []byte) {
				b.kind = thinkingBlock
				within(value, "text", func(text []byte) { b.text = inner(text) })
				within(value, "signature", func(text []byte) { b.signature = inner(text) })
			})
			within(value, "redactedContent", func(data []byte) { b.kind, b.hidden = hiddenBlock, inner(data) })
		case "citationsContent":
			b.kind = textBlock
			b.citations = [][]byte{value}
			within(value, "content", func(parts []byte) {
				_, _ = rawjson.Array(parts, func(part []byte) {
					within(part, "text", func(text []byte) { b.text = append(b.text, inner(text)...) })
				})
			})
		}
	})
	return b
}

func (b *block) takeCall(raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "toolUseId":
			b.id = value
		case "name":
			b.name = value
		case "input":
			b.input = value
		}
	})
}

// schemaCall reports whether the block is the call that is the answer itself.
func (a *answer) schemaCall(b *block) bool {
	return b.kind == callBlock && a.note.schema && string(inner(b.name)) == schemaTool
}

// append appends the answer as a chat completion.
func (a *answer) append(out []byte) []byte {
	out = a.head(out, "chat.completion")
	out = append(out, `{"index":0,"message":{"role":"assistant","content":`...)
	out = a.appendText(out)
	out = a.appendThoughts(out)
	out = a.appendCalls(out)
	if own := a.appendOwn(); own != nil {
		out = appendMember(out, "provider_specific_fields", own)
	}
	out = append(a.appendReason(append(out, `},"finish_reason":`...)), `}]`...)
	if a.usage.known {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	if a.tier != nil {
		out = appendMember(out, "service_tier", a.tier)
	}
	return append(out, '}')
}

// head appends what stands before the choices.
func (a *answer) head(out []byte, object string) []byte {
	out = rawjson.AppendString(append(out, `{"id":`...), a.id)
	out = append(append(append(out, `,"object":"`...), object...), `","created":`...)
	out = strconv.AppendInt(out, a.created, 10)
	out = rawjson.AppendString(append(out, `,"model":`...), a.model)
	return append(out, `,"choices":[`...)
}

// appendText appends the texts as one; null where there is none.
func (a *answer) appendText(out []byte) []byte {
	start, some := len(out), false
	out = append(out, '"')
	for i := range a.blocks {
		switch b := &a.blocks[i]; {
		case b.kind == textBlock:
			out, some = append(out, b.text...), true
		case a.schemaCall(b):
			out, some = b.appendArguments(out), true
		}
	}
	if !some {
		return append(out[:start], "null"...)
	}
	return append(out, '"')
}

// appendArguments appends a call's input as a text, without quotes.
func (b *block) appendArguments(out []byte) []byte {
	switch {
	case len(b.arguments) > 0:
		return append(out, b.arguments...)
	case !rawjson.IsObject(b.input):
		return append(out, "{}"...)
	}
	start := len(out)
	out = rawjson.AppendString(out, b.input)
	copy(out[start:], out[start+1:len(out)-1])
	return out[:len(out)-2]
}

// appendThoughts appends what the model thought: as a text, and as the blocks
// that it has to get back in the next turn.
func (a *answer) appendThoughts(out []byte) []byte {
	text, some := false, false
	for i := range a.blocks {
		some = some || a.blocks[i].kind == thinkingBlock || a.blocks[i].kind == hiddenBlock
		text = text || a.blocks[i].kind == thinkingBlock
	}
	if !some {
		return out
	}
	if text {
		out = append(out, `,"reasoning_content":"`...)
		for i := range a.blocks {
			if a.blocks[i].kind == thinkingBlock {
				out = append(out, a.blocks[i].text...)
			}
		}
		out = append(out, '"')
	}
	out = append(out, `,"thinking_blocks":[`...)
	for i := range a.blocks {
		switch b := &a.blocks[i]; b.kind {
		case thinkingBlock:
			out = append(append(comma(out), `{"type":"thinking","thinking":"`...), b.text...)
			if out = append(out, '"'); b.signature != nil {
				out = append(append(append(out, `,"signature":"`...), b.signature...), '"')
			}
			out = append(out, '}')
		case hiddenBlock:
			out = append(append(append(comma(out), `{"type":"redacted_thinking","data":"`...), b.hidden...), `"}`...)
		}
	}
	return append(out, ']')
}

func (a *answer) appendCalls(out []byte) []byte {
	some := false
	for i := range a.blocks {
		b := &a.blocks[i]
		if b.kind != callBlock || a.schemaCall(b) {
			continue
		}
		if !some {
			out, some = append(out, `,"tool_calls":[`...), true
		}
		out = a.appendCallHead(append(comma(out), '{'), b)
		out = append(b.appendArguments(append(out, `,"arguments":"`...)), `"}}`...)
	}
	if some {
		out = append(out, ']')
	}
	return out
}

// appendCallHead appends a call up to its arguments, with the tool's name as the
// request has it.
func (a *answer) appendCallHead(out []byte, b *block) []byte {
	out = appendOr(append(out, `"id":`...), b.id)
	out = append(out, `,"type":"function","function":{"name":`...)
	if name, ok := a.note.original(inner(b.name)); ok {
		return rawjson.AppendString(out, name)
	}
	return appendOr(out, b.name)
}

// appendOr appends a text with its quotes, an empty one where there is none.
func appendOr(out, value []byte) []byte {
	if value == nil {
		return append(out, `""`...)
	}
	return append(out, value...)
}

// appendOwn appends what OpenAI's form has no place for, as LiteLLM names it; nil
// where there is nothing.
func (a *answer) appendOwn() []byte {
	out := []byte{'{'}
	if a.native() {
		out = appendMember(out, "stop_reason", a.reason)
	}
	for _, list := range [...]struct {
		name string
		of   func(b *block) [][]byte
	}{
		{"citationsContent", (*block).citing},
		{"content_blocks", func(b *block) [][]byte {
			if b.kind == otherBlock && b.raw != nil {
				return [][]byte{b.raw}
			}
			return nil
		}},
	} {
		some := false
		for i := range a.blocks {
			for _, raw := range list.of(&a.blocks[i]) {
				if !some {
					out, some = appendMember(out, list.name, []byte("[")), true
				}
				out = append(comma(out), raw...)
			}
		}
		if some {
			out = append(out, ']')
		}
	}
	if a.trace != nil {
		out = appendMember(out, "trace", a.trace)
	}
	if a.own != nil && !a.usage.hasThinking {
		out = appendMember(out, "additionalModelResponseFields", a.own)
	}
	if len(out) == 1 {
		return nil
	}
	return append(out, '}')
}

// citing is what a text cites, in the form of a whole answer.
func (b *block) citing() [][]byte {
	if b.cited == nil {
		return b.citations
	}
	out := append(append([]byte(`{"content":[{"text":"`), b.text...), `"}],"citations":[`...)
	for _, one := range b.cited {
		out = append(comma(out), one...)
	}
	return [][]byte{append(out, `]}`...)}
}

// native reports whether the reason of the end says more than OpenAI's word for it.
func (a *answer) native() bool {
	switch string(a.reason) {
	case "", `"end_turn"`, `"stop_sequence"`, `"max_tokens"`, `"tool_use"`:
		return false
	}
	return true
}

// malformed says what is wrong with an answer whose making failed; empty: nothing.
func (a *answer) malformed() string {
	switch string(a.reason) {
	case `"malformed_model_output"`, `"malformed_tool_use"`:
		return "the model made no proper answer: stopReason is " + string(inner(a.reason))
	}
	return ""
}

// appendReason appends OpenAI's word for the reason of the end.
func (a *answer) appendReason(out []byte) []byte {
	switch string(a.reason) {
	case "":
		return append(out, "null"...)
	case `"max_tokens"`, `"model_context_window_exceeded"`:
		return append(out, `"length"`...)
	case `"guardrail_intervened"`, `"content_filtered"`:
		return append(out, `"content_filter"`...)
	case `"tool_use"`:
		if !a.note.schema {
			return append(out, `"tool_calls"`...)
		}
	}
	return append(out, `"stop"`...)
}

// Decode says what a whole answer means.
func (p *Protocol) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	a := newAnswer(c, reply)
	a.blocks = a.first[:0]
	object, valid := false, false
	if reply.OK() {
		object, valid = rawjson.Object(reply.Body, a.take)
	}
	made := protocol.Answer{Reset: protocol.Exhausted(reply.Header, reply.At)}
	switch {
	case !object || !valid || !a.hasMessage:
		return p.failed(c, reply, made)
	case a.reason == nil:
		made.Lacks = "the answer holds no stopReason: it did not come to its end"
	default:
		made.Lacks = a.malformed()
	}
	made.Usage = a.usage.counted()
	made.Body, made.JSON = a.append(make([]byte, 0, len(reply.Body)+len(reply.Body)/4+384)), true
	return made
}
