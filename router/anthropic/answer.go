package anthropic

import (
	"bytes"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// answer is a message of Anthropic's, whole or as far as it came.
type answer struct {
	translate.Answer
	note *note

	reason     []byte // why it ended, with quotes; nil: it did not end
	details    []byte // of a refusal
	container  []byte
	usage      usage
	first      [4]translate.Block // of the blocks, as a rule
	hasMessage bool
}

func newAnswer(n *note, reply protocol.Reply) answer {
	a := answer{note: n}
	a.Created, a.Renamed = translate.Unix(reply.At), n.renamed
	if n.schema {
		a.SchemaTool = schemaTool
	}
	return a
}

// take reads a whole message.
func (a *answer) take(key, value []byte) {
	switch string(key) {
	case "id":
		a.ID = value
	case "model":
		a.Model = value
	case "content":
		a.hasMessage = rawjson.IsArray(value)
		_, _ = rawjson.Array(value, func(raw []byte) { a.Blocks = append(a.Blocks, blockOf(raw)) })
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

func blockOf(raw []byte) translate.Block {
	b := translate.Block{Raw: raw}
	var kind []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "text", "thinking":
			b.Text = translate.Inner(value)
		case "signature":
			b.Signature = translate.Inner(value)
		case "data":
			b.Hidden = translate.Inner(value)
		case "citations":
			_, _ = rawjson.Array(value, func(raw []byte) {
				if rawjson.IsObject(raw) {
					b.Citations = append(b.Citations, raw)
				}
			})
		case "id":
			b.ID = value
		case "name":
			b.Name = value
		case "input":
			b.Input = value
		}
	})
	switch string(kind) {
	case `"text"`:
		b.Kind = translate.TextBlock
	case `"thinking"`:
		b.Kind = translate.ThinkingBlock
	case `"redacted_thinking"`:
		b.Kind = translate.HiddenBlock
	case `"tool_use"`:
		b.Kind = translate.CallBlock
	}
	return b
}

// append appends the answer as a chat completion.
func (a *answer) append(out []byte) []byte {
	out = a.AppendMessage(out)
	if own := a.appendOwn(); own != nil {
		out = append(append(out, `,"provider_specific_fields":`...), own...)
	}
	out = append(append(append(out, `},"finish_reason":`...), a.finish()...), `}]`...)
	if a.usage.known {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	return append(out, '}')
}

// appendOwn appends what OpenAI's form has no place for, as LiteLLM names it; nil
// where there is nothing.
func (a *answer) appendOwn() (out []byte) {
	cited, blocks := false, false
	for i := range a.Blocks {
		cited = cited || len(a.Blocks[i].Citations) > 0
		blocks = blocks || a.Blocks[i].Kind == translate.OtherBlock
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
		out = append(translate.Comma(out), `"content_blocks":[`...)
		for i := range a.Blocks {
			if a.Blocks[i].Kind == translate.OtherBlock {
				out = append(translate.Comma(out), own(&a.Blocks[i])...)
			}
		}
		out = append(out, ']')
	}
	return append(out, '}')
}

// own is a block of the server's own, such as a search that it made.
func own(b *translate.Block) []byte {
	if len(b.Arguments) == 0 {
		return b.Raw
	}
	input := rawjson.Text(append(append([]byte{'"'}, b.Arguments...), '"'))
	with, err := schema.SetField(b.Raw, "input", []byte(input))
	if err != nil || !rawjson.Valid([]byte(input)) {
		return b.Raw
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
		out = append(append(translate.Comma(out), `"stop_details":`...), a.details...)
	}
	if a.container != nil {
		out = append(append(translate.Comma(out), `"container":`...), a.container...)
	}
	return append(out, '}')
}

// appendCitations appends the citations of each text that has some, with the text
// that each supports.
func (a *answer) appendCitations(out []byte) []byte {
	out = append(translate.Comma(out), `"citations":[`...)
	for i := range a.Blocks {
		b := &a.Blocks[i]
		if len(b.Citations) == 0 {
			continue
		}
		out = append(translate.Comma(out), '[')
		for _, citation := range b.Citations {
			out = translate.Comma(translate.AppendOpen(translate.Comma(out), citation))
			out = append(append(append(out, `"supported_text":"`...), b.Text...), `"}`...)
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

// finish is OpenAI's word for the reason of the end, with quotes.
func (a *answer) finish() string {
	switch string(a.reason) {
	case "":
		return "null"
	case `"max_tokens"`, `"model_context_window_exceeded"`, `"pause_turn"`, `"compaction"`:
		return `"length"`
	case `"refusal"`:
		return `"content_filter"`
	case `"tool_use"`:
		if !a.note.schema {
			return `"tool_calls"`
		}
	}
	return `"stop"`
}

// Decode says what a whole answer means.
func (p *Protocol) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	if c.Endpoint == protocol.ListModels {
		return p.decodeList(reply)
	}
	if reply.OK() && isEvents(reply.Header) {
		return p.merge(c, reply)
	}
	a := newAnswer(noteOf(c), reply)
	a.Blocks = a.first[:0]
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
