// Package canned answers calls in OpenAI's protocol without a server: what a
// configuration's mock_response says, to each.
package canned

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"pelton/internal/rawjson"
)

// Transport is an [http.RoundTripper] that calls nobody. It is safe for concurrent
// use.
type Transport struct{ text string }

// New returns a transport that answers each call with text. As in LiteLLM, some
// texts are errors: litellm.RateLimitError, litellm.InternalServerError,
// litellm.ContextWindowExceededError, and what begins with "Exception: ".
func New(text string) *Transport { return &Transport{text} }

// The tokens that an answer is said to have used, LiteLLM's.
const (
	promptTokens     = 10
	completionTokens = 20
)

// RoundTrip answers a request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var raw []byte
	if req.Body != nil {
		var err error
		raw, err = io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if status, code := t.failure(); status != 0 {
		return answer(req, status, "application/json", encode(object{"error": object{"message": "mock_response: " + t.text, "type": "mock", "code": code}})), nil
	}
	asked := wish{Model: "mock", N: 1}
	_ = json.Unmarshal(raw, &asked)
	if strings.HasSuffix(req.URL.Path, "/embeddings") {
		return t.embeddings(req, asked), nil
	}
	form := t.chat
	switch {
	case strings.HasSuffix(req.URL.Path, "/chat/completions"):
	case strings.HasSuffix(req.URL.Path, "/completions"):
		form = t.completion
	case strings.HasSuffix(req.URL.Path, "/responses"):
		form = t.response
	case strings.HasSuffix(req.URL.Path, "/models"):
		return answer(req, 200, "application/json", encode(object{"object": "list", "data": []object{}})), nil
	default:
		return answer(req, 404, "application/json", encode(object{"error": object{"message": "mock_response has no answer to " + req.URL.Path}})), nil
	}
	whole, events := form(asked)
	if !asked.Stream {
		return answer(req, 200, "application/json", encode(whole)), nil
	}
	var stream bytes.Buffer
	for _, event := range events {
		fmt.Fprintf(&stream, "data: %s\n\n", encode(event))
	}
	if !strings.HasSuffix(req.URL.Path, "/responses") {
		stream.WriteString("data: [DONE]\n\n")
	}
	return answer(req, 200, "text/event-stream", stream.Bytes()), nil
}

// wish is what of a body an answer depends on.
type wish struct {
	Model  string          `json:"model"`
	N      int             `json:"n"`
	Stream bool            `json:"stream"`
	Input  json.RawMessage `json:"input"`
}

type object map[string]any

// failure is the status and code of a text that is an error; 0: it is none.
func (t *Transport) failure() (status int, code string) {
	switch {
	case t.text == "litellm.RateLimitError":
		return 429, "rate_limit_exceeded"
	case t.text == "litellm.ContextWindowExceededError":
		return 400, "context_length_exceeded"
	case t.text == "litellm.ContentPolicyViolationError", t.text == "Exception: content_filter_policy":
		return 400, "content_policy_violation"
	case t.text == "litellm.InternalServerError", strings.HasPrefix(t.text, "Exception: "):
		return 500, "internal_server_error"
	}
	return 0, ""
}

var usage = object{"prompt_tokens": promptTokens, "completion_tokens": completionTokens, "total_tokens": promptTokens + completionTokens}

// chat is an answer whole, and as the chunks of a stream.
func (t *Transport) chat(w wish) (whole object, events []object) {
	head := object{"id": "chatcmpl-mock", "created": time.Now().Unix(), "model": w.Model}
	var choices, begin, end []object
	for i := range max(w.N, 1) {
		choices = append(choices, object{"index": i, "message": object{"role": "assistant", "content": t.text}, "finish_reason": "stop"})
		begin = append(begin, object{"index": i, "delta": object{"role": "assistant", "content": t.text}, "finish_reason": nil})
		end = append(end, object{"index": i, "delta": object{}, "finish_reason": "stop"})
	}
	return head.with(object{"object": "chat.completion", "choices": choices, "usage": usage}), []object{
		head.with(object{"object": "chat.completion.chunk", "choices": begin}),
		head.with(object{"object": "chat.completion.chunk", "choices": end}),
		head.with(object{"object": "chat.completion.chunk", "choices": []object{}, "usage": usage}),
	}
}

func (t *Transport) completion(w wish) (whole object, events []object) {
	var choices []object
	for i := range max(w.N, 1) {
		choices = append(choices, object{"index": i, "text": t.text, "finish_reason": "stop"})
	}
	whole = object{"id": "cmpl-mock", "object": "text_completion", "created": time.Now().Unix(), "model": w.Model, "choices": choices, "usage": usage}
	return whole, []object{whole}
}

func (t *Transport) response(w wish) (whole object, events []object) {
	whole = object{
		"id": "resp_mock", "object": "response", "created_at": time.Now().Unix(), "model": w.Model, "status": "completed",
		"output": []object{{"id": "msg_mock", "type": "message", "role": "assistant", "status": "completed",
			"content": []object{{"type": "output_text", "text": t.text, "annotations": []object{}}}}},
		"usage": object{"input_tokens": promptTokens, "output_tokens": completionTokens, "total_tokens": promptTokens + completionTokens},
	}
	return whole, []object{{"type": "response.completed", "sequence_number": 0, "response": whole}}
}

// embeddings gives each input the vector that the text is.
func (t *Transport) embeddings(req *http.Request, w wish) *http.Response {
	var vector []float64
	if err := json.Unmarshal([]byte(t.text), &vector); err != nil {
		return answer(req, 400, "application/json", encode(object{"error": object{"message": "mock_response: an embedding must be a list of numbers"}}))
	}
	var inputs []json.RawMessage
	if rawjson.IsArray(w.Input) {
		_ = json.Unmarshal(w.Input, &inputs)
	}
	if len(inputs) > 0 && !rawjson.IsString(inputs[0]) && !rawjson.IsArray(inputs[0]) { // one input, in tokens
		inputs = inputs[:1]
	}
	var data []object
	for i := range max(len(inputs), 1) {
		data = append(data, object{"object": "embedding", "index": i, "embedding": vector})
	}
	return answer(req, 200, "application/json", encode(object{"object": "list", "model": w.Model, "data": data, "usage": object{"prompt_tokens": promptTokens, "total_tokens": promptTokens}}))
}

// with is o with what more has besides.
func (o object) with(more object) object {
	sum := object{}
	for _, part := range []object{o, more} {
		maps.Copy(sum, part)
	}
	return sum
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil { // what is made here is made of texts and numbers
		return []byte("null")
	}
	return text
}

func answer(req *http.Request, status int, kind string, body []byte) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}
