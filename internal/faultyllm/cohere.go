package faultyllm

import (
	"net/http"
	"strconv"

	"pelton/internal/rawjson"
)

// cohereChat is Cohere's chat, version 2. A tool that must be called is called,
// with what would have been the answer as its arguments. Some tokens of a prompt,
// which Cohere adds itself, are counted and not billed.
var cohereChat = &endpoint{
	path:    "/v2/chat",
	subject: "messages",
	adapt:   adaptCohere,
	fail:    appendCohereError,
	check:   (*exchange).checkCohere,
	compose: func(x *exchange) {
		x.answerTo(func(into []byte) []byte { return x.req.lastUser(into) })
		x.wrapForTool(x.cohereTool())
	},
	whole: func(x *exchange, out []byte) []byte {
		out = x.answerID(append(out, '{'), "co-")
		out = append(out, `,"message":{"role":"assistant"`...)
		if len(x.texts) == 0 {
			return append(x.cohereUsage(append(out, `},"usage":`...)), '}')
		}
		reason := "COMPLETE"
		if tool := x.tool; tool != nil {
			reason = "TOOL_CALL"
			out = append(x.cohereCall(append(out, `,"tool_calls":[`...), tool), `,"arguments":`...)
			out = append(rawjson.AppendString(out, x.texts[0]), `}}]}`...)
		} else {
			out = rawjson.AppendString(append(out, `,"content":[{"type":"text","text":`...), x.texts[0])
			out = append(out, `}]}`...)
		}
		out = append(append(append(out, `,"finish_reason":"`...), reason...), `","usage":`...)
		return append(x.cohereUsage(out), '}')
	},
	stream: &encoder{
		none: "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{}}\n\n",
		start: func(x *exchange, out []byte) []byte {
			out = x.answerID(append(typed(out, "message-start"), ','), "co-")
			out = append(out, ",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],\"citations\":[]}}}\n\n"...)
			if tool := x.tool; tool != nil {
				out = append(typed(out, "tool-call-start"), `,"index":0,"delta":{"message":{"tool_calls":`...)
				return append(x.cohereCall(out, tool), ",\"arguments\":\"\"}}}}}\n\n"...)
			}
			return append(typed(out, "content-start"), ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n"...)
		},
		piece: func(x *exchange, out []byte, p piece) []byte {
			if x.tool != nil {
				out = append(typed(out, "tool-call-delta"), `,"index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":`...)
				return append(rawjson.AppendString(out, p.text), "}}}}}\n\n"...)
			}
			out = append(typed(out, "content-delta"), `,"index":0,"delta":{"message":{"content":{"text":`...)
			return append(rawjson.AppendString(out, p.text), "}}}}\n\n"...)
		},
		finish: func(x *exchange, out []byte) []byte {
			end, reason := "content-end", "COMPLETE"
			if x.tool != nil {
				end, reason = "tool-call-end", "TOOL_CALL"
			}
			out = append(typed(out, end), ",\"index\":0}\n\n"...)
			out = append(append(append(typed(out, "message-end"), `,"delta":{"finish_reason":"`...), reason...), `","usage":`...)
			return append(x.cohereUsage(out), "}}\n\n"...)
		},
		broken: func(_ *exchange, out []byte, f *failure) []byte {
			out = append(typed(out, "message-end"), `,"delta":{"finish_reason":"ERROR","error":`...)
			return append(rawjson.AppendString(out, f.message), "}}\n\n"...)
		},
	},
}

// cohereEmbed is Cohere's embed, version 2.
var cohereEmbed = &endpoint{
	path:    "/v2/embed",
	subject: "texts",
	adapt:   adaptCohere,
	fail:    appendCohereError,
	compose: func(x *exchange) { x.texts = x.req.items(x.texts) },
	whole: func(x *exchange, out []byte) []byte {
		n := x.set.Dimensions
		if size, err := strconv.Atoi(string(member(x.body, "output_dimension"))); err == nil && size > 0 && size <= maxDimensions {
			n = size
		}
		vector := make([]float32, n)
		out = append(x.answerID(append(out, '{'), "co-"), `,"response_type":"embeddings_by_type","embeddings":{"float":[`...)
		for i, input := range x.texts {
			if i > 0 {
				out = append(out, ',')
			}
			embed(vector, x.set.Seed, input)
			out = appendVector(out, vector, false)
		}
		out = append(append(out, `]},"texts":`...), x.req.subject...)
		prompt, _ := x.tokens()
		out = strconv.AppendInt(append(out, `,"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":`...), int64(prompt), 10)
		return append(out, `}}}`...)
	},
}

// cohereAdds is how many tokens are counted, and not billed.
const cohereAdds = 67

func (x *exchange) cohereUsage(out []byte) []byte {
	prompt, answer := x.tokens()
	pair := func(name string, prompt int) {
		out = append(append(append(out, '"'), name...), `":{"input_tokens":`...)
		out = strconv.AppendInt(append(strconv.AppendInt(out, int64(prompt), 10), `,"output_tokens":`...), int64(answer), 10)
		out = append(out, '}')
	}
	out = append(out, '{')
	pair("billed_units", prompt)
	out = append(out, ',')
	pair("tokens", prompt+cohereAdds)
	return append(out, '}')
}

// cohereCall appends the beginning of a call, up to its arguments.
func (x *exchange) cohereCall(out, tool []byte) []byte {
	out = x.answerID(append(out, '{'), "call_")
	return append(append(out, `,"type":"function","function":{"name":`...), tool...)
}

// cohereTool is the name of the tool that must be called, as it is written; nil:
// none must.
func (x *exchange) cohereTool() (name []byte) {
	if string(x.req.toolChoice) != `"REQUIRED"` {
		return nil
	}
	_, _ = rawjson.Array(x.req.tools, func(tool []byte) {
		if name == nil {
			name = member(member(tool, "function"), "name")
		}
	})
	return name
}

// checkCohere refuses what Cohere refuses of a body's form.
func (x *exchange) checkCohere() (failure, bool) {
	n, wrong := 0, ""
	_, _ = rawjson.Array(x.req.subject, func(message []byte) {
		switch role := rawjson.Text(member(message, "role")); role {
		case "user", "assistant", "system", "tool":
		default:
			wrong = "invalid request: messages[" + strconv.Itoa(n) + "].role: " + role + " is not a valid role"
		}
		n++
	})
	_, _ = rawjson.Array(x.req.tools, func(tool []byte) {
		if wrong == "" && !rawjson.IsObject(member(member(tool, "function"), "parameters")) {
			wrong = "invalid request: all elements in tools must have parameters"
		}
	})
	switch choice := string(x.req.toolChoice); {
	case wrong != "":
	case n == 0:
		wrong = "invalid request: message must be at least 1 token long or tool results must be specified."
	case choice != "" && choice != `"REQUIRED"` && choice != `"NONE"`:
		wrong = "invalid request: tool_choice must be REQUIRED or NONE"
	case choice == `"REQUIRED"` && x.cohereTool() == nil:
		wrong = "invalid request: tool_choice REQUIRED needs tools"
	case x.req.tools != nil && member(x.body, "response_format") != nil:
		wrong = "invalid request: cannot specify response_format with tools"
	}
	return badRequest("", wrong), wrong != ""
}

// adaptCohere gives the failures the status and the words that Cohere has for them.
func adaptCohere(_ *exchange, f *failure) {
	switch f.code {
	case "invalid_api_key":
		f.message = "invalid api token"
	case "context_length_exceeded":
		f.message = "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 210000"
	case "content_filter":
		f.status, f.message = 498, "the request contains a deny-listed token"
	case "insufficient_quota":
		f.message = "You are using a Trial key, which is limited to 1000 API calls / month."
	case "server_is_overloaded":
		f.status = http.StatusServiceUnavailable
	}
}

func appendCohereError(x *exchange, out []byte, f *failure) []byte {
	out = rawjson.AppendString(append(x.answerID(append(out, '{'), ""), `,"message":`...), f.message)
	return append(out, '}')
}

// appendCohereModels appends Cohere's list of models.
func appendCohereModels(out []byte, names []string) []byte {
	out = append(out, `{"models":[`...)
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = rawjson.AppendString(append(out, `{"name":`...), name)
		out = append(out, `,"endpoints":["chat","embed"],"context_length":128000}`...)
	}
	return append(out, `]}`...)
}
