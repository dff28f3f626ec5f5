package faultyllm

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/internal/rawjson"
)

// gemini is Google's generateContent, of the Gemini API and of Vertex AI.
var gemini = &endpoint{
	path:    "generateContent",
	subject: "contents",
	match: func(path string) (model string, streamed, ok bool) {
		model, method := googleModel(path)
		return model, method == "streamGenerateContent", method == "generateContent" || method == "streamGenerateContent"
	},
	noRetryAfter: true,
	adapt:        adaptGemini,
	fail:         appendGeminiError,
	compose: func(x *exchange) {
		x.answerTo(x.req.lastContent)
		x.wrapForTool(x.geminiTool())
	},
	whole: func(x *exchange, out []byte) []byte {
		out = append(out, `{"candidates":[`...)
		for i, text := range x.texts {
			out = x.appendCandidate(out, i, text)
			out = append(out, `,"finishReason":"STOP"}`...)
		}
		return x.endGemini(out, true)
	},
	stream: &encoder{
		start: func(_ *exchange, out []byte) []byte { return out },
		piece: func(x *exchange, out []byte, p piece) []byte {
			if x.tool != nil { // a call comes whole, with the end
				return out
			}
			out = append(x.appendCandidate(append(out, `data: {"candidates":[`...), p.choice, p.text), '}')
			return append(x.endGemini(out, false), "\r\n\r\n"...)
		},
		finish: func(x *exchange, out []byte) []byte {
			var call []byte
			if x.tool != nil {
				call = x.texts[0]
			}
			out = x.appendCandidate(append(out, `data: {"candidates":[`...), 0, call)
			return append(x.endGemini(append(out, `,"finishReason":"STOP"}`...), true), "\r\n\r\n"...)
		},
		none: "data: {\"usageMetadata\":{\"promptTokenCount\":1,\"totalTokenCount\":1}}\r\n\r\n",
	},
}

// geminiEmbeddings is the Gemini API's batchEmbedContents.
var geminiEmbeddings = &endpoint{
	path:    "batchEmbedContents",
	subject: "requests",
	match: func(path string) (model string, streamed, ok bool) {
		model, method := googleModel(path)
		return model, false, method == "batchEmbedContents"
	},
	noRetryAfter: true,
	adapt:        adaptGemini,
	fail:         appendGeminiError,
	compose:      func(x *exchange) { x.texts = x.req.items(x.texts) },
	whole: func(x *exchange, out []byte) []byte {
		out = append(out, `{"embeddings":[`...)
		for i, input := range x.texts {
			if i > 0 {
				out = append(out, ',')
			}
			n := x.set.Dimensions
			var text []byte
			_, _ = rawjson.Object(input, func(key, value []byte) {
				switch string(key) {
				case "content":
					text = contentText(nil, value)
				case "outputDimensionality", "output_dimensionality":
					if size, err := strconv.Atoi(string(value)); err == nil && size > 0 && size <= maxDimensions {
						n = size
					}
				}
			})
			vector := make([]float32, n)
			embed(vector, x.set.Seed, text)
			out = append(appendVector(append(out, `{"values":`...), vector, false), '}')
		}
		return append(out, "]}"...)
	},
}

// googleModel splits the end of a path such as /v1beta/models/NAME:METHOD, or the
// longer one of Vertex AI.
func googleModel(path string) (model, method string) {
	if !strings.HasPrefix(path, "/v1") {
		return "", ""
	}
	_, rest, ok := strings.Cut(path, "/models/")
	if !ok {
		return "", ""
	}
	model, method, _ = strings.Cut(rest, ":")
	return model, method
}

// geminiTool is the name of the function that must be called, as it is written; nil:
// none must.
func (x *exchange) geminiTool() (name []byte) {
	either := func(object []byte, camel, snake string) []byte {
		if found := member(object, camel); found != nil {
			return found
		}
		return member(object, snake)
	}
	calling := either(either(x.body, "toolConfig", "tool_config"), "functionCallingConfig", "function_calling_config")
	if string(member(calling, "mode")) != `"ANY"` {
		return nil
	}
	first := func(list []byte, visit func(item []byte) []byte) (found []byte) {
		_, _ = rawjson.Array(list, func(item []byte) {
			if found == nil {
				found = visit(item)
			}
		})
		return found
	}
	if name = first(either(calling, "allowedFunctionNames", "allowed_function_names"), func(item []byte) []byte { return item }); name != nil {
		return name
	}
	return first(x.req.tools, func(tool []byte) []byte {
		return first(either(tool, "functionDeclarations", "function_declarations"), func(f []byte) []byte { return member(f, "name") })
	})
}

// appendCandidate appends a candidate, without the brace at its end.
func (x *exchange) appendCandidate(out []byte, index int, text []byte) []byte {
	if out[len(out)-1] == '}' {
		out = append(out, ',')
	}
	if x.tool != nil && text != nil {
		out = append(append(append(out, `{"content":{"parts":[{"functionCall":{"name":`...), x.tool...), `,"args":`...)
		out = append(append(out, text...), `}}],"role":"model"},"index":`...)
		return strconv.AppendInt(out, int64(index), 10)
	}
	out = rawjson.AppendString(append(out, `{"content":{"parts":[{"text":`...), text)
	return strconv.AppendInt(append(out, `}],"role":"model"},"index":`...), int64(index), 10)
}

// endGemini appends what follows the candidates.
func (x *exchange) endGemini(out []byte, all bool) []byte {
	prompt, answer := x.tokens()
	out = strconv.AppendInt(append(out, `],"usageMetadata":{"promptTokenCount":`...), int64(prompt), 10)
	if all {
		out = strconv.AppendInt(append(out, `,"candidatesTokenCount":`...), int64(answer), 10)
	} else {
		answer = 0
	}
	out = strconv.AppendInt(append(out, `,"totalTokenCount":`...), int64(prompt+answer), 10)
	out = strconv.AppendInt(append(out, `,"promptTokensDetails":[{"modality":"TEXT","tokenCount":`...), int64(prompt), 10)
	out = rawjson.AppendString(append(out, `}]},"modelVersion":`...), x.req.modelName())
	return append(append(append(out, `,"responseId":"`...), x.hexID[:]...), `"}`...)
}

// lastContent appends the text of the user's last turn.
func (q *request) lastContent(into []byte) []byte {
	var last []byte
	rawjson.Array(q.subject, func(content []byte) {
		user := true
		_, _ = rawjson.Object(content, func(key, value []byte) {
			if string(key) == "role" {
				user = string(value) == `"user"`
			}
		})
		if user {
			last = content
		}
	})
	return contentText(into, last)
}

// contentText appends the texts of a content's parts.
func contentText(into, content []byte) []byte {
	_, _ = rawjson.Object(content, func(key, value []byte) {
		if string(key) != "parts" {
			return
		}
		rawjson.Array(value, func(part []byte) {
			_, _ = rawjson.Object(part, func(key, value []byte) {
				if string(key) == "text" {
					into = rawjson.AppendText(into, value)
				}
			})
		})
	})
	return into
}

// googleStatus is Google's name for a status.
func googleStatus(status int) string {
	switch status {
	case 401:
		return "UNAUTHENTICATED"
	case 403:
		return "PERMISSION_DENIED"
	case 404:
		return "NOT_FOUND"
	case 408, 504:
		return "DEADLINE_EXCEEDED"
	case 409:
		return "ABORTED"
	case 429:
		return "RESOURCE_EXHAUSTED"
	case 499:
		return "CANCELLED"
	case 501:
		return "UNIMPLEMENTED"
	case 503, 529:
		return "UNAVAILABLE"
	}
	if status >= 400 && status < 500 {
		return "INVALID_ARGUMENT"
	}
	return "INTERNAL"
}

// adaptGemini gives the failures the status and the words that Google has for
// them.
func adaptGemini(x *exchange, f *failure) {
	switch f.code {
	case "invalid_api_key":
		if strings.Contains(x.r.URL.Path, "/projects/") {
			f.message = "Request had invalid authentication credentials."
			return
		}
		f.status, f.message = http.StatusBadRequest, "API key not valid. Please pass a valid API key."
	case "context_length_exceeded":
		f.message = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
	case "unsupported_country_region_territory":
		f.status, f.message = http.StatusBadRequest, "User location is not supported for the API use."
	case "model_not_found":
		f.message = "models/" + string(x.req.modelName()) + " is not found for API version v1beta, or is not supported for generateContent."
	case "content_filter":
		f.status = http.StatusOK
	}
}

// appendGeminiError appends Google's error object. A prompt that is blocked is
// none: it is an answer without candidates.
func appendGeminiError(x *exchange, out []byte, f *failure) []byte {
	if f.code == "content_filter" {
		return append(out, `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1}}`...)
	}
	status := f.status
	if status < 400 { // an error within a success
		status = http.StatusInternalServerError
	}
	name := googleStatus(status)
	if f.code == "unsupported_country_region_territory" {
		name = "FAILED_PRECONDITION"
	}
	out = strconv.AppendInt(append(out, `{"error":{"code":`...), int64(status), 10)
	out = rawjson.AppendString(append(out, `,"message":`...), f.message)
	out = rawjson.AppendString(append(out, `,"status":`...), name)
	out = append(out, `,"details":[`...)
	switch f.code {
	case "invalid_api_key":
		out = append(out, `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}`...)
	case "insufficient_quota":
		out = append(out, `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"0"}]}`...)
	}
	if wait := x.wait(f); wait > 0 {
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		out = append(out, `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"`...)
		out = strconv.AppendFloat(out, wait.Round(time.Millisecond).Seconds(), 'f', -1, 64)
		out = append(out, `s"}`...)
	}
	return append(out, "]}}"...)
}

// serveGeminiModels answers the Gemini API's list of models.
func (s *Server) serveGeminiModels(w http.ResponseWriter, r *http.Request) {
	set := s.set.Load()
	x := &exchange{s: s, set: set, ep: gemini, w: w, r: r}
	w.Header()["Content-Type"] = jsonType
	fail := failure{}
	switch {
	case s.inOutage(set):
		fail = faults[FaultUnavailable]
	case !s.authorized(set, r):
		fail = faults[FaultAuth]
	}
	if fail.status != 0 {
		x.adapt(&fail)
		w.WriteHeader(fail.status)
		_, _ = w.Write(x.appendError(nil, &fail))
		return
	}
	names := set.Models
	if len(names) == 0 {
		names = []string{anyModel}
	}
	out := []byte(`{"models":[`)
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = rawjson.AppendString(append(out, `{"name":`...), "models/"+name)
		out = append(out, `,"supportedGenerationMethods":["generateContent","embedContent"]}`...)
	}
	_, _ = w.Write(append(out, "]}"...))
}
