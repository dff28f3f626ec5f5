package anthropic

import (
	"bytes"
	"strconv"
	"time"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// answer is a message of Anthropic's, whole or as far as it came. Its texts are
// as they are written, without quotes.
type answer struct {
	note    *note
	created int64

	id, model  []byte // with quotes
	reason     []byte // why it ended, with quotes; nil: it did not end
	details    []byte // of a refusal
	container  []byte
	blocks     []block
	usage      usage
	first      [4]block // of blocks, as a rule
	hasMessage bool
}

// block is a part of the content.
type block struct {
	kind      kind
	text      []byte   // of a text, or of thinking
	citations [][]byte // of a text
	signature []byte   // of thinking
	raw       []byte   // as it is written: thinking that is hidden, or a block of the server's own
	id, name  []byte   // of a call
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

// inner is a string without its quotes; nil for another value.
func inner(raw []byte) []byte {
	if !rawjson.IsString(raw) {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// take reads a whole message.
func (a *answer) take(key, value []byte) {
	switch string(key) {
	case "id":
		a.id = value
	case "model":
		a.model = value
	case "content":
		a.hasMessage = rawjson.IsArray(value)
		_, _ = rawjson.Array(value, func(raw []byte) { a.blocks = append(a.blocks, blockOf(raw)) })
	case "usage":
		a.usage.take(value)
	default:
		a.takeEnd(key, value)
	}
}

// takeEnd reads what says how a message ended.
func (a *answer) takeEnd(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(key) {
	case "stop_reason":
		if rawjson.IsString(value) {
			a.reason = value
		}
	case "stop_details":
		a.details = value
	case "container":
		a.container = value
	}
}

func blockOf(raw []byte) block {
	b := block{raw: raw}
	var kind []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "text", "thinking":
			b.text = inner(value)
		case "signature":
			b.signature = inner(value)
		case "citations":
			_, _ = rawjson.Array(value, func(raw []byte) {
				if rawjson.IsObject(raw) {
					b.citations = append(b.citations, raw)
				}
			})
		case "id":
			b.id = value
		case "name":
			b.name = value
		case "input":
			b.input = value
		}
	})
	switch string(kind) {
	case `"text"`:
		b.kind = textBlock
	case `"thinking"`:
		b.kind = thinkingBlock
	case `"redacted_thinking"`:
		b.kind = hiddenBlock
	case `"tool_use"`:
		b.kind = callBlock
	}
	return b
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
		out = append(append(out, `,"provider_specific_fields":`...), own...)
	}
	out = append(a.appendReason(append(out, `},"finish_reason":`...)), `}]`...)
	if a.usage.known {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	return append(out, '}')
}

// head appends what stands before the choices.
func (a *answer) head(out []byte, object string) []byte {
	out = append(out, `{"id":`...)
	out = appendOr(out, a.id)
	out = append(append(append(out, `,"object":"`...), object...), `","created":`...)
	out = strconv.AppendInt(out, a.created, 10)
	out = appendOr(append(out, `,"model":`...), a.model)
	return append(out, `,"choices":[`...)
}

// appendOr appends a text as it is written, or an empty one.
func appendOr(out, value []byte) []byte {
	if value == nil {
		return append(out, `""`...)
	}
	return append(out, value...)
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
			out = append(append(append(out, `","signature":"`...), b.signature...), `"}`...)
		case hiddenBlock:
			out = append(comma(out), b.raw...)
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
	if len(a.note.renamed) > 0 {
		if name, ok := a.note.original(inner(b.name)); ok {
			return rawjson.AppendString(out, name)
		}
	}
	return appendOr(out, b.name)
}

// appendOwn appends what OpenAI's form has no place for, as LiteLLM names it; nil
// where there is nothing.
func (a *answer) appendOwn() (out []byte) {
	cited, blocks := false, false
	for i := range a.blocks {
		cited = cited || len(a.blocks[i].citations) > 0
		blocks = blocks || a.blocks[i].kind == otherBlock
	}
	if !cited && !blocks {
		return a.appendEnd()
	}
	if out = bytes.TrimSuffix(a.appendEnd(), []byte("}")); out == nil {
		out = []byte("{")
	}
	if cited {
		out = a.appendCitations(out)
	}
	if blocks {
		out = append(comma(out), `"content_blocks":[`...)
		for i := range a.blocks {
			if a.blocks[i].kind == otherBlock {
				out = append(comma(out), a.blocks[i].own()...)
			}
		}
		out = append(out, ']')
	}
	return append(out, '}')
}

// own is a block of the server's own, such as a search that it made.
func (b *block) own() []byte {
	if len(b.arguments) == 0 {
		return b.raw
	}
	input := rawjson.Text(append(append([]byte{'"'}, b.arguments...), '"'))
	with, err := schema.SetField(b.raw, "input", []byte(input))
	if err != nil || !rawjson.Valid([]byte(input)) {
		return b.raw
	}
	return with
}

// appendEnd appends what Anthropic says of the end, where that is more than
// OpenAI's word for it; nil where it is not.
func (a *answer) appendEnd() (out []byte) {
	native := a.native()
	if !native && a.container == nil && a.details == nil {
		return nil
	}
	out = append(out, '{')
	if native {
		out = append(append(out, `"stop_reason":`...), a.reason...)
	}
	if a.details != nil {
		out = append(append(comma(out), `"stop_details":`...), a.details...)
	}
	if a.container != nil {
		out = append(append(comma(out), `"container":`...), a.container...)
	}
	return append(out, '}')
}

// appendCitations appends the citations of each text that has some, with the text
// that each supports.
func (a *answer) appendCitations(out []byte) []byte {
	out = append(comma(out), `"citations":[`...)
	for i := range a.blocks {
		b := &a.blocks[i]
		if len(b.citations) == 0 {
			continue
		}
		out = append(comma(out), '[')
		for _, citation := range b.citations {
			out = comma(appendOpen(comma(out), citation))
			out = append(append(append(out, `"supported_text":"`...), b.text...), `"}`...)
		}
		out = append(out, ']')
	}
	return append(out, ']')
}

// native reports whether the reason of the end says more than OpenAI's word for it.
func (a *answer) native() bool {
	switch string(a.reason) {
	case "", `"end_turn"`, `"stop_sequence"`, `"max_tokens"`, `"tool_use"`:
		return false
	}
	return true
}

// appendReason appends OpenAI's word for the reason of the end.
func (a *answer) appendReason(out []byte) []byte {
	switch string(a.reason) {
	case "":
		return append(out, "null"...)
	case `"max_tokens"`, `"model_context_window_exceeded"`, `"pause_turn"`, `"compaction"`:
		return append(out, `"length"`...)
	case `"refusal"`:
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
	if c.Endpoint == protocol.ListModels {
		return p.decodeList(reply)
	}
	if reply.OK() && isEvents(reply.Header) {
		return p.merge(c, reply)
	}
	a := answer{note: noteOf(c), created: unix(reply.At)}
	a.blocks = a.first[:0]
	object, valid := false, false
	if reply.OK() {
		object, valid = rawjson.Object(reply.Body, a.take)
	}
	made := protocol.Answer{Reset: protocol.Exhausted(reply.Header, reply.At)}
	switch {
	case !object || !a.hasMessage:
		return p.failed(c, reply, made)
	case a.reason == nil:
		made.Lacks = "the answer holds no stop_reason: it did not come to its end"
	}
	made.Usage = a.usage.counted()
	made.Body, made.JSON = a.append(make([]byte, 0, len(reply.Body)+len(reply.Body)/4+384)), valid
	return made
}

// merge makes one answer of a stream that was asked for because the answer may be
// long.
func (p *Protocol) merge(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	s := p.newStream(noteOf(c), reply, bytes.NewReader(reply.Body), int64(len(reply.Body))+1)
	for {
		if _, err := s.Next(); err != nil {
			return s.Answer()
		}
	}
}

func (p *Protocol) decodeList(reply protocol.Reply) protocol.Answer {
	made := protocol.Answer{Body: reply.Body, Reset: protocol.Exhausted(reply.Header, reply.At)}
	list := false
	_, made.JSON = rawjson.Object(reply.Body, func(key, value []byte) {
		list = list || string(key) == "data" && rawjson.IsArray(value)
	})
	switch {
	case !reply.OK() || !made.JSON:
		return p.failed(&protocol.Call{Endpoint: protocol.ListModels}, reply, made)
	case !list:
		made.Lacks = "the answer is no list of models"
	}
	return made
}

func modelIDs(body []byte) (ids []string) {
	_, _ = rawjson.Object(body, func(key, value []byte) {
		if string(key) != "data" {
			return
		}
		_, _ = rawjson.Array(value, func(raw []byte) {
			_, _ = rawjson.Object(raw, func(key, value []byte) {
				if string(key) == "id" {
					ids = append(ids, rawjson.Text(value))
				}
			})
		})
	})
	return ids
}

// unix is when a reply came, where it says so.
func unix(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}
