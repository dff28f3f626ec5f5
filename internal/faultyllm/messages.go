package faultyllm

import (
	"strconv"

	"pelton/internal/rawjson"
)

// Anthropic's Messages: the question in messages, the answer in blocks, and
// streams of typed events. A tool that must be called is called, with what would
// have been the answer as its input.
var messages = &endpoint{
	path:     "/v1/messages",
	subject:  "messages",
	idHeader: "Request-Id",
	check:    (*exchange).checkMessages,
	fail:     appendMessagesError,
	compose: func(x *exchange) {
		x.answerTo(func(into []byte) []byte { return x.req.lastUser(into) })
		x.wrapForTool(x.req.forcedTool())
	},
	whole: func(x *exchange, out []byte) []byte {
		out = x.message(out)
		out = append(out, `,"content":[`...)
		if len(x.texts) == 0 {
			return append(x.messageUsage(append(out, `],"stop_reason":null,"stop_sequence":null`...), false), '}')
		}
		if x.tool != nil {
			out = x.toolUse(out)
			out = append(append(out, `,"input":`...), x.texts[0]...)
		} else {
			out = append(out, `{"type":"text","text":`...)
			out = rawjson.AppendString(out, x.texts[0])
		}
		out = append(out, `}],"stop_reason":"`...)
		out = append(append(out, x.stopReason()...), `","stop_sequence":null`...)
		return append(x.messageUsage(out, true), '}')
	},
	stream: &encoder{
		failed: "event: error\n",
		start: func(x *exchange, out []byte) []byte {
			out = typed(out, "message_start")
			out = x.message(append(out, `,"message":`...))
			out = x.messageUsage(append(out, `,"content":[],"stop_reason":null,"stop_sequence":null`...), false)
			out = append(out, "}}\n\n"...)
			out = typed(out, "content_block_start")
			out = append(out, `,"index":0,"content_block":`...)
			if x.tool != nil {
				out = append(x.toolUse(out), `,"input":{}`...)
			} else {
				out = append(out, `{"type":"text","text":""`...)
			}
			out = append(out, "}}\n\n"...)
			return append(typed(out, "ping"), "}\n\n"...)
		},
		piece: func(x *exchange, out []byte, p piece) []byte {
			out = typed(out, "content_block_delta")
			if x.tool != nil {
				out = append(out, `,"index":0,"delta":{"type":"input_json_delta","partial_json":`...)
			} else {
				out = append(out, `,"index":0,"delta":{"type":"text_delta","text":`...)
			}
			return append(rawjson.AppendString(out, p.text), "}}\n\n"...)
		},
		finish: func(x *exchange, out []byte) []byte {
			out = append(typed(out, "content_block_stop"), ",\"index\":0}\n\n"...)
			out = append(typed(out, "message_delta"), `,"delta":{"stop_reason":"`...)
			out = append(append(out, x.stopReason()...), `","stop_sequence":null}`...)
			_, completion := x.tokens()
			out = strconv.AppendInt(append(out, `,"usage":{"output_tokens":`...), int64(completion), 10)
			out = append(out, "}}\n\n"...)
			return append(typed(out, "message_stop"), "}\n\n"...)
		},
	},
}

// typed appends the beginning of an event that bears its type twice.
func typed(out []byte, name string) []byte {
	out = append(append(append(out, "event: "...), name...), "\ndata: {\"type\":\""...)
	return append(append(out, name...), '"')
}

// message appends what a message begins with.
func (x *exchange) message(out []byte) []byte {
	out = x.answerID(append(out, '{'), "msg_")
	return x.model(append(out, `,"type":"message","role":"assistant",`...))
}

func (x *exchange) messageUsage(out []byte, answered bool) []byte {
	prompt, completion := x.tokens()
	if !answered {
		completion = 0
	}
	out = strconv.AppendInt(append(out, `,"usage":{"input_tokens":`...), int64(prompt), 10)
	out = append(out, `,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":`...)
	return append(strconv.AppendInt(out, int64(completion), 10), '}')
}

// toolUse appends the beginning of a call, up to its input.
func (x *exchange) toolUse(out []byte) []byte {
	out = x.answerID(append(out, `{"type":"tool_use",`...), "toolu_")
	return append(append(out, `,"name":`...), x.tool...)
}

func (x *exchange) stopReason() string {
	if x.tool != nil {
		return "tool_use"
	}
	return "end_turn"
}

// forcedTool is the name of the tool that must be called, as it is written; nil:
// none must.
func (q *request) forcedTool() (name []byte) {
	var kind []byte
	rawjson.Object(q.toolChoice, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "name":
			name = value
		}
	})
	switch string(kind) {
	case `"tool"`:
		return name
	case `"any"`:
		rawjson.Array(q.tools, func(tool []byte) {
			rawjson.Object(tool, func(key, value []byte) {
				if string(key) == "name" && name == nil {
					name = value
				}
			})
		})
		return name
	}
	return nil
}

// checkMessages refuses what Messages refuses of a body's form.
func (x *exchange) checkMessages() (failure, bool) {
	unknown := ""
	rawjson.Object(x.body, func(key, _ []byte) {
		if !messageFields[string(key)] && unknown == "" {
			unknown = string(key)
		}
	})
	limit, err := strconv.Atoi(string(x.req.maxTokens))
	heat, notHeat := strconv.ParseFloat(string(x.req.temperature), 64)
	switch {
	case unknown != "":
		return badRequest(unknown, unknown+": Extra inputs are not permitted"), true
	case rawjson.IsNull(x.req.maxTokens):
		return badRequest("max_tokens", "max_tokens: Field required"), true
	case err != nil || limit < 0:
		return badRequest("max_tokens", "max_tokens: Input should be a valid integer"), true
	case !rawjson.IsNull(x.req.temperature) && (notHeat != nil || heat < 0 || heat > 1):
		return badRequest("temperature", "temperature: range: 0..1"), true
	case x.req.forced() && x.req.forcedTool() == nil:
		return badRequest("tool_choice", "tool_choice: no such tool"), true
	}
	return x.checkTurns()
}

// forced reports whether the request says that a tool must be called.
func (q *request) forced() (forced bool) {
	rawjson.Object(q.toolChoice, func(key, value []byte) {
		forced = forced || string(key) == "type" && (string(value) == `"tool"` || string(value) == `"any"`)
	})
	return forced
}

// checkTurns refuses turns that are nobody's, or say nothing.
func (x *exchange) checkTurns() (failure, bool) {
	n, wrong := 0, ""
	rawjson.Array(x.req.subject, func(turn []byte) {
		role, empty := "", true
		rawjson.Object(turn, func(key, value []byte) {
			switch string(key) {
			case "role":
				role = rawjson.Text(value)
			case "content":
				empty = len(value) <= 2
			}
		})
		at := "messages." + strconv.Itoa(n)
		switch {
		case wrong != "":
		case role != "user" && role != "assistant" && role != "system":
			wrong = at + ".role: Input should be 'user', 'assistant' or 'system'"
		case empty:
			wrong = at + ": all messages must have non-empty content"
		}
		n++
	})
	if n == 0 {
		wrong = "messages: at least one message is required"
	}
	return badRequest("messages", wrong), wrong != ""
}

var messageFields = map[string]bool{
	"model": true, "messages": true, "max_tokens": true, "system": true, "stream": true, "stop_sequences": true, "temperature": true,
	"top_p": true, "top_k": true, "tools": true, "tool_choice": true, "metadata": true, "thinking": true, "output_config": true,
	"service_tier": true, "container": true, "cache_control": true, "inference_geo": true, "speed": true, "mock": true,
}

// appendMessagesError appends a failure in Anthropic's form.
func appendMessagesError(_ *exchange, out []byte, f *failure) []byte {
	kind, message := messagesErrors[f.status], f.message
	switch f.code {
	case "context_length_exceeded":
		message = "prompt is too long: 210000 tokens > 200000 maximum"
	case "content_filter":
		message = "Output blocked by content filtering policy"
	case "insufficient_quota":
		kind, message = "invalid_request_error", "Your credit balance is too low to access the Anthropic API."
	}
	switch {
	case kind != "":
	case f.status >= 400 && f.status < 500:
		kind = "invalid_request_error"
	default:
		kind = "api_error"
	}
	out = append(append(out, `{"type":"error","error":{"type":"`...), kind...)
	out = rawjson.AppendString(append(out, `","message":`...), message)
	return append(out, `}}`...)
}

var messagesErrors = map[int]string{
	401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error", 408: "timeout_error",
	413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}
