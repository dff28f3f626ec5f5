package openai

import (
	"strings"

	"pelton/schema"
)

// sample is a stream as a kind of server sends it, and the answer that the same
// server gives to the same request without streaming.
type sample struct {
	name     string
	endpoint schema.Endpoint
	stream   string
	plain    string
	chunks   int // that are handed on, where usage was not asked for by the caller
}

// lines makes a stream of events with one end of line.
func lines(end string, events ...string) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e + end + end)
	}
	return b.String()
}

func data(events ...string) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString("data: " + e + "\n\n")
	}
	return b.String()
}

// chunk is an event of a chat completion around its choices and more.
func chunk(choices, more string) string {
	return `{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[` + choices + `]` + more + `}`
}

func whole(choices, more string) string {
	return `{"id":"c-1","object":"chat.completion","created":1700000000,"model":"m","choices":[` + choices + `]` + more + `}`
}

const counts = `{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}`

var samples = []sample{
	{
		name: "OpenAI: text",
		stream: data(
			`{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aB"}`,
			`{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}],"usage":null}`,
			`{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":"lo \"you\""},"logprobs":null,"finish_reason":null}],"usage":null}`,
			`{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}`,
			`{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[],"usage":`+counts+`}`,
			`[DONE]`),
		plain:  `{"id":"c-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello \"you\"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":` + counts + `}`,
		chunks: 4,
	},
	{
		name: "OpenAI: two tool calls, fragments between each other",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"time","arguments":""}}]},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":"\"Bonn\"}"}}]},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{},"finish_reason":"tool_calls"}`, ``),
			chunk(``, `,"usage":`+counts), `[DONE]`),
		plain: whole(`{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[
			{"id":"call_a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bonn\"}"}},
			{"id":"call_b","type":"function","function":{"name":"time","arguments":"{}"}}]},"finish_reason":"tool_calls"}`, `,"usage":`+counts),
		chunks: 6,
	},
	{
		name: "OpenAI: refusal",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"refusal":"I cannot"},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"refusal":" help."},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`, ``), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":null,"refusal":"I cannot help."},"finish_reason":"stop"}`, ``),
		chunks: 4,
	},
	{
		name: "OpenAI: two choices with logprobs, not in order",
		stream: data(
			chunk(`{"index":1,"delta":{"role":"assistant","content":"B"},"logprobs":{"content":[{"token":"B","logprob":-0.2,"bytes":[66],"top_logprobs":[]}],"refusal":null},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"role":"assistant","content":"A"},"logprobs":{"content":[{"token":"A","logprob":-0.1,"bytes":[65],"top_logprobs":[]}],"refusal":null},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.3,"bytes":[97],"top_logprobs":[]}],"refusal":null},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`, ``),
			chunk(`{"index":1,"delta":{},"logprobs":null,"finish_reason":"length"}`, ``), `[DONE]`),
		plain: whole(`{"index":0,"message":{"role":"assistant","content":"Aa"},"logprobs":{"content":[{"token":"A","logprob":-0.1,"bytes":[65],"top_logprobs":[]},{"token":"a","logprob":-0.3,"bytes":[97],"top_logprobs":[]}],"refusal":null},"finish_reason":"stop"},
			{"index":1,"message":{"role":"assistant","content":"B"},"logprobs":{"content":[{"token":"B","logprob":-0.2,"bytes":[66],"top_logprobs":[]}],"refusal":null},"finish_reason":"length"}`, ``),
		chunks: 5,
	},
	{
		name: "OpenAI: the old function_call, and audio",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"function_call":{"arguments":"{\"a\""}},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"function_call":{"arguments":":1}"},"audio":{"id":"au","transcript":"He"}},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"audio":{"data":"QUJD","transcript":"y","expires_at":17}},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"audio":{"data":"REVG"}},"finish_reason":"function_call"}`, ``), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"},"audio":{"id":"au","data":"QUJDREVG","transcript":"Hey","expires_at":17}},"finish_reason":"function_call"}`, ``),
		chunks: 5,
	},
	{
		name: "Azure: prompt filter first, CRLF",
		stream: lines("\r\n",
			`data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}`,
			`data: `+chunk(`{"index":0,"delta":{"role":"assistant","content":""},"content_filter_results":{},"finish_reason":null}`, `,"system_fingerprint":"fp_2"`),
			`data: `+chunk(`{"index":0,"delta":{"content":"Hi"},"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"finish_reason":null}`, `,"system_fingerprint":"fp_2"`),
			`data: `+chunk(`{"index":0,"delta":{},"content_filter_results":{},"finish_reason":"stop"}`, `,"system_fingerprint":"fp_2"`),
			`data: `+chunk(``, `,"system_fingerprint":"fp_2","usage":`+counts),
			`data: [DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"Hi"},"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"finish_reason":"stop"}`, `,"system_fingerprint":"fp_2","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}],"usage":`+counts),
		chunks: 4,
	},
	{
		name: "vLLM: reasoning, usage in each chunk, no space behind the colon",
		stream: strings.ReplaceAll(data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`, `,"usage":{"prompt_tokens":9,"total_tokens":9,"completion_tokens":0}`),
			chunk(`{"index":0,"delta":{"reasoning_content":"First "},"logprobs":null,"finish_reason":null}`, `,"usage":{"prompt_tokens":9,"total_tokens":10,"completion_tokens":1}`),
			chunk(`{"index":0,"delta":{"reasoning_content":"think."},"logprobs":null,"finish_reason":null}`, `,"usage":{"prompt_tokens":9,"total_tokens":11,"completion_tokens":2}`),
			chunk(`{"index":0,"delta":{"content":"42"},"logprobs":null,"finish_reason":null}`, `,"usage":{"prompt_tokens":9,"total_tokens":12,"completion_tokens":3}`),
			chunk(`{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}`, `,"usage":`+counts),
			`[DONE]`), "data: ", "data:"),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"42","reasoning_content":"First think."},"logprobs":null,"finish_reason":"stop","stop_reason":null}`, `,"usage":`+counts),
		chunks: 5,
	},
	{
		name: "vLLM: a new id with each piece of a tool call",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"id":"t-1","type":"function","index":0,"function":{"name":"f"}}]},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"id":"t-2","type":"function","index":0,"function":{"arguments":"{\"x\": "}}]},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"tool_calls":[{"id":"t-3","type":"function","index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}`, ``), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t-1","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},"finish_reason":"tool_calls"}`, ``),
		chunks: 4,
	},
	{
		name: "Ollama: tool calls without index, an empty finish_reason between, role everywhere",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":""}`, ``),
			chunk(`{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"id":"b","type":"function","function":{"name":"f","arguments":"{\"n\":2}"}}]},"finish_reason":""}`, ``),
			chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"tool_calls"}`, ``),
			chunk(``, `,"usage":`+counts), `[DONE]`),
		plain: whole(`{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
			{"id":"b","type":"function","function":{"name":"f","arguments":"{\"n\":2}"}}]},"finish_reason":"tool_calls"}`, `,"usage":`+counts),
		chunks: 3,
	},
	{
		name: "Gemini: every tool call has the index 0, no [DONE], usage as it grows",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"g1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}}`, `,"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}`),
			chunk(`{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"g2","type":"function","function":{"name":"f","arguments":"{\"a\":2}"}}]},"finish_reason":"tool_calls"}`, `,"usage":`+counts)),
		plain: whole(`{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"g1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
			{"id":"g2","type":"function","function":{"name":"f","arguments":"{\"a\":2}"}}]},"finish_reason":"tool_calls"}`, `,"usage":`+counts),
		chunks: 2,
	},
	{
		name: "OpenRouter: comments, reasoning details, usage in the last chunk with choices",
		stream: ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Let me","reasoning_details":[{"type":"reasoning.text","text":"Let me","format":"unknown","index":0}]},"finish_reason":null,"native_finish_reason":null}`, `,"provider":"P"`),
			chunk(`{"index":0,"delta":{"role":"assistant","content":"","reasoning":" see","reasoning_details":[{"type":"reasoning.text","text":" see","format":"unknown","index":0}]},"finish_reason":null,"native_finish_reason":null}`, `,"provider":"P"`)) +
			": OPENROUTER PROCESSING\n\n" + data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"Yes"},"finish_reason":"stop","native_finish_reason":"end_turn"}`, `,"provider":"P"`),
			chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null,"native_finish_reason":null}`, `,"provider":"P","usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"cost":0.5}`),
			`[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"Yes","reasoning":"Let me see","reasoning_details":[{"type":"reasoning.text","text":"Let me see","format":"unknown","index":0}]},"finish_reason":"stop","native_finish_reason":"end_turn"}`, `,"provider":"P","usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"cost":0.5}`),
		chunks: 4,
	},
	{
		name: "Groq: usage aside",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`, `,"x_groq":{"id":"req_1"}`),
			chunk(`{"index":0,"delta":{"content":"ok"},"logprobs":null,"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`, `,"x_groq":{"id":"req_1","usage":`+counts+`}`), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"ok"},"logprobs":null,"finish_reason":"stop"}`, `,"x_groq":{"id":"req_1","usage":`+counts+`},"usage":`+counts),
		chunks: 3,
	},
	{
		name: "llama.cpp: timings, CR alone",
		stream: lines("\r",
			`data: `+chunk(`{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}`, ``),
			`data: `+chunk(`{"index":0,"delta":{"content":"Gr"},"finish_reason":null}`, ``),
			`data: `+chunk(`{"index":0,"delta":{"content":"üße"},"finish_reason":null}`, ``),
			`data: `+chunk(`{"index":0,"delta":{},"finish_reason":"length"}`, `,"usage":`+counts+`,"timings":{"prompt_n":9,"predicted_ms":3.5}`),
			`data: [DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"Grüße"},"finish_reason":"length"}`, `,"usage":`+counts+`,"timings":{"prompt_n":9,"predicted_ms":3.5}`),
		chunks: 4,
	},
	{
		name: "Mistral: whole tool calls in the last chunk with the usage",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"content":"","tool_calls":[{"id":"D681PevKs","function":{"name":"f","arguments":"{\"a\": 1}"},"index":0}]},"finish_reason":"tool_calls"}`, `,"usage":`+counts), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"D681PevKs","function":{"name":"f","arguments":"{\"a\": 1}"}}]},"finish_reason":"tool_calls"}`, `,"usage":`+counts),
		chunks: 2,
	},
	{
		name: "DeepSeek: null beside each text, keep-alive comments",
		stream: ": keep-alive\n\n" + data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"a"},"logprobs":null,"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"content":null,"reasoning_content":"b"},"logprobs":null,"finish_reason":null}`, ``)) +
			": keep-alive\n: keep-alive\n" + data(
			chunk(`{"index":0,"delta":{"content":"c","reasoning_content":null},"logprobs":null,"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"content":"","reasoning_content":null},"logprobs":null,"finish_reason":"stop"}`, `,"usage":`+counts), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"c","reasoning_content":"ab"},"logprobs":null,"finish_reason":"stop"}`, `,"usage":`+counts),
		chunks: 4,
	},
	{
		name:   "LM Studio: a document instead of a stream",
		stream: whole(`{"index":0,"message":{"role":"assistant","content":"all at once"},"finish_reason":"stop"}`, `,"usage":`+counts),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"all at once"},"finish_reason":"stop"}`, `,"usage":`+counts),
		chunks: 1,
	},
	{
		name: "a whole answer as the only event, after a byte order mark",
		stream: "\xef\xbb\xbf\n" + data(
			whole(`{"index":0,"message":{"role":"assistant","content":"all at once"},"finish_reason":"stop"}`, `,"usage":`+counts), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"all at once"},"finish_reason":"stop"}`, `,"usage":`+counts),
		chunks: 1,
	},
	{
		name: "TGI: one line per event, mixed ends, the last without any",
		stream: "data:" + chunk(`{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}`, ``) + "\r\n" +
			"data:" + chunk(`{"index":0,"delta":{"content":"b"},"finish_reason":null}`, ``) + "\n" +
			"id: 7\rretry: 10\revent: message\r" +
			"data:" + chunk(`{"index":0,"delta":{"content":"c"},"finish_reason":"eos_token"}`, ``),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"abc"},"finish_reason":"eos_token"}`, ``),
		chunks: 3,
	},
	{
		name: "one event over several lines",
		stream: "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\n" +
			"data: \"created\":1700000000,\"model\":\"m\",\"choices\":[\r\n" +
			"data: {\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}`, ``),
		chunks: 1,
	},
	{
		name: "Moonshot: usage in the choice",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"k"},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{},"finish_reason":"stop","usage":`+counts+`}`, ``), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"k"},"finish_reason":"stop"}`, `,"usage":`+counts),
		chunks: 2,
	},
	{
		name: "characters cut in two, as escapes and as bytes",
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"\ud83d"},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"content":"\ude00 gr`+"\xc3"+`"},"finish_reason":null}`, ``),
			chunk(`{"index":0,"delta":{"content":"`+"\xbc"+`n"},"finish_reason":"stop"}`, ``), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":"😀 grün"},"finish_reason":"stop"}`, ``),
		chunks: 3,
	},
	{
		name: "arguments as an object", // as the same server answers without streaming
		stream: data(
			chunk(`{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":{"a":[1,{"index":5,"b":"x"}]}}}]},"finish_reason":"tool_calls"}`, ``), `[DONE]`),
		plain:  whole(`{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"a":[1,{"index":5,"b":"x"}]}}}]},"finish_reason":"tool_calls"}`, ``),
		chunks: 1,
	},
	{
		name: "legacy completions with logprobs", endpoint: schema.Completions,
		stream: data(
			`{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"On","index":0,"logprobs":{"tokens":["On"],"token_logprobs":[-0.5],"top_logprobs":[{"On":-0.5}],"text_offset":[0]},"finish_reason":null}]}`,
			`{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"ce","index":0,"logprobs":{"tokens":["ce"],"token_logprobs":[-0.25],"top_logprobs":[{"ce":-0.25}],"text_offset":[2]},"finish_reason":"length"}]}`,
			`{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[],"usage":`+counts+`}`, `[DONE]`),
		plain:  `{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"Once","index":0,"logprobs":{"tokens":["On","ce"],"token_logprobs":[-0.5,-0.25],"top_logprobs":[{"On":-0.5},{"ce":-0.25}],"text_offset":[0,2]},"finish_reason":"length"}],"usage":` + counts + `}`,
		chunks: 2,
	},
	{
		name: "responses", endpoint: schema.Responses,
		stream: "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[],\"usage\":null}}\n\n" +
			"event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"m\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n" +
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\"}\n\n" +
			"event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"id\":\"m\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\"}]}}\n\n" +
			"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"id\":\"m\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\"}]}],\"usage\":{\"input_tokens\":3,\"output_tokens\":1,\"total_tokens\":4}}}\n\n",
		plain:  `{"id":"r","object":"response","status":"completed","output":[{"id":"m","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4}}`,
		chunks: 5,
	},
	{
		name: "responses whose last event leaves the output out", endpoint: schema.Responses,
		stream: data(
			`{"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","output":[]}}`,
			`{"type":"response.output_item.added","output_index":0,"item":{"id":"m","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"H"}`,
			`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"i"}`,
			`{"type":"response.output_item.done","output_index":0,"item":{"id":"m","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}}`,
			`{"type":"response.completed","response":{"id":"r","object":"response","status":"completed","output":[]}}`),
		plain:  `{"id":"r","object":"response","status":"completed","output":[{"id":"m","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}]}`,
		chunks: 6,
	},
}
