package router

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

// What servers that break naive clients answer, as recorded, and what comes of
// it: class, message, and which attempts are on record. Each server answers so
// once, or always, and then as it should.
func TestQuirks(t *testing.T) {
	const always = 0
	srv := llm(t, faultyllm.Config{})
	for _, tt := range []struct {
		name    string
		status  int
		raw     string
		times   int
		headers map[string]string

		history string       // status codes of the attempts
		class   schema.Class // of the first attempt's error; empty: none
		message string
		ends    schema.Class // of the request; empty: success
	}{
		{name: "LM Studio: 200 with an error object", raw: `{"error":{"message":"Model unloaded.","type":"server_error"}}`, times: 1,
			history: "200 200", class: schema.ClassTransient, message: "Model unloaded."},
		{name: "LM Studio: the same for good", raw: `{"error":{"message":"Model unloaded."}}`, times: always,
			history: "200 200 200", class: schema.ClassTransient, message: "Model unloaded.", ends: schema.ClassTransient},
		{name: "LM Studio: an error that is a text", status: 400, raw: `{"error":"'messages' array must only contain objects with a 'content' field."}`,
			history: "400", class: schema.ClassRequestFatal, message: "must only contain objects", ends: schema.ClassRequestFatal},
		{name: "vLLM: a flat error", status: 400, raw: `{"object":"error","message":"top_p must be in (0, 1], got 2.0.","type":"BadRequestError","param":null,"code":400}`,
			history: "400", class: schema.ClassRequestFatal, message: "top_p must be in", ends: schema.ClassRequestFatal},
		{name: "vLLM: too long", status: 400, raw: `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","code":400}`,
			history: "400", class: schema.ClassContextWindow, message: "4096 tokens", ends: schema.ClassContextWindow},
		{name: "SGLang: a flat error", status: 400, raw: `{"object":"error","message":"The input is longer than the model's context length (1024 tokens).","type":"BadRequestError","param":null,"code":400}`,
			history: "400", class: schema.ClassContextWindow, message: "1024 tokens", ends: schema.ClassContextWindow},
		{name: "llama.cpp: too long", status: 400, raw: `{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}`,
			history: "400", class: schema.ClassContextWindow, message: "available context size", ends: schema.ClassContextWindow},
		{name: "llama.cpp: still loading", status: 503, raw: `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`, times: 1,
			history: "503 200", class: schema.ClassTransient, message: "Loading model"},
		{name: "Ollama: no index in tool calls, no finish_reason", raw: `{"choices":[{"message":{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":""}]}`,
			history: "200"},
		{name: "Ollama: unknown model", status: 404, raw: `{"error":{"message":"model \"llama9\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`,
			history: "404", class: schema.ClassUpstreamFatal, message: "try pulling it", ends: schema.ClassUpstreamFatal},
		{name: "Gemini: errors in an array", status: 400, raw: `[{"error":{"code":400,"message":"Invalid JSON payload received.","status":"INVALID_ARGUMENT"}}]`,
			history: "400", class: schema.ClassRequestFatal, message: "Invalid JSON payload", ends: schema.ClassRequestFatal},
		{name: "Gemini: quota of a minute", status: 429, times: 1, raw: `[{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.05s"}]}}]`,
			history: "429 200", class: schema.ClassRateLimited, message: "Quota exceeded"},
		{name: "OpenRouter: an error beside choices", times: 1, raw: `{"id":"gen-1","choices":[{"message":{"role":"assistant","content":"par"}}],"error":{"code":502,"message":"Provider returned error","metadata":{"raw":"upstream died","provider_name":"X"}}}`,
			history: "200 200", class: schema.ClassTransient, message: "upstream died"},
		{name: "OpenRouter: an error inside a choice", times: 1, raw: `{"choices":[{"finish_reason":"error","message":{"content":""},"error":{"code":504,"message":"Timed out"}}]}`,
			history: "200 200", class: schema.ClassTransient, message: "Timed out"},
		{name: "a page of HTML from a proxy", status: 502, times: 1, raw: "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body></html>", headers: map[string]string{"Content-Type": "text/html"},
			history: "502 200", class: schema.ClassTransient, message: "502 Bad Gateway"},
		{name: "a page of HTML with 200", times: 1, raw: "<html><head><title>Sign in</title></head></html>", headers: map[string]string{"Content-Type": "text/html"},
			history: "200 200", class: schema.ClassTransient, message: "Sign in"},
		{name: "FastAPI: what is wrong where", status: 422, raw: `{"detail":[{"loc":["body","messages"],"msg":"field required","type":"value_error.missing"}]}`,
			history: "422", class: schema.ClassRequestFatal, message: "body.messages: field required", ends: schema.ClassRequestFatal},
		{name: "nothing at all", times: 1, raw: "", history: "200 200", class: schema.ClassTransient, message: "empty"},
		{name: "no choices", times: 1, raw: `{"choices":[]}`, history: "200 200", class: schema.ClassTransient, message: "no choices"},
		{name: "arguments as an object", raw: `{"choices":[{"message":{"tool_calls":[{"function":{"arguments":{"a":1.50}}}]}}]}`, history: "200"},
		{name: "a float in created, reasoning under two names, no usage", raw: `{"created":1.7e9,"choices":[{"message":{"reasoning":"a","reasoning_content":"b"}}]}`, history: "200"},
		{name: "a byte order mark", raw: "\ufeff" + `{"choices":[{}]}`, history: "200"},
		{name: "line ends of Windows", raw: "{\r\n\"choices\":\r\n[{}]}\r\n", history: "200"},
		{name: "Together: too long is a 403", status: 403, raw: `{"error":{"message":"Input validation error","type":"invalid_request_error","code":"context_length_exceeded"}}`,
			history: "403", class: schema.ClassContextWindow, message: "Input validation error", ends: schema.ClassContextWindow},
		{name: "Azure: filtered", status: 400, raw: `{"error":{"message":"The response was filtered","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`,
			history: "400", class: schema.ClassContentPolicy, message: "filtered", ends: schema.ClassContentPolicy},
		{name: "Azure: no such deployment", status: 404, raw: `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`,
			history: "404", class: schema.ClassUpstreamFatal, message: "does not exist", ends: schema.ClassUpstreamFatal},
		{name: "Anthropic: overloaded", status: 529, times: 1, raw: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
			history: "529 200", class: schema.ClassTransient, message: "Overloaded"},
		{name: "OpenAI: no money left", status: 429, raw: `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`,
			history: "429", class: schema.ClassUpstreamFatal, message: "current quota", ends: schema.ClassUpstreamFatal},
		{name: "OpenAI: x-should-retry says no", status: 503, raw: `{"error":{"message":"no"}}`, headers: map[string]string{"x-should-retry": "false"},
			history: "503", class: schema.ClassTransient, ends: schema.ClassTransient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			script, err := json.Marshal(map[string]any{"status": max(tt.status, 200), "raw": tt.raw, "times": tt.times, "headers": tt.headers, "key": tt.name})
			if err != nil {
				t.Fatal(err)
			}
			r := start(t, &Config{Deployments: []Deployment{on(srv, "a", "g")}, CooldownTime: new(time.Duration)}, noWait)
			out := r.Do(background, ask1("g", tt.name, string(script)))
			wantConsistent(t, out)
			var history []string
			for _, a := range out.Attempts {
				history = append(history, fmt.Sprint(a.StatusCode))
			}
			if got := strings.Join(history, " "); got != tt.history || srv.CallsOf(tt.name) != len(history) {
				t.Errorf("attempts %s, want %s; %d calls", got, tt.history, srv.CallsOf(tt.name))
			}
			first := out.Attempts[0].Error
			if tt.class == "" && first != nil || tt.class != "" && (first == nil || first.Class != tt.class || !strings.Contains(first.Message, tt.message)) {
				t.Errorf("first attempt: %v, want %s, %q", first, tt.class, tt.message)
			}
			if tt.ends == "" && out.Error != nil || tt.ends != "" && (out.Error == nil || out.Error.Class != tt.ends) {
				t.Errorf("ends with %v, want %q", out.Error, tt.ends)
			}
			if tt.class == "" && string(out.Response.Body) != strings.TrimPrefix(tt.raw, "\ufeff") {
				t.Errorf("answer %q", out.Response.Body)
			}
		})
	}
}
