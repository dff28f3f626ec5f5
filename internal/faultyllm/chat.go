package faultyllm

import (
	"strconv"

	"pelton/internal/rawjson"
)

var chat = &endpoint{
	path:    "/v1/chat/completions",
	subject: "messages",
	compose: func(x *exchange) { x.answerTo(x.req.lastUser) },
	whole: func(x *exchange, out []byte) []byte {
		out = x.head(out, "chatcmpl-", "chat.completion")
		for i, text := range x.texts {
			out = openChoice(out, i)
			out = append(out, `"message":{"role":"assistant","content":`...)
			out = rawjson.AppendString(out, text)
			out = append(out, `,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}`...)
		}
		out = append(out, `],"usage":`...)
		out = x.usage(out, "prompt_tokens", "completion_tokens")
		return append(out, '}')
	},
	stream: &encoder{
		start: func(x *exchange, out []byte) []byte {
			out = x.chunk(out, "chatcmpl-", "chat.completion.chunk")
			out = openChoice(out, 0)
			out = append(out, `"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}`...)
			return x.endChunk(out)
		},
		piece: func(x *exchange, out []byte, p piece) []byte {
			out = x.chunk(out, "chatcmpl-", "chat.completion.chunk")
			out = openChoice(out, p.choice)
			out = append(out, `"delta":{"content":`...)
			out = rawjson.AppendString(out, p.text)
			out = append(out, `},"logprobs":null,"finish_reason":null}`...)
			return x.endChunk(out)
		},
		finish: func(x *exchange, out []byte) []byte {
			out = x.chunk(out, "chatcmpl-", "chat.completion.chunk")
			out = openChoice(out, 0)
			out = append(out, `"delta":{},"logprobs":null,"finish_reason":"stop"}`...)
			out = x.endChunk(out)
			return x.usageChunk(out, "chatcmpl-", "chat.completion.chunk")
		},
		done: "data: [DONE]\n\n",
	},
}

var completions = &endpoint{
	path:    "/v1/completions",
	subject: "prompt",
	compose: func(x *exchange) {
		// A list of prompts gets one choice each.
		for _, item := range x.req.items(nil) {
			x.answerTo(func(into []byte) []byte {
				if rawjson.IsString(item) {
					return rawjson.AppendText(into, item)
				}
				return append(into, item...)
			})
		}
	},
	whole: func(x *exchange, out []byte) []byte {
		out = x.head(out, "cmpl-", "text_completion")
		for i, text := range x.texts {
			out = openChoice(out, i)
			out = append(out, `"text":`...)
			out = rawjson.AppendString(out, text)
			out = append(out, `,"logprobs":null,"finish_reason":"stop"}`...)
		}
		out = append(out, `],"usage":`...)
		out = x.usage(out, "prompt_tokens", "completion_tokens")
		return append(out, '}')
	},
	stream: &encoder{
		start: func(_ *exchange, out []byte) []byte { return out },
		piece: func(x *exchange, out []byte, p piece) []byte {
			out = x.chunk(out, "cmpl-", "text_completion")
			out = openChoice(out, p.choice)
			out = append(out, `"text":`...)
			out = rawjson.AppendString(out, p.text)
			out = append(out, `,"logprobs":null,"finish_reason":null}`...)
			return x.endChunk(out)
		},
		finish: func(x *exchange, out []byte) []byte {
			for i := range x.texts {
				out = x.chunk(out, "cmpl-", "text_completion")
				out = openChoice(out, i)
				out = append(out, `"text":"","logprobs":null,"finish_reason":"stop"}`...)
				out = x.endChunk(out)
			}
			return x.usageChunk(out, "cmpl-", "text_completion")
		},
		done: "data: [DONE]\n\n",
	},
}

// head appends what a (chat) completion and its chunks begin with, up to and
// into the list of choices.
func (x *exchange) head(out []byte, prefix, object string) []byte {
	out = append(out, '{')
	out = x.answerID(out, prefix)
	out = append(out, `,"object":"`...)
	out = append(out, object...)
	out = append(out, `","created":`...)
	out = strconv.AppendInt(out, x.created, 10)
	out = append(out, ',')
	out = x.model(out)
	out = append(out, `,"system_fingerprint":"`...)
	out = append(out, x.set.fp...)
	return append(out, `","choices":[`...)
}

// openChoice appends the beginning of choice i, after a comma if one is needed.
func openChoice(out []byte, i int) []byte {
	if out[len(out)-1] == '}' {
		out = append(out, ',')
	}
	out = append(out, `{"index":`...)
	out = strconv.AppendInt(out, int64(i), 10)
	return append(out, ',')
}

func (x *exchange) chunk(out []byte, prefix, object string) []byte {
	return x.head(append(out, "data: "...), prefix, object)
}

func (x *exchange) endChunk(out []byte) []byte {
	out = append(out, ']')
	if x.req.includeUsage {
		out = append(out, `,"usage":null`...)
	}
	return append(out, "}\n\n"...)
}

// usageChunk appends the chunk without choices that include_usage asks for.
func (x *exchange) usageChunk(out []byte, prefix, object string) []byte {
	if !x.req.includeUsage {
		return out
	}
	out = x.chunk(out, prefix, object)
	out = append(out, `],"usage":`...)
	out = x.usage(out, "prompt_tokens", "completion_tokens")
	return append(out, "}\n\n"...)
}
