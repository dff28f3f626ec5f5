package bedrock

import (
	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// answer is an answer of Converse's, whole or as far as it came.
type answer struct {
	translate.Answer
	note *note

	reason     []byte // why it ended, with quotes; nil: it did not end
	usage      usage
	trace      []byte // of a guardrail
	own        []byte // what was asked for by additionalModelResponseFieldPaths
	tier       []byte
	first      [4]translate.Block // of the blocks, as a rule
	hasMessage bool
}

func newAnswer(c *protocol.Call, reply protocol.Reply) answer {
	a := answer{note: noteOf(c)}
	a.Created, a.Renamed = translate.Unix(reply.At), a.note.renamed
	a.ID = rawjson.AppendString(nil, reply.Header.Get("X-Amzn-Requestid"))
	a.Model = rawjson.AppendString(nil, c.Model)
	if a.note.schema {
		a.SchemaTool = schemaTool
	}
	return a
}

// take reads a whole answer.
func (a *answer) take(key, value []byte) {
	switch string(key) {
	case "output":
		translate.Within(value, "message", func(message []byte) {
			translate.Within(message, "content", func(content []byte) {
				a.hasMessage, _ = rawjson.Array(content, func(raw []byte) { a.Blocks = append(a.Blocks, blockOf(raw)) })
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
		translate.Within(value, "type", func(tier []byte) { a.tier = tier })
	case "additionalModelResponseFields":
		a.own = value
		a.usage.takeOwn(value)
	}
}

func blockOf(raw []byte) translate.Block {
	b := translate.Block{Raw: raw}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text":
			b.Kind, b.Text = translate.TextBlock, translate.Inner(value)
		case "toolUse":
			b.Kind = translate.CallBlock
			takeCall(&b, value)
		case "reasoningContent":
			translate.Within(value, "reasoningText", func(value []byte) {
				b.Kind = translate.ThinkingBlock
				translate.Within(value, "text", func(text []byte) { b.Text = translate.Inner(text) })
				translate.Within(value, "signature", func(text []byte) { b.Signature = translate.Inner(text) })
			})
			translate.Within(value, "redactedContent", func(data []byte) { b.Kind, b.Hidden = translate.HiddenBlock, translate.Inner(data) })
		case "citationsContent":
			b.Kind = translate.TextBlock
			b.Citations = [][]byte{value}
			translate.Within(value, "content", func(parts []byte) {
				_, _ = rawjson.Array(parts, func(part []byte) {
					translate.Within(part, "text", func(text []byte) { b.Text = append(b.Text, translate.Inner(text)...) })
				})
			})
		}
	})
	return b
}

func takeCall(b *translate.Block, raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "toolUseId":
			b.ID = value
		case "name":
			b.Name = value
		case "input":
			b.Input = value
		}
	})
}

// append appends the answer as a chat completion.
func (a *answer) append(out []byte) []byte {
	out = a.AppendMessage(out)
	if own := a.appendOwn(); own != nil {
		out = translate.AppendMember(out, "provider_specific_fields", own)
	}
	out = append(append(append(out, `},"finish_reason":`...), a.finish()...), `}]`...)
	if a.usage.known {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	if a.tier != nil {
		out = translate.AppendMember(out, "service_tier", a.tier)
	}
	return append(out, '}')
}

// appendOwn appends what OpenAI's form has no place for, as LiteLLM names it; nil
// where there is nothing.
func (a *answer) appendOwn() []byte {
	out := []byte{'{'}
	if a.native() {
		out = translate.AppendMember(out, "stop_reason", a.reason)
	}
	list := func(name string, of func(b *translate.Block) [][]byte) {
		some := false
		for i := range a.Blocks {
			for _, raw := range of(&a.Blocks[i]) {
				if !some {
					out, some = append(translate.AppendKey(out, name), '['), true
				}
				out = append(translate.Comma(out), raw...)
			}
		}
		if some {
			out = append(out, ']')
		}
	}
	list("citationsContent", citing)
	list("content_blocks", func(b *translate.Block) [][]byte {
		if b.Kind == translate.OtherBlock && b.Raw != nil {
			return [][]byte{b.Raw}
		}
		return nil
	})
	if a.trace != nil {
		out = translate.AppendMember(out, "trace", a.trace)
	}
	if a.own != nil && !a.usage.hasThinking {
		out = translate.AppendMember(out, "additionalModelResponseFields", a.own)
	}
	if len(out) == 1 {
		return nil
	}
	return append(out, '}')
}

// citing is what a text cites, in the form of a whole answer: as it came, or put
// together of what a stream brought one by one.
func citing(b *translate.Block) [][]byte {
	if len(b.Citations) == 0 || b.Raw != nil {
		return b.Citations
	}
	out := append(append([]byte(`{"content":[{"text":"`), b.Text...), `"}],"citations":[`...)
	for _, one := range b.Citations {
		out = append(translate.Comma(out), one...)
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
		return "the model made no proper answer: stopReason is " + string(translate.Inner(a.reason))
	}
	return ""
}

// finish is OpenAI's word for the reason of the end, with quotes.
func (a *answer) finish() string {
	switch string(a.reason) {
	case "":
		return "null"
	case `"max_tokens"`, `"model_context_window_exceeded"`:
		return `"length"`
	case `"guardrail_intervened"`, `"content_filtered"`:
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
	a := newAnswer(c, reply)
	a.Blocks = a.first[:0]
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
