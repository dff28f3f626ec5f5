package router

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pelton/schema"
)

// recorded is an answer of a real server.
type recorded struct {
	name   string
	status int
	header string // NAME: VALUE, separated by newlines
	body   string
	stream bool // of a request that was to be streamed

	class schema.Class
	code  string
	calls int // with two retries
}

// What real servers answer when something is wrong, as recorded, what class it is
// of, and how often it is asked for again.
var recordedAnswers = []recorded{
	{name: "LiteLLM: unknown model", status: 400, body: `{"error":{"message":"/chat/completions: Invalid model name passed in model=x. Call ` + "`/v1/models`" + ` to view available models for your key.","type":"invalid_request_error","param":null,"code":"400"}}`,
		class: schema.ClassUpstreamFatal, code: "400", calls: 1},
	{name: "LiteLLM: model unknown behind it", status: 404, body: `{"error":{"message":"litellm.NotFoundError: NotFoundError: OpenAIException - The model x does not exist","type":"invalid_request_error","param":null,"code":"404"}}`,
		class: schema.ClassUpstreamFatal, code: "404", calls: 1},
	{name: "LiteLLM: wrong key, no database", status: 400, body: `{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}`,
		class: schema.ClassUpstreamFatal, code: "400", calls: 1},
	{name: "LiteLLM: no key", status: 401, body: `{"error":{"message":"Authentication Error, No api key passed in.","type":"auth_error","param":"None","code":"401"}}`,
		class: schema.ClassUpstreamFatal, code: "401", calls: 1},
	{name: "LiteLLM: its own timeout", status: 408, body: `{"error":{"message":"litellm.Timeout: APITimeoutError - Request timed out.","type":"invalid_request_error","param":null,"code":"408"}}`,
		class: schema.ClassTransient, code: "408", calls: 3},
	{name: "LiteLLM: dead upstream", status: 500, body: `{"error":{"message":"litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.","type":"internal_server_error","param":null,"code":"500"}}`,
		class: schema.ClassTransient, code: "500", calls: 3},
	{name: "LiteLLM: too long", status: 400, body: `{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - This model's maximum context length is 64 tokens.","type":"invalid_request_error","param":null,"code":"400"}}`,
		class: schema.ClassContextWindow, code: "400", calls: 1},
	{name: "Portkey: no provider", status: 400, body: `{"status":"failure","message":"Either x-portkey-config or x-portkey-provider header is required"}`,
		class: schema.ClassUpstreamFatal, calls: 1},
	{name: "Portkey: unknown provider", status: 400, body: `{"status":"failure","message":"Invalid provider passed"}`,
		class: schema.ClassUpstreamFatal, calls: 1},
	{name: "Portkey: dead host", status: 500, body: `{"html-message":"Message: fetch failed Cause: Error: connect ECONNREFUSED 127.0.0.1:1"}`,
		class: schema.ClassTransient, calls: 3},
	{name: "Bifrost: unknown provider", status: 400, body: `{"is_bifrost_error":false,"status_code":400,"error":{"message":"failed to get config for provider nope: provider nope not configured","error":"provider nope not configured"},"extra_fields":{}}`,
		class: schema.ClassUpstreamFatal, calls: 1},
	{name: "Bifrost: no provider in the model", status: 400, body: `{"is_bifrost_error":false,"status_code":400,"error":{"message":"model must be in the format 'provider/model'"},"extra_fields":{}}`,
		class: schema.ClassUpstreamFatal, calls: 1},
	{name: "llm-d: too long", status: 400, body: `{"error":{"message":"This model's maximum context length is 64 tokens. However, you requested 106 tokens (6 in the messages, 100 in the completion). Please reduce the length of the messages or completion.","type":"BadRequestError","param":null,"code":400}}`,
		class: schema.ClassContextWindow, code: "400", calls: 1},
	{name: "llm-d: unknown model", status: 404, body: `{"error":{"message":"The model 'x' does not exist.","type":"NotFoundError","param":null,"code":404}}`,
		class: schema.ClassUpstreamFatal, code: "404", calls: 1},
	{name: "vLLM: prompt too long", status: 400, body: `{"error":{"message":"This model's maximum context length is 128 tokens. However, your prompt contains at least 129 input tokens, which exceeds this limit even without any output tokens.","type":"BadRequestError","param":"input_tokens","code":400}}`,
		class: schema.ClassContextWindow, code: "400", calls: 1},
	{name: "vLLM: max_tokens too high", status: 400, body: `{"error":{"message":"max_tokens=2000 cannot be greater than max_model_len=128","type":"BadRequestError","param":"max_tokens","code":400}}`,
		class: schema.ClassContextWindow, code: "400", calls: 1},
	{name: "vLLM: stopped", status: 500, body: `{"error":{"message":"EngineCore encountered an issue. See stack trace (above) for the root cause.","type":"InternalServerError","param":null,"code":500}}`,
		class: schema.ClassTransient, code: "500", calls: 3},
	{name: "llama.cpp: too long", status: 400, body: `{"error":{"code":400,"message":"request (603 tokens) exceeds the available context size (256 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":603,"n_ctx":256}}`,
		class: schema.ClassContextWindow, code: "400", calls: 1},
	{name: "llama.cpp: embeddings switched off", status: 501, body: `{"error":{"code":501,"message":"This server does not support embeddings. Start it with ` + "`--embeddings`" + `","type":"not_supported_error"}}`,
		class: schema.ClassUpstreamFatal, code: "501", calls: 1},
	{name: "llama.cpp: input above the batch", status: 500, body: `{"error":{"code":500,"message":"input (2001 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}`,
		class: schema.ClassContextWindow, code: "500", calls: 1},
	{name: "llama-cpp-python: too long, streamed", status: 200, header: "Content-Type: text/event-stream", stream: true,
		class: schema.ClassTransient, code: codeEmpty, calls: 3},
	{name: "a stream with nothing but its end", status: 200, header: "Content-Type: text/event-stream", stream: true, body: "data: [DONE]\n\n",
		class: schema.ClassTransient, calls: 3},
	{name: "a stream of comments", status: 200, header: "Content-Type: text/event-stream", stream: true, body: ": ping\n\n: ping\n\n",
		class: schema.ClassTransient, calls: 3},
	{name: "a stream of chunks without choices", status: 200, header: "Content-Type: text/event-stream", stream: true,
		body:  `data: {"id":"c","object":"chat.completion.chunk","choices":[]}` + "\n\ndata: [DONE]\n\n",
		class: schema.ClassTransient, calls: 3},
	{name: "transformers serve: unknown model", status: 500, header: "Content-Type: text/plain", body: "Internal Server Error",
		class: schema.ClassTransient, code: "http_500", calls: 3},
	{name: "infinity: with /v1", status: 404, body: `{"detail":"Not Found"}`,
		class: schema.ClassUpstreamFatal, code: "http_404", calls: 1},
	{name: "infinity: too many inputs", status: 422, body: `{"detail":[{"type":"too_long","loc":["body","input"],"msg":"List should have at most 2048 items"}]}`,
		class: schema.ClassRequestFatal, calls: 1},
	{name: "vllm-router: no worker", status: 503, header: "Content-Type: text/plain", body: "No available workers (all circuits open or unhealthy)",
		class: schema.ClassTransient, code: "http_503", calls: 3},
}

func TestServers(t *testing.T) {
	for _, tt := range recordedAnswers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			r, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
				calls.Add(1)
				for line := range strings.Lines(tt.header) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			out := r.Do(background, Request{Body: []byte(fmt.Sprintf(`{"model":"m","messages":[],"stream":%t}`, tt.stream))})
			wantConsistent(t, out)
			if out.Error == nil || out.Error.Class != tt.class || tt.code != "" && out.Error.Code != tt.code || int(calls.Load()) != tt.calls {
				t.Errorf("%v, %d calls; want %s (%s), %d", out.Error, calls.Load(), tt.class, tt.code, tt.calls)
			}
		})
	}
}

// What they answer when they are full, and how long they are let alone for it.
func TestFullServers(t *testing.T) {
	for _, tt := range []struct {
		recorded
		wait time.Duration // until the second call; 0: as long as the back-off says
	}{
		{recorded{name: "LiteLLM: the backend's word", status: 429, header: "llm_provider-retry-after: 7\nx-ratelimit-remaining-requests: 0", body: `{"error":{"message":"litellm.RateLimitError: slow down","type":"throttling_error","param":null,"code":"429"}}`}, 7 * time.Second},
		{recorded{name: "LiteLLM: all cool down", status: 429, header: "retry-after: 5", body: `{"error":{"message":"No deployments available for selected model, Try again in 7 seconds","type":"all_deployments_in_cooldown","param":null,"code":"429"}}`}, 5 * time.Second},
		{recorded{name: "LiteLLM: backend overloaded", status: 503, header: "llm_provider-retry-after: 3", body: `{"error":{"message":"litellm.ServiceUnavailableError: busy","type":"internal_server_error","param":null,"code":"503"}}`}, 3 * time.Second},
		{recorded{name: "vllm-router: full", status: 408}, 0},
		{recorded{name: "llm-d: full", status: 429, body: `{"error":{"message":"queue is full","type":"RateLimitError","param":null,"code":429}}`}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for line := range strings.Lines(tt.header) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				h.Set(name, value)
			}
			calls := 0
			answer := func(req *http.Request) (*http.Response, error) {
				if calls++; calls > 1 {
					return status(200)(req)
				}
				return answerWith(tt.status, h, tt.body), nil
			}
			req := chat("g")
			req.NoPark = true
			inWorld(t, Config{}, map[string]respond{"a": answer}, func(t *testing.T, r *Router, w *world) {
				out := r.Do(background, req)
				if out.Error != nil || len(out.Attempts) != 2 {
					t.Fatalf("%v, %+v", out.Error, out.Attempts)
				}
				want := schema.ClassRateLimited
				if tt.status == 503 {
					want = schema.ClassTransient
				}
				if got := out.Attempts[0].Error.Class; got != want {
					t.Errorf("%s, want %s", got, want)
				}
				if waited := w.at()[1]; waited < tt.wait || waited > tt.wait+time.Second {
					t.Errorf("waited %v, want %v", waited, tt.wait)
				}
			})
		})
	}
}
