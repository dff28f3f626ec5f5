package cohere

import (
	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// answer is an answer of Cohere's, whole or as far as it came.
type answer struct {
	translate.Answer
	reason     []byte   // why it ended, with quotes; nil: it did not end
	plan       []byte   // what the model thought of the tools, without quotes
	citations  [][]byte // as they are written
	probable   [][]byte // the probabilities of pieces of the text, as they are written
	usage      usage
	hasMessage bool
}

func newAnswer(c *protocol.Call, reply protocol.Reply) translate.Answer {
	return translate.Answer{Created: translate.Unix(reply.At), Model: rawjson.AppendString(nil, c.Model)}
}

// take reads a whole answer.
func (a *answer) take(key, value []byte) {
	switch string(key) {
	case "id":
		a.ID = value
	case "message":
		a.hasMessage, _ = rawjson.Object(value, a.takeMessage)
	case "logprobs":
		_, _ = rawjson.Array(value, func(raw []byte) { a.probable = append(a.probable, raw) })
	default:
		a.takeEnd(key, value)
	}
}

// takeEnd reads what says how an answer ended.
func (a *answer) takeEnd(key, value []byte) {
	switch string(key) {
	case "finish_reason":
		if rawjson.IsString(value) {
			a.reason = value
		}
	case "usage":
		a.usage.take(value)
	}
}

func (a *answer) takeMessage(key, value []byte) {
	switch string(key) {
	case "content":
		if rawjson.IsString(value) {
			a.Blocks = append(a.Blocks, translate.Block{Kind: translate.TextBlock, Text: translate.Inner(value)})
		}
		_, _ = rawjson.Array(value, func(raw []byte) { a.Blocks = append(a.Blocks, blockOf(raw)) })
	case "tool_plan":
		a.plan = translate.Inner(value)
	case "tool_calls":
		_, _ = rawjson.Array(value, func(raw []byte) {
			b := translate.Block{Kind: translate.CallBlock}
			takeCall(&b, raw)
			a.Blocks = append(a.Blocks, b)
		})
	case "citations":
		_, _ = rawjson.Array(value, func(raw []byte) { a.citations = append(a.citations, raw) })
	}
}

func blockOf(raw []byte) translate.Block {
	b := translate.Block{Raw: raw}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text":
			b.Kind, b.Text = translate.TextBlock, translate.Inner(value)
		case "thinking":
			b.Kind, b.Text = translate.ThinkingBlock, translate.Inner(value)
		}
	})
	return b
}

func takeCall(b *translate.Block, raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "id":
			b.ID = value
		case "function":
			_, _ = rawjson.Object(value, func(key, value []byte) {
				switch string(key) {
				case "name":
					b.Name = value
				case "arguments":
					b.Arguments = translate.Inner(value)
				}
			})
		}
	})
}

// append appends the answer as a chat completion.
func (a *answer) append(out []byte) []byte {
	out = a.AppendMessage(out)
	if len(a.plan) > 0 && !a.Thinks() {
		out = append(append(translate.AppendKey(out, "reasoning_content"), '"'), a.plan...)
		out = append(out, '"')
	}
	out = a.appendAnnotations(out)
	if own := a.own(); own != nil {
		out = translate.AppendMember(out, "provider_specific_fields", own)
	}
	out = append(out, '}')
	if len(a.probable) > 0 {
		out = append(out, `,"logprobs":{"content":[`...)
		for _, raw := range a.probable {
			out = appendProbable(translate.Comma(out), raw)
		}
		out = append(out, `]}`...)
	}
	out = append(append(append(out, `,"finish_reason":`...), a.finish()...), `}]`...)
	if a.usage.known {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	return append(out, '}')
}

// appendAnnotations appends what the text cites, where that are documents.
func (a *answer) appendAnnotations(out []byte) []byte {
	some := false
	for _, citation := range a.citations {
		var start, end, sources []byte
		_, _ = rawjson.Object(citation, func(key, value []byte) {
			switch string(key) {
			case "start":
				start = value
			case "end":
				end = value
			case "sources":
				sources = value
			}
		})
		_, _ = rawjson.Array(sources, func(raw []byte) {
			var id, url, document []byte
			_, _ = rawjson.Object(raw, func(key, value []byte) {
				switch string(key) {
				case "id":
					id = value
				case "url":
					url = value
				case "document":
					document = value
				}
			})
			if !rawjson.IsObject(document) {
				return
			}
			if !some {
				out, some = append(translate.AppendKey(out, "annotations"), '['), true
			}
			out = appendAnnotation(translate.Comma(out), start, end, id, url, document)
		})
	}
	if some {
		out = append(out, ']')
	}
	return out
}

func appendAnnotation(out, start, end, id, url, document []byte) []byte {
	title := []byte(`""`)
	translate.Within(document, "title", func(text []byte) { title = text })
	if url == nil {
		url = append(append([]byte(`"source:`), translate.Inner(id)...), '"')
	}
	number := func(name string, value []byte) {
		if value == nil {
			value = []byte("0")
		}
		out = translate.AppendMember(out, name, value)
	}
	out = append(out, `{"type":"url_citation","url_citation":{`...)
	number("start_index", start)
	number("end_index", end)
	out = translate.AppendMember(out, "title", title)
	return append(translate.AppendMember(out, "url", url), `}}`...)
}

// appendProbable appends the probability of a piece of the text: of all its tokens
// at once, where it has several.
func appendProbable(out, raw []byte) []byte {
	text, sum := []byte(`""`), 0.0
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text":
			text = value
		case "logprobs":
			_, _ = rawjson.Array(value, func(one []byte) { sum += number(one) })
		}
	})
	out = translate.AppendMember(append(out, '{'), "token", text)
	out = appendFloat(translate.AppendKey(out, "logprob"), sum)
	return append(out, `,"bytes":null,"top_logprobs":[]}`...)
}

// own is what OpenAI's form has no place for; nil: nothing.
func (a *answer) own() []byte {
	out := []byte{'{'}
	if a.native() {
		out = translate.AppendMember(out, "finish_reason", a.reason)
	}
	if len(a.plan) > 0 {
		out = append(append(translate.AppendKey(out, "tool_plan"), '"'), a.plan...)
		out = append(out, '"')
	}
	if len(a.citations) > 0 {
		out = append(translate.AppendKey(out, "citations"), '[')
		for _, raw := range a.citations {
			out = append(translate.Comma(out), raw...)
		}
		out = append(out, ']')
	}
	if len(out) == 1 {
		return nil
	}
	return append(out, '}')
}

// native reports whether the reason of the end says more than OpenAI's word for it.
func (a *answer) native() bool {
	switch string(a.reason) {
	case "", `"COMPLETE"`, `"STOP_SEQUENCE"`, `"MAX_TOKENS"`, `"TOOL_CALL"`:
		return false
	}
	return true
}

// finish is OpenAI's word for the reason of the end, with quotes.
func (a *answer) finish() string {
	switch string(a.reason) {
	case "":
		return "null"
	case `"MAX_TOKENS"`, `"ERROR_LIMIT"`:
		return `"length"`
	case `"TOOL_CALL"`:
		return `"tool_calls"`
	case `"ERROR_TOXIC"`:
		return `"content_filter"`
	}
	return `"stop"`
}

// lacks says what an answer lacks that came to its end; empty: nothing.
func (a *answer) lacks() string {
	switch string(a.reason) {
	case "":
		return "the answer holds no finish_reason: it did not come to its end"
	case `"ERROR"`, `"TIMEOUT"`:
		return "the model made no proper answer: finish_reason is " + string(translate.Inner(a.reason))
	}
	return ""
}
