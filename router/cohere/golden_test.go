package cohere

import (
	"strings"
	"testing"

	"pelton/router/internal/golden"
	"pelton/router/protocol"
	"pelton/schema"
)

type object = golden.Object

// Where LiteLLM is wrong, and what is right there.
var suite = golden.Suite{
	Patterns: []string{"cohere/*.json"},
	Start: func(_ *testing.T, c *golden.Case, u protocol.Upstream) (protocol.Protocol, string, error) {
		name := c.Model[strings.LastIndexByte(c.Model, '/')+1:]
		u.Model = name
		p, err := New(u)
		return p, name, err
	},
	Wants: map[string]golden.Want{
		"cohere/019": {Why: "sound is refused"},
		"cohere/026": {Why: "all stops are sent", Body: func(b object) { b["stop_sequences"] = []any{"END", "\n", "x", "y", "z"} }},
		"cohere/028": {Why: "n above 1 is refused, dropped or not"},
		"cohere/029": {Why: "there is no such field", Body: func(b object) { delete(b, "num_generations") }},
		"cohere/034": {Why: "probabilities are told", Body: func(b object) { b["logprobs"] = true }},
		"cohere/038": {Why: "top_k is k there", Body: func(b object) {
			b["k"] = b["top_k"]
			delete(b, "top_k")
		}},
		"cohere/043": {Why: "NONE is sent", Body: func(b object) { b["tool_choice"] = "NONE" }},
		"cohere/044": {Why: "the one tool is sent, and must be called; its strict holds for all", Body: func(b object) {
			tool := b["tools"].([]any)[1]
			delete(tool.(object)["function"].(object), "strict")
			b["tools"], b["tool_choice"], b["strict_tools"] = []any{tool}, "REQUIRED", true
		}},
		"cohere/047": {Why: "parameters are needed", Body: withParameters},
		"cohere/052": {Why: "the picture is the user's, without a sentence; parameters are needed", Body: func(b object) {
			withParameters(b)
			message := b["messages"].([]any)[3].(object)
			message["content"] = message["content"].([]any)[1:]
		}},
		"cohere/055": {Why: "arguments that are no JSON are refused"},
		"cohere/062": {Why: "no reasoning is what the model does", Body: func(b object) {
			b["model"], b["messages"] = "command-a-03-2025", []any{object{"role": "user", "content": "Hello"}}
		}},
		"cohere/056": {Why: "JSON is a format there", Body: func(b object) {
			b["model"], b["messages"] = "command-a-03-2025", []any{object{"role": "user", "content": "JSON please"}}
			b["response_format"] = object{"type": "json_object"}
		}},
		"cohere/058": {Why: "a schema is a format there", Body: func(b object) {
			b["model"], b["messages"] = "command-a-03-2025", []any{object{"role": "user", "content": "Oslo"}}
			b["response_format"] = object{"type": "json_object", "json_schema": object{
				"type": "object", "properties": object{"city": object{"type": "string"}},
			}}
		}},
		"cohere/065": {Why: "the refusal is what the assistant said", Body: func(b object) {
			b["messages"].([]any)[1] = object{"role": "assistant", "content": "No"}
		}},
		"cohere/068": {Why: "version 2 is spoken", URL: "https://api.cohere.com/v2/chat", Body: func(b object) {
			b["model"], b["messages"] = "command-r-08-2024", []any{object{"role": "user", "content": "Hello"}}
			delete(b, "message")
		}},
	},
	Amend: func(_ *golden.Case, _ object, header map[string]string) {
		delete(header, "request-source") // of LiteLLM
	},
	Sent: func(t *testing.T, c *golden.Case, _ protocol.Protocol, _ string, sent, _ map[string]string) {
		want := "application/json"
		if c.Input["stream"] == true {
			want = "text/event-stream"
		}
		if sent["accept"] != want {
			t.Errorf("Accept is %q", sent["accept"])
		}
		delete(sent, "accept")
	},
	Classes: map[string]schema.Class{
		"cohere/094": schema.ClassUpstreamFatal, // a key
		"cohere/095": schema.ClassTransient,     // nobody here cancelled it
	},
	Lacks: map[string]string{"cohere/075": "ERROR", "cohere/076": "TIMEOUT", "cohere/085": "finish_reason"},
	Answers: map[string]func(object){
		"cohere/068": func(w object) {
			w["object"], w["model"] = "chat.completion", "command-r-08-2024"
			w["choices"] = []any{object{"index": 0.0, "finish_reason": "stop", "message": object{"role": "assistant", "content": "Hello!"}}}
			w["usage"] = object{"prompt_tokens": 70.0, "completion_tokens": 4.0, "total_tokens": 74.0}
		},
		"cohere/077": func(w object) {
			message := w["choices"].([]any)[0].(object)["message"].(object)
			message["reasoning_content"] = "I will look"
		},
		"cohere/080": func(w object) { w["usage"].(object)["prompt_tokens_details"] = object{"cached_tokens": 64.0} },
		"cohere/082": func(w object) {
			w["content"], w["finish_reason"] = "Hello!", "stop"
		},
		"cohere/083": func(w object) {
			w["reasoning_content"], w["finish_reason"] = "I will", "tool_calls"
			w["tool_calls"] = []any{object{"id": "gw1", "name": "get_weather", "arguments": `{"city":"Oslo"}`}}
		},
	},
	Own: []string{"tool_plan", "citations"},
}

func withParameters(b object) {
	for _, tool := range b["tools"].([]any) {
		tool.(object)["function"].(object)["parameters"] = object{"type": "object", "properties": object{}}
	}
}

func TestRecorded(t *testing.T) { suite.Run(t) }
