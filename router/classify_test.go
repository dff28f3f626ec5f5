package router

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"pelton/router/internal/ending"
	"pelton/router/internal/scrub"
	"pelton/router/protocol"
	"pelton/schema"
)

// The words of real servers, by status. A line without a class is a success.
var answers = []struct {
	name     string
	endpoint schema.Endpoint
	status   int
	header   http.Header
	body     string
	class    schema.Class
	code     string
	message  string // a part of it
	retry    bool
}{
	// Successes.
	{name: "chat", status: 200, body: okChat},
	{name: "chat with BOM removed and space around", status: 200, body: "\n " + okChat + "\n\n"},
	{name: "error null", status: 200, body: `{"error":null,"choices":[{}]}`},
	{name: "the word error in an answer", status: 200, body: `{"choices":[{"message":{"content":"an \"error\": {}"},"finish_reason":"stop","error":null}]}`},
	{name: "responses", endpoint: schema.Responses, status: 200, body: `{"object":"response","status":"completed","error":null,"output":[{"type":"message"}]}`},
	{name: "responses in the background", endpoint: schema.Responses, status: 200, body: `{"object":"response","status":"queued","error":null,"output":[]}`},
	{name: "embeddings", endpoint: schema.Embeddings, status: 200, body: `{"object":"list","data":[{"embedding":[0.1]}]}`},
	{name: "moderations", endpoint: schema.Moderations, status: 200, body: `{"results":[{"flagged":false}]}`},
	{name: "completions", endpoint: schema.Completions, status: 201, body: `{"choices":[{"text":"x"}]}`},

	// A 200 that is none.
	{name: "no choices", status: 200, body: `{"choices":[]}`, class: schema.ClassTransient, code: "empty_answer", message: "no choices", retry: true},
	{name: "choices null", status: 200, body: `{"choices":null,"id":"x"}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "choices no array", status: 200, body: `{"choices":{"0":{}}}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "a choice that is null", status: 200, body: `{"choices":[null]}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "a message that is null", status: 200, body: `{"choices":[{"index":0,"message":null,"finish_reason":"stop"}]}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "one of two is an answer", status: 200, body: `{"choices":[null,{"message":{"content":"x","refusal":null},"finish_reason":"stop"}]}`},
	{name: "content null with tool calls", status: 200, body: `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a"}]},"finish_reason":"tool_calls"}]}`},
	{name: "filtered, nothing said", status: 200, body: `{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"content_filter"}]}`, class: schema.ClassContentPolicy, code: "content_filter"},
	{name: "filtered, an empty text", status: 200, body: `{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}]}`, class: schema.ClassContentPolicy, code: "content_filter"},
	{name: "filtered, of a completion", endpoint: schema.Completions, status: 200, body: `{"choices":[{"text":"","finish_reason":"content_filter"}]}`, class: schema.ClassContentPolicy, code: "content_filter"},
	{name: "filtered, of a response", endpoint: schema.Responses, status: 200, body: `{"object":"response","status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[{"type":"reasoning"}]}`, class: schema.ClassContentPolicy, code: "content_filter"},
	{name: "filtered, with a part said", status: 200, body: `{"choices":[{"message":{"content":"so far"},"finish_reason":"content_filter"}]}`},
	{name: "filtered, one of two", status: 200, body: `{"choices":[{"message":{"content":""},"finish_reason":"content_filter"},{"message":{"content":"x"},"finish_reason":"stop"}]}`},
	{name: "empty object", status: 200, body: `{}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "empty body", status: 200, body: ``, class: schema.ClassTransient, code: "empty_answer", message: "is empty", retry: true},
	{name: "only null", status: 200, body: `null`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "a string", status: 200, body: `"hello"`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "truncated", status: 200, body: okChat[:40], class: schema.ClassTransient, code: "invalid_answer", message: "no JSON", retry: true},
	{name: "HTML page", status: 200, body: "<html><head><title>Welcome</title></head></html>", class: schema.ClassTransient, code: "invalid_answer", message: "Welcome", retry: true},
	{name: "no embeddings", endpoint: schema.Embeddings, status: 200, body: `{"data":[]}`, class: schema.ClassTransient, code: "empty_answer", message: "no embeddings", retry: true},
	{name: "no results", endpoint: schema.Moderations, status: 200, body: `{"results":[]}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "no output", endpoint: schema.Responses, status: 200, body: `{"choices":[{}]}`, class: schema.ClassTransient, code: "empty_answer", retry: true},
	{name: "responses failed", endpoint: schema.Responses, status: 200, body: `{"status":"failed","error":{"code":"server_error","message":"oops"},"output":[]}`, class: schema.ClassTransient, code: "server_error", message: "oops", retry: true},
	{name: "responses failed by rate", endpoint: schema.Responses, status: 200, body: `{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"},"output":[]}`, class: schema.ClassRateLimited, code: "rate_limit_exceeded", retry: true},
	{name: "responses failed without a word", endpoint: schema.Responses, status: 200, body: `{"status":"failed","error":null,"output":[]}`, class: schema.ClassTransient, message: "failed", retry: true},
	{name: "error object", status: 200, body: `{"error":{"message":"overloaded","type":"server_error"}}`, class: schema.ClassTransient, message: "overloaded", retry: true},
	{name: "error text, LM Studio", status: 200, body: `{"error":"Model is unloaded."}`, class: schema.ClassTransient, message: "Model is unloaded.", retry: true},
	{name: "wrong path, LM Studio", status: 200, body: `{"error":"Unexpected endpoint or method. (POST /chat/completions)"}`, class: schema.ClassUpstreamFatal, message: "/v1"},
	{name: "flat error, vLLM", status: 200, body: `{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}`, class: schema.ClassContextWindow, code: "400"},
	{name: "flat error without a reason", status: 200, body: `{"object":"error","message":"max_tokens must be at least 1","type":"BadRequestError","code":400}`, class: schema.ClassRequestFatal, code: "400"},
	{name: "error beside choices, OpenRouter", status: 200, body: `{"choices":[{"message":{"content":"par"}}],"error":{"code":502,"message":"Provider returned error"}}`, class: schema.ClassTransient, code: "502", retry: true},
	{name: "error inside a choice, OpenRouter", status: 200, body: `{"choices":[{"finish_reason":"error","error":{"code":429,"message":"Rate limit exceeded"}}]}`, class: schema.ClassRateLimited, code: "429", retry: true},
	{name: "a choice that ended in an error", status: 200, body: `{"choices":[{"finish_reason":"error"}]}`, class: schema.ClassTransient, message: "ended the answer", retry: true},
	{name: "another server's 401 in a 200", status: 200, body: `{"error":{"code":401,"message":"No auth credentials found"}}`, class: schema.ClassUpstreamFatal, code: "401"},
	{name: "request error in a 200", status: 200, body: `{"error":{"type":"invalid_request_error","message":"bad temperature"}}`, class: schema.ClassRequestFatal},
	{name: "error true with a message", status: 200, body: `{"error":true,"message":"went wrong"}`, class: schema.ClassTransient, message: "went wrong", retry: true},
	{name: "error type, Anthropic", status: 200, body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, class: schema.ClassTransient, message: "Overloaded", retry: true},

	// Transient.
	{name: "500", status: 500, body: `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`, class: schema.ClassTransient, code: "http_500", retry: true},
	{name: "502 HTML", status: 502, body: "<html>\n<head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>", class: schema.ClassTransient, code: "http_502", message: "502 Bad Gateway", retry: true},
	{name: "503 without title", status: 503, body: "<!DOCTYPE html><style>p{}</style><p>Back&nbsp;soon</p>", class: schema.ClassTransient, message: "Back", retry: true},
	{name: "503 text", status: 503, body: "upstream connect error\n", class: schema.ClassTransient, message: "upstream connect error", retry: true},
	{name: "503 nothing", status: 503, body: "", class: schema.ClassTransient, message: "503 Service Unavailable", retry: true},
	{name: "529", status: 529, body: `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, class: schema.ClassTransient, code: "http_529", retry: true},
	{name: "overloaded at any status", status: 400, body: `{"error":{"code":"server_is_overloaded","message":"busy"}}`, class: schema.ClassTransient, code: "server_is_overloaded", retry: true},
	{name: "408", status: 408, body: `{"error":"timeout"}`, class: schema.ClassTransient, retry: true},
	{name: "409", status: 409, body: `{"error":{"message":"conflict"}}`, class: schema.ClassTransient, retry: true},
	{name: "504 and should not", status: 504, header: http.Header{"X-Should-Retry": {"false"}}, body: `{}`, class: schema.ClassTransient},
	{name: "599", status: 599, body: "[1,2", class: schema.ClassTransient, retry: true},

	// Rate limited.
	{name: "429", status: 429, body: `{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","code":"rate_limit_exceeded"}}`, class: schema.ClassRateLimited, code: "rate_limit_exceeded", retry: true},
	{name: "429 without code", status: 429, body: `{}`, class: schema.ClassRateLimited, code: "http_429", retry: true},
	{name: "429 HTML", status: 429, body: `<h1>Too Many Requests</h1>`, class: schema.ClassRateLimited, message: "Too Many Requests", retry: true},
	{name: "429 string code, Azure", status: 429, body: `{"error":{"code":"429","message":"Requests to the API have exceeded call rate limit"}}`, class: schema.ClassRateLimited, code: "429", retry: true},
	{name: "503 slow_down", status: 503, body: `{"error":{"code":"slow_down","message":"Slow down"}}`, class: schema.ClassRateLimited, code: "slow_down", retry: true},
	{name: "429 in an array, Gemini", status: 429, body: `[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"26s"}]}}]`, class: schema.ClassRateLimited, code: "RESOURCE_EXHAUSTED", message: "current quota", retry: true},

	// This deployment serves nobody.
	{name: "401", status: 401, body: `{"error":{"message":"Incorrect API key provided: sk-te**cdef.","type":"invalid_request_error","code":"invalid_api_key"}}`, class: schema.ClassUpstreamFatal, code: "invalid_api_key"},
	{name: "401 text", status: 401, body: `Unauthorized`, class: schema.ClassUpstreamFatal, code: "http_401"},
	{name: "402, DeepSeek", status: 402, body: `{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}`, class: schema.ClassUpstreamFatal},
	{name: "403 country", status: 403, body: `{"error":{"code":"unsupported_country_region_territory","message":"Country not supported"}}`, class: schema.ClassUpstreamFatal, code: "unsupported_country_region_territory"},
	{name: "404 model", status: 404, body: `{"error":{"message":"The model 'x' does not exist or you do not have access to it.","type":"invalid_request_error","code":"model_not_found"}}`, class: schema.ClassUpstreamFatal, code: "model_not_found"},
	{name: "404 Azure", status: 404, body: `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, class: schema.ClassUpstreamFatal, code: "DeploymentNotFound"},
	{name: "404 Ollama", status: 404, body: `{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`, class: schema.ClassUpstreamFatal, code: "http_404"},
	{name: "404 FastAPI", status: 404, body: `{"detail":"Not Found"}`, class: schema.ClassUpstreamFatal, message: "Not Found"},
	{name: "405", status: 405, body: `{"detail":"Method Not Allowed"}`, class: schema.ClassUpstreamFatal},
	{name: "429 quota", status: 429, body: `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, class: schema.ClassUpstreamFatal, code: "insufficient_quota"},
	{name: "429 quota in the type only", status: 429, body: `{"error":{"message":"quota","type":"insufficient_quota","code":null}}`, class: schema.ClassUpstreamFatal},
	{name: "429 billing limit", status: 429, body: `{"error":{"code":"billing_hard_limit_reached","message":"Billing hard limit has been reached"}}`, class: schema.ClassUpstreamFatal},
	{name: "402 quota", status: 402, body: `{"error":{"code":"credit_balance_exhausted","message":"x"}}`, class: schema.ClassUpstreamFatal, code: "credit_balance_exhausted"},
	{name: "400 credit, Anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, class: schema.ClassUpstreamFatal},
	{name: "400 key, Gemini", status: 400, body: `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]`, class: schema.ClassUpstreamFatal, code: "INVALID_ARGUMENT"},
	{name: "400 model, DeepSeek", status: 400, body: `{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`, class: schema.ClassUpstreamFatal},
	{name: "redirect", status: 307, header: http.Header{"Location": {"https://new.example/v1/chat/completions"}}, body: ``, class: schema.ClassUpstreamFatal, message: "https://new.example"},
	{name: "401 naming the context", status: 401, body: `{"error":{"message":"no access to this context window"}}`, class: schema.ClassUpstreamFatal},

	// No deployment would take it.
	{name: "400", status: 400, body: `{"error":{"message":"Unsupported parameter: 'max_tokens'","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}`, class: schema.ClassRequestFatal, code: "unsupported_parameter"},
	{name: "400 text", status: 400, body: `{"error":"prompt is required"}`, class: schema.ClassRequestFatal, code: "http_400", message: "prompt is required"},
	{name: "400 and should", status: 400, header: http.Header{"X-Should-Retry": {"true"}}, body: `{"error":"hiccup"}`, class: schema.ClassTransient, retry: true},
	{name: "413", status: 413, body: `<title>413 Request Entity Too Large</title>`, class: schema.ClassRequestFatal, message: "413 Request Entity"},
	{name: "422 FastAPI", status: 422, body: `{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","type":"value_error.missing"},{"loc":["body","n"],"msg":"too big","type":"value_error"}]}`, class: schema.ClassRequestFatal, message: "body.messages.0.role: field required; body.n: too big"},
	{name: "422 message list", status: 422, body: `{"error":{"message":["a is wrong","b is wrong"],"type":"x"}}`, class: schema.ClassRequestFatal, message: "a is wrong; b is wrong"},
	{name: "422 message object, Mistral", status: 422, body: `{"object":"error","message":{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required"}]},"type":"invalid_request_error","code":null}`, class: schema.ClassRequestFatal, message: "body.model: Field required"},
	{name: "418", status: 418, body: ``, class: schema.ClassRequestFatal, message: "418 I'm a teapot"},

	{name: "404 item", status: 404, body: `{"error":{"message":"Item with id 'rs_68f' not found. Items are not persisted when store is set to false.","type":"invalid_request_error","param":"input","code":null}}`, class: schema.ClassRequestFatal},
	{name: "404 item, without a param", status: 404, body: `{"error":{"message":"Item with id 'rs_68f' not found.","type":"invalid_request_error","param":null,"code":null}}`, class: schema.ClassRequestFatal},
	{name: "404 earlier response", status: 404, body: `{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}`, class: schema.ClassRequestFatal},
	{name: "404 file", status: 404, body: `{"error":{"message":"No such File object: file-abc","type":"invalid_request_error","param":"id","code":null}}`, class: schema.ClassRequestFatal},
	{name: "404 file, without a param", status: 404, body: `{"error":{"message":"No such file object: file-abc","type":"invalid_request_error"}}`, class: schema.ClassRequestFatal},
	{name: "404 tools, OpenRouter", status: 404, body: `{"error":{"message":"No endpoints found that support tool use.","code":404}}`, class: schema.ClassRequestFatal},

	// By its hundred, or by the type where nobody knows the status.
	{name: "501, llama.cpp", status: 501, body: `{"error":{"code":501,"message":"This server does not support embeddings. Start it with --embeddings","type":"not_supported_error"}}`, class: schema.ClassUpstreamFatal},
	{name: "505", status: 505, body: "", class: schema.ClassUpstreamFatal},
	{name: "499", status: 499, body: ``, class: schema.ClassTransient, message: "499", retry: true},
	{name: "498, Groq", status: 498, body: `{"error":{"message":"Flex tier capacity exceeded","type":"flex_capacity_exceeded","code":"capacity_exceeded"}}`, class: schema.ClassTransient, retry: true},
	{name: "498 token, Cohere", status: 498, body: `{"message":"invalid token"}`, class: schema.ClassUpstreamFatal, code: "invalid_api_key"},
	{name: "424, Groq", status: 424, body: `{"error":{"message":"Failed to generate","type":"dependency_error"}}`, class: schema.ClassTransient, retry: true},
	{name: "520, Cloudflare", status: 520, body: "<title>Web server returned an unknown error</title>", class: schema.ClassTransient, retry: true},
	{name: "477 of nobody", status: 477, body: "", class: schema.ClassRequestFatal},
	{name: "477 with a server's type", status: 477, body: `{"error":{"type":"server_error","message":"x"}}`, class: schema.ClassTransient, retry: true},
	{name: "566 of nobody", status: 566, body: "", class: schema.ClassTransient, retry: true},
	{name: "566 with a request's type", status: 566, body: `{"error":{"type":"invalid_request_error","message":"x"}}`, class: schema.ClassRequestFatal},
	{name: "410, a retired model", status: 410, body: `{"error":{"message":"The model gpt-3.5-turbo-0301 has been deprecated","code":410}}`, class: schema.ClassUpstreamFatal},
	{name: "410 text", status: 410, body: `Gone`, class: schema.ClassUpstreamFatal},
	{name: "408 of a full router", status: 408, body: ``, class: schema.ClassRateLimited, retry: true},

	// No money, wherever it stands.
	{name: "400 credit with a code", status: 400, body: `{"error":{"code":"credit_balance_too_low","message":"x"}}`, class: schema.ClassUpstreamFatal, code: "credit_balance_too_low"},
	{name: "403 credit", status: 403, body: `{"error":{"message":"Your credit balance is too low"}}`, class: schema.ClassUpstreamFatal, code: "insufficient_quota"},
	{name: "402 credit, OpenRouter", status: 402, body: `{"error":{"code":402,"message":"This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 2345"}}`, class: schema.ClassUpstreamFatal},
	{name: "429 credit", status: 429, body: `{"error":{"message":"Insufficient balance. Please recharge."}}`, class: schema.ClassUpstreamFatal},
	{name: "400 no database, LiteLLM", status: 400, body: `{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}`, class: schema.ClassUpstreamFatal},
	{name: "400 provider, Bifrost", status: 400, body: `{"is_bifrost_error":false,"error":{"message":"failed to get config for provider nope: provider nope not configured"}}`, class: schema.ClassUpstreamFatal},
	{name: "400 provider, Portkey", status: 400, body: `{"status":"failure","message":"Either x-portkey-config or x-portkey-provider header is required"}`, class: schema.ClassUpstreamFatal},

	// More than the limit.
	{name: "429 of one too long", status: 429, body: `{"error":{"message":"Request too large for the context window: reduce the length of the messages","code":"rate_limit_exceeded"}}`, class: schema.ClassContextWindow},
	{name: "429 that never fits", status: 429, header: http.Header{"Retry-After": {"60"}}, body: `{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 342389. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, class: schema.ClassContextWindow},
	{name: "413 that never fits, Groq", status: 413, body: "{\"error\":{\"message\":\"Request too large for model `llama` in organization `org` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 6407, please reduce your message size and try again.\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}", class: schema.ClassContextWindow},
	{name: "429 by its numbers", status: 429, body: `{"error":{"message":"Rate limit reached on tokens per min (TPM): Limit: 8,000, Used: 0, Requested: ~12,500"}}`, class: schema.ClassContextWindow},
	{name: "429 that fits later", status: 429, body: `{"error":{"message":"Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s."}}`, class: schema.ClassRateLimited, retry: true},
	{name: "413 of bytes", status: 413, body: `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, class: schema.ClassRequestFatal},

	// Too long.
	{name: "400 output, vLLM", status: 400, body: `{"error":{"message":"max_tokens=2000 cannot be greater than max_model_len=max_total_tokens=128","type":"BadRequestError","code":400}}`, class: schema.ClassContextWindow},
	{name: "500 batch, llama.cpp", status: 500, body: `{"error":{"code":500,"message":"input (2001 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}`, class: schema.ClassContextWindow},
	{name: "400 context", status: 400, body: `{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, class: schema.ClassContextWindow, code: "context_length_exceeded"},
	{name: "403 context, Together", status: 403, body: `{"error":{"message":"Input validation error: ` + "`inputs` tokens + `max_new_tokens`" + ` must be <= 4097","type":"invalid_request_error","code":"context_length_exceeded"}}`, class: schema.ClassContextWindow},
	{name: "403 context without code", status: 403, body: `{"error":{"message":"Input validation error: ` + "`inputs` tokens + `max_new_tokens`" + ` must be <= 4097"}}`, class: schema.ClassContextWindow},
	{name: "400 context, Anthropic", status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, class: schema.ClassContextWindow},
	{name: "400 context, llama.cpp", status: 400, body: `{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_ctx":4096}}`, class: schema.ClassContextWindow},
	{name: "500 context", status: 500, body: `{"error":{"code":500,"message":"the request exceeds the available context size. try increasing it","type":"server_error"}}`, class: schema.ClassContextWindow},
	{name: "nested by a proxy, OpenRouter", status: 400, body: `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}","provider_name":"X"}}}`, class: schema.ClassContextWindow, message: "Provider returned error: too long"},

	// Refused for its content.
	{name: "400 policy", status: 400, body: `{"error":{"message":"Your request was rejected","code":"content_policy_violation"}}`, class: schema.ClassContentPolicy, code: "content_policy_violation"},
	{name: "400 filter, Azure", status: 400, body: `{"error":{"message":"The response was filtered","param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, class: schema.ClassContentPolicy, code: "content_filter"},
	{name: "400 inner code only, Azure", status: 400, body: `{"error":{"message":"filtered","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, class: schema.ClassContentPolicy},
	{name: "400 flagged", status: 400, body: `{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","code":"invalid_prompt","type":"invalid_request_error"}}`, class: schema.ClassContentPolicy, code: "invalid_prompt"},
	{name: "403 moderation, OpenRouter", status: 403, body: `{"error":{"message":"x requires moderation on y. Your input was flagged","code":403}}`, class: schema.ClassContentPolicy},
}

func TestClassify(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			v := judge("https://api.example/v1", tt.endpoint, tt.status, tt.header, tt.body)
			if tt.class == "" {
				if v.err != nil {
					t.Fatalf("got %v, want success", v.err)
				}
				return
			}
			if v.err == nil {
				t.Fatalf("got success, want %s", tt.class)
			}
			if v.err.Class != tt.class || v.retry != tt.retry {
				t.Errorf("got %v, retry %v; want %s, retry %v", v.err, v.retry, tt.class, tt.retry)
			}
			if tt.code != "" && v.err.Code != tt.code {
				t.Errorf("code %q, want %q", v.err.Code, tt.code)
			}
			if !strings.Contains(v.err.Message, tt.message) || v.err.Message == "" {
				t.Errorf("message %q lacks %q", v.err.Message, tt.message)
			}
			if v.err.StatusCode != tt.status {
				t.Errorf("status %d, want %d", v.err.StatusCode, tt.status)
			}
		})
	}
}

func TestClassifyKeepsWhatTheErrorSays(t *testing.T) {
	v := judge("http://h/v1", "", 400, nil, `{"error":{"message":"m","type":"invalid_request_error","param":"temperature","code":"c"},"usage":{"prompt_tokens":3}}`)
	want := schema.Error{Class: schema.ClassRequestFatal, Code: "c", Type: "invalid_request_error", Message: "m", Param: "temperature", StatusCode: 400}
	if *v.err != want {
		t.Errorf("got %+v, want %+v", *v.err, want)
	}
	if v.usage == nil || v.usage.PromptTokens != 3 {
		t.Errorf("usage of a failure: %+v", v.usage)
	}
}

func TestClassifyRetryDelayInBody(t *testing.T) {
	for _, tt := range answers {
		if tt.name == "429 in an array, Gemini" {
			if v := judge("http://h/v1", "", 429, nil, tt.body); v.after != 26*time.Second {
				t.Errorf("after %v, want 26s", v.after)
			}
		}
	}
}

func TestHintAtMissingVersion(t *testing.T) {
	for base, want := range map[string]bool{
		"http://h:8000": true, "http://h:8000/v1": false, "https://h/api/v3": false,
		"https://generativelanguage.googleapis.com/v1beta/openai": false, "http://h/vllm": true,
	} {
		if got := strings.Contains(judge(base, "", 404, nil, "404 page not found").err.Message, "/v1: is it complete?"); got != want {
			t.Errorf("%s: hint %v, want %v", base, got, want)
		}
	}
	if v := judge("http://h", "", 404, nil, `{"error":{"message":"model not found","code":"model_not_found"}}`); strings.Contains(v.err.Message, "complete") {
		t.Errorf("a server that knows models gets the hint: %s", v.err.Message)
	}
}

func TestTidyBoundsAndScrubs(t *testing.T) {
	e := &schema.Error{Message: "bad\nkey " + testKey + strings.Repeat("ü", 5000), Code: testKey + "\x00"}
	scrub.New(testKey).Tidy(e)
	if len(e.Message) > protocol.MaxMessage || strings.Contains(e.Message, testKey) || !strings.HasPrefix(e.Message, "bad key [redacted]ü") {
		t.Errorf("%d bytes: %.60q", len(e.Message), e.Message)
	}
	if e.Code != "[redacted]" {
		t.Errorf("code %q", e.Code)
	}
}

func TestClassifyTransport(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"refused":     {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "cannot reach api.example: connection refused"},
		"no host":     {dial(&net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}), "no such host (is api_base right?)"},
		"no DNS":      {dial(&net.DNSError{Err: "server misbehaving", Name: "api.example"}), "could not be looked up"},
		"reset":       {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "api.example closed the connection"},
		"EOF":         {io.EOF, "closed the connection without an answer"},
		"authority":   {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "not trusted"},
		"hostname":    {&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}}, "another host"},
		"expired":     {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}}, "not valid"},
		"no TLS":      {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "does not speak TLS"},
		"plain HTTP":  {errors.New("http: server gave HTTP response to HTTPS client"), "http://"},
		"TLS alert":   {tls.AlertError(40), "TLS failed"},
		"timeout":     {dial(os.ErrDeadlineExceeded), "no connection in time"},
		"proxy":       {&net.OpError{Op: "proxyconnect", Err: errors.New("refused")}, "the proxy failed"},
		"other":       {errors.New("bad luck"), "cannot reach api.example: bad luck"},
		"wrapped EOF": {fmt.Errorf("http: %w", io.ErrUnexpectedEOF), "closed the connection"},
	} {
		v := classify(reply{host: "api.example", err: tt.err})
		if v.err.Class != schema.ClassTransient || v.err.Code != schema.CodeConnection || !v.retry || !strings.Contains(v.err.Message, tt.want) {
			t.Errorf("%s: %v", name, v.err)
		}
	}
	v := classify(reply{host: "api.example", Reply: protocol.Reply{Status: 200}, err: io.ErrUnexpectedEOF})
	if v.err.StatusCode != 200 || !strings.Contains(v.err.Message, "broke off its answer") {
		t.Errorf("broken off: %+v", v.err)
	}
}

func TestClassifyOwnEnd(t *testing.T) {
	given := &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "deadline"}
	for name, tt := range map[string]struct {
		cause error
		class schema.Class
		retry bool
	}{
		"cancelled":       {context.Canceled, schema.ClassCancelled, false},
		"caller deadline": {context.DeadlineExceeded, schema.ClassTimeout, false},
		"request timeout": {&ending.TimeUp{After: time.Second}, schema.ClassTimeout, false},
		"attempt timeout": {&ending.TimeUp{After: time.Second, Attempt: true}, schema.ClassTransient, true},
		"given":           {given, schema.ClassExpired, false},
		"given, wrapped":  {fmt.Errorf("x: %w", given), schema.ClassExpired, false},
		"unknown":         {errors.New("x"), schema.ClassCancelled, false},
	} {
		v := classify(reply{err: context.Canceled, ended: tt.cause})
		if v.err.Class != tt.class || v.retry != tt.retry {
			t.Errorf("%s: %v, retry %v", name, v.err, v.retry)
		}
	}
}
