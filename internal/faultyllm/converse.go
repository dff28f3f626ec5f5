package faultyllm

import (
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"pelton/internal/rawjson"
)

// converse is Amazon Bedrock's Converse: the question in messages, streams in
// binary frames. A tool that must be called is called, with what would have been the
// answer as its input.
var converse = &endpoint{
	path:    "converse",
	subject: "messages",
	match: func(path string) (model string, streamed, ok bool) {
		model, named := strings.CutPrefix(path, "/model/")
		whole, isWhole := strings.CutSuffix(model, "/converse")
		frames, streamed := strings.CutSuffix(model, "/converse-stream")
		if streamed {
			whole = frames
		}
		return whole, streamed, named && (isWhole || streamed)
	},
	idHeader:     "X-Amzn-Requestid",
	noRetryAfter: true,
	adapt:        adaptConverse,
	fail:         appendConverseError,
	check:        (*exchange).checkConverse,
	compose: func(x *exchange) {
		x.answerTo(func(into []byte) []byte { return x.req.lastUser(into) })
		x.wrapForTool(x.converseTool())
	},
	whole: func(x *exchange, out []byte) []byte {
		out = append(out, `{"metrics":{"latencyMs":1},"output":{"message":{"role":"assistant","content":[`...)
		if len(x.texts) == 0 {
			return append(x.converseUsage(append(out, `]}},"usage":`...)), '}')
		}
		reason := "end_turn"
		if tool := x.tool; tool != nil {
			reason = "tool_use"
			out = append(append(x.converseCall(append(out, `{"toolUse":`...), tool), `,"input":`...), x.texts[0]...)
			out = append(out, `}}`...)
		} else {
			out = append(rawjson.AppendString(append(out, `{"text":`...), x.texts[0]), '}')
		}
		out = append(append(append(out, `]}},"stopReason":"`...), reason...), `","usage":`...)
		return append(x.converseUsage(out), '}')
	},
	stream: &encoder{
		kind: []string{"application/vnd.amazon.eventstream"},
		none: string(appendFrame(nil, "event", "metadata", []byte(`{"usage":{"inputTokens":1,"outputTokens":0,"totalTokens":1}}`))),
		start: func(x *exchange, out []byte) []byte {
			out = appendFrame(out, "event", "messageStart", []byte(`{"role":"assistant"}`))
			if tool := x.tool; tool != nil {
				begun := append(x.converseCall([]byte(`{"contentBlockIndex":0,"start":{"toolUse":`), tool), `}}}`...)
				out = appendFrame(out, "event", "contentBlockStart", begun)
			}
			return out
		},
		piece: func(x *exchange, out []byte, p piece) []byte {
			payload, end := []byte(`{"contentBlockIndex":0,"delta":{"text":`), `}}`
			if x.tool != nil {
				payload, end = []byte(`{"contentBlockIndex":0,"delta":{"toolUse":{"input":`), `}}}`
			}
			return appendFrame(out, "event", "contentBlockDelta", append(rawjson.AppendString(payload, p.text), end...))
		},
		finish: func(x *exchange, out []byte) []byte {
			out = appendFrame(out, "event", "contentBlockStop", []byte(`{"contentBlockIndex":0}`))
			reason := `{"stopReason":"end_turn"}`
			if x.tool != nil {
				reason = `{"stopReason":"tool_use"}`
			}
			out = appendFrame(out, "event", "messageStop", []byte(reason))
			return appendFrame(out, "event", "metadata", append(x.converseUsage([]byte(`{"metrics":{"latencyMs":1},"usage":`)), '}'))
		},
		broken: func(x *exchange, out []byte, f *failure) []byte {
			name, _ := converseFault(f)
			if name == "ModelErrorException" {
				name = "ModelStreamErrorException"
			}
			name = strings.ToLower(name[:1]) + name[1:]
			return appendFrame(out, "exception", name, rawjson.AppendString([]byte(`{"message":`), f.message), '}')
		},
	},
}

// appendFrame appends a frame of AWS's event streams: lengths, headers, payload,
// and two sums. end is the last byte of the payload, where it is not in it.
func appendFrame(out []byte, kind, name string, payload []byte, end ...byte) []byte {
	payload = append(payload, end...)
	var headers []byte
	for _, h := range [...][2]string{{":" + kind + "-type", name}, {":content-type", "application/json"}, {":message-type", kind}} {
		headers = append(append(append(headers, byte(len(h[0]))), h[0]...), 7) // 7: a text
		headers = append(binary.BigEndian.AppendUint16(headers, uint16(len(h[1]))), h[1]...)
	}
	from := len(out)
	out = binary.BigEndian.AppendUint32(out, uint32(16+len(headers)+len(payload)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(headers)))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
	out = append(append(out, headers...), payload...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
}

// converseCall appends the beginning of a call.
func (x *exchange) converseCall(out, tool []byte) []byte {
	out = append(append(append(out, `{"toolUseId":"tooluse_`...), x.hexID[:]...), `","name":`...)
	return append(out, tool...)
}

func (x *exchange) converseUsage(out []byte) []byte {
	prompt, answer := x.tokens()
	out = strconv.AppendInt(append(out, `{"inputTokens":`...), int64(prompt), 10)
	out = strconv.AppendInt(append(out, `,"outputTokens":`...), int64(answer), 10)
	out = strconv.AppendInt(append(out, `,"totalTokens":`...), int64(prompt+answer), 10)
	return append(out, '}')
}

// converseTool is the name of the tool that must be called, as it is written; nil:
// none must.
func (x *exchange) converseTool() (name []byte) {
	forced, first := false, []byte(nil)
	_, _ = rawjson.Object(x.body, func(key, value []byte) {
		if string(key) != "toolConfig" {
			return
		}
		_, _ = rawjson.Object(value, func(key, value []byte) {
			switch string(key) {
			case "toolChoice":
				_, _ = rawjson.Object(value, func(key, value []byte) {
					forced = forced || string(key) == "any"
					if string(key) == "tool" {
						name = member(value, "name")
					}
				})
			case "tools":
				_, _ = rawjson.Array(value, func(tool []byte) {
					if first == nil {
						first = member(member(tool, "toolSpec"), "name")
					}
				})
			}
		})
	})
	if name == nil && forced {
		return first
	}
	return name
}

// member is a member of an object; nil: it is not there.
func member(object []byte, name string) (found []byte) {
	_, _ = rawjson.Object(object, func(key, value []byte) {
		if string(key) == name {
			found = value
		}
	})
	return found
}

// wrapForTool makes the answer the input of a tool, where one must be called.
func (x *exchange) wrapForTool(tool []byte) {
	if x.tool = tool; tool == nil {
		return
	}
	from := len(x.text)
	x.text = append(x.text, `{"answer":`...)
	x.text = append(rawjson.AppendString(x.text, x.texts[0]), '}')
	x.texts[0] = x.text[from:]
}

// checkConverse refuses what Converse refuses of a body's form.
func (x *exchange) checkConverse() (failure, bool) {
	unknown := ""
	_, _ = rawjson.Object(x.body, func(key, _ []byte) {
		if !converseFields[string(key)] && unknown == "" {
			unknown = string(key)
		}
	})
	if unknown != "" {
		return badRequest(unknown, "Malformed input request: extraneous key ["+unknown+"] is not permitted"), true
	}
	n, wrong := 0, ""
	_, _ = rawjson.Array(x.req.subject, func(turn []byte) {
		role, content := rawjson.Text(member(turn, "role")), member(turn, "content")
		at := "messages." + strconv.Itoa(n)
		switch {
		case wrong != "":
		case role != "user" && role != "assistant":
			wrong = "Value at '" + at + ".role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]"
		case !rawjson.IsArray(content) || len(content) <= 2:
			wrong = "The content field in the Message object at " + at + " is empty. Add a ContentBlock object to the content field and try again."
		}
		n++
	})
	if n == 0 {
		wrong = "A conversation must start with a user message. Try again with a conversation that starts with a user message."
	}
	return badRequest("messages", wrong), wrong != ""
}

var converseFields = map[string]bool{
	"messages": true, "system": true, "inferenceConfig": true, "toolConfig": true, "guardrailConfig": true, "additionalModelRequestFields": true,
	"additionalModelResponseFieldPaths": true, "promptVariables": true, "requestMetadata": true, "performanceConfig": true,
	"serviceTier": true, "outputConfig": true, "mock": true,
}

// converseFault is AWS's name for a failure, and its status.
func converseFault(f *failure) (name string, status int) {
	switch f.code {
	case "context_length_exceeded":
		return "ValidationException", http.StatusBadRequest
	case "invalid_api_key":
		return "UnrecognizedClientException", http.StatusForbidden
	case "insufficient_quota":
		return "ServiceQuotaExceededException", http.StatusBadRequest
	}
	switch {
	case f.status == 403:
		return "AccessDeniedException", f.status
	case f.status == 404:
		return "ResourceNotFoundException", f.status
	case f.status == 408:
		return "ModelTimeoutException", f.status
	case f.status == 424, f.status < 400:
		return "ModelErrorException", http.StatusFailedDependency
	case f.status == 429:
		return "ThrottlingException", f.status
	case f.status == 503, f.status == 529:
		return "ServiceUnavailableException", http.StatusServiceUnavailable
	case f.status >= 500:
		return "InternalServerException", f.status
	}
	return "ValidationException", http.StatusBadRequest
}

// adaptConverse gives the failures the status and the words that Bedrock has for
// them. What a filter stops is an answer there.
func adaptConverse(_ *exchange, f *failure) {
	switch f.code {
	case "context_length_exceeded":
		f.message = "Input is too long for requested model."
	case "invalid_api_key":
		f.message = "The security token included in the request is invalid."
	case "content_filter":
		f.status = http.StatusOK
		return
	}
	if f.shape == shapeError {
		_, f.status = converseFault(f)
	}
}

func appendConverseError(x *exchange, out []byte, f *failure) []byte {
	if f.code == "content_filter" {
		return append(out, `{"output":{"message":{"role":"assistant","content":[{"text":"I cannot say that."}]}},"stopReason":"content_filtered","usage":{"inputTokens":1,"outputTokens":4,"totalTokens":5}}`...)
	}
	name, _ := converseFault(f)
	x.w.Header()["X-Amzn-Errortype"] = []string{name + ":http://internal.amazon.com/coral/com.amazon.bedrock/"}
	return append(rawjson.AppendString(append(out, `{"message":`...), f.message), '}')
}
