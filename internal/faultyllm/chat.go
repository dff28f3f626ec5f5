package faultyllm

import (
	"strconv"

	"pelton/internal/rawjson"
)

var chat = &endpoint{
	path:    "/v1/chat/completions",
	subject: "messages",
	compose: func(x *exchange) {
		x.answerTo(x.req.lastUser)
		x.wrapForTool(x.req.chatTool())
	},
	whole: func(x *exchange, out []byte) []byte {
		out = x.head(out, "chatcmpl-", "chat.completion")
		for i, text := range x.texts {
			out = openChoice(out, i)
			out = append(out, `"message":{"role":"assistant","content":`...)
			if tool := x.tool; tool != nil {
				out = append(x.chatCall(append(out, `null,"tool_calls":[{`...), tool), `,"arguments":`...)
				out = append(rawjson.AppendString(out, text), `}}],"refusal":null},"logprobs":null,"finish_reason":"tool_calls"}`...)
				continue
			}
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
			if tool := x.tool; tool != nil {
				out = x.chatCall(append(out, `"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,`...), tool)
				out = append(out, `,"arguments":""}}]},"logprobs":null,"finish_reason":null}`...)
				return x.endChunk(out)
			}
			out = append(out, `"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}`...)
			return x.endChunk(out)
		},
		piece: func(x *exchange, out []byte, p piece) []byte {
			out = x.chunk(out, "chatcmpl-", "chat.completion.chunk")
			out = openChoice(out, p.choice)
			if x.tool != nil {
				out = rawjson.AppendString(append(out, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":`...), p.text)
				out = append(out, `}}]},"logprobs":null,"finish_reason":null}`...)
				return x.endChunk(out)
			}
			out = append(out, `"delta":{"content":`...)
			out = rawjson.AppendString(out, p.text)
			out = append(out, `},"logprobs":null,"finish_reason":null}`...)
			return x.endChunk(out)
		},
		finish: func(x *exchange, out []byte) []byte {
			out = x.chunk(out, "chatcmpl-", "chat.completion.chunk")
			out = openChoice(out, 0)
			reason := "stop"
			if x.tool != nil {
				reason = "tool_calls"
			}
			out = append(append(append(out, `"delta":{},"logprobs":null,"finish_reason":"`...), reason...), `"}`...)
			out = x.endChunk(out)
			return x.usageChunk(out, "chatcmpl-", "chat.completion.chunk")
		},
		done: "data: [DONE]\n\n",
	},
}

// chatTool is the name of the tool that must be called, as it is written; nil: none
// must.
func (q *request) chatTool() (name []byte) {
	switch {
	case q.toolChoice == nil:
	case rawjson.IsObject(q.toolChoice):
		return member(member(q.toolChoice, "function"), "name")
	case string(q.toolChoice) == `"required"`:
		_, _ = rawjson.Array(q.tools, func(tool []byte) {
			if name == nil {
				name = member(member(tool, "function"), "name")
			}
		})
	}
	return name
}

// chatCall appends the beginning of a call, up to its arguments.
func (x *exchange) chatCall(out, tool []byte) []byte {
	out = append(x.answerID(out, "call_"), `,"type":"function","function":{"name":`...)
	return append(out, tool...)
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
