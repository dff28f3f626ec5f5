package gemini

import "pelton/schema"

// wanted is what differs from LiteLLM in a case, and why.
type wanted struct {
	why      string
	request  string       // the body that is sent instead; empty: as recorded
	refused  string       // the parameter or place that a refusal names; empty: it is sent
	url      string       // a part of the URL instead; empty: as recorded
	response string       // the answer that is made of it instead
	class    schema.Class // the failure that is made of it instead
	code     string       // its code; empty: any
}

const tellsAPI = "the later form of the API takes JSON Schema as it is: nothing has to be rewritten"

// differs are the cases in which something else is right than what LiteLLM does:
// by folder and name.
var differs = map[string]wanted{
	"gemini/system-mid": {
		why:     "a later system text keeps its place",
		request: `{"system_instruction":{"parts":[{"text":"Be brief"}]},"contents":[{"role":"user","parts":[{"text":"Hello"}]},{"role":"model","parts":[{"text":"Hi"}]},{"role":"user","parts":[{"text":"Now in French"},{"text":"Again"}]}]}`,
	},
	"gemini/system-only": {
		why:     "no text is invented: the system's is the user's turn",
		request: `{"contents":[{"role":"user","parts":[{"text":"Say hello"}]}]}`,
	},
	"gemini/system-parts": {
		why:     "parts stay apart, else their words run together",
		request: `{"system_instruction":{"parts":[{"text":"Be brief"},{"text":"In French"}]},"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}`,
	},
	"gemini/empty-user": {why: "Gemini refuses an empty part", refused: "messages[0].content"},
	"gemini/stop-list": {
		why:     "Gemini takes five stop sequences",
		request: `{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"stop_sequences":["END","\n","x","y","z"]}}`,
	},
	"gemini/penalties": {why: "nothing is dropped without a word", refused: "presence_penalty"},
	"gemini/logprobs": {
		why:     "the API has a place for both",
		request: `{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"responseLogprobs":true,"logprobs":2}}`,
	},
	"gemini/answer-logprobs": {
		why:     "the API has a place for both",
		request: `{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"responseLogprobs":true,"logprobs":1}}`,
	},
	"gemini/unsupported-drop": {
		why:     "responseLogprobs and logprobs belong together",
		request: `{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"seed":7,"responseLogprobs":true,"logprobs":2}}`,
	},
	"gemini/unknown-field": {why: "nothing is dropped without a word", refused: "min_p"},
	"gemini/tools-named": {
		why: tellsAPI,
		request: `{"contents":[{"role":"user","parts":[{"text":"Time in Oslo?"}]}],"tools":[{"function_declarations":[
			{"name":"get_weather","description":"Weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}},
			{"name":"get_time","description":"Time of a city","parametersJsonSchema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}]}],
			"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowed_function_names":["get_time"]}}}`,
	},
	"gemini/tools-parallel-false":     {why: "nothing is dropped without a word", refused: "parallel_tool_calls"},
	"gemini/tools-parallel-false-two": {why: "nothing is dropped without a word", refused: "parallel_tool_calls"},
	"gemini/tools-schema-rich": {
		why: tellsAPI,
		request: `{"contents":[{"role":"user","parts":[{"text":"Go"}]}],"tools":[{"function_declarations":[{"name":"put","parametersJsonSchema":
			{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"city":{"type":"string","minLength":2},"population":{"type":"integer","minimum":0},
			"kind":{"type":"string","enum":["city","town"]},"mayor":{"anyOf":[{"$ref":"#/$defs/Person"},{"type":"null"}]},"limit":{"type":["integer","null"],"default":3},"any":{}},
			"required":["city","population","kind","mayor"],"additionalProperties":false,"$defs":{"Person":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}}}}]}]}`,
	},
	"gemini/tool-args-bad-json":     {why: "a fault of the request", refused: "messages[1].tool_calls"},
	"gemini/tool-result-unknown-id": {why: "a fault of the request", refused: "messages[2].tool_call_id"},
	"gemini/refusal-in-history": {
		why:     "what the model said is kept: a refusal is its text",
		request: `{"contents":[{"role":"user","parts":[{"text":"Bad"}]},{"role":"model","parts":[{"text":"No"}]},{"role":"user","parts":[{"text":"Then good"}]}]}`,
	},
	"gemini/reasoning-none-2.5-pro": {
		why:     "2.5 Pro cannot but think: 128 is its least",
		request: `{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":128,"includeThoughts":false}}}`,
	},
	"gemini/schema-1.5": {
		why: "no text is put into a prompt: the schema goes where schemas go",
		request: `{"contents":[{"role":"user","parts":[{"text":"Oslo"}]}],"generationConfig":{"response_mime_type":"application/json","response_json_schema":
			{"type":"object","properties":{"city":{"type":"string","minLength":2},"population":{"type":"integer","minimum":0},"kind":{"type":"string","enum":["city","town"]},
			"mayor":{"anyOf":[{"$ref":"#/$defs/Person"},{"type":"null"}]}},"required":["city","population","kind","mayor"],"additionalProperties":false,
			"$defs":{"Person":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}}}}}`,
	},
	"gemini/image-https-url": {why: "nothing is downloaded on the way", refused: "messages[0].content[0].image_url"},
	"gemini/image-data-url-2.5": {
		why: "no text is put into a prompt",
		request: `{"contents":[{"role":"user","parts":[{"inline_data":{"data":"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==","mime_type":"image/png"}}]}],
			"generationConfig":{"mediaResolution":"MEDIA_RESOLUTION_LOW"}}`,
	},
	"gemini/api-base":                       {why: "an address without a path gets the version", url: "http://127.0.0.1:9/v1beta/models/gemini-3.5-flash:generateContent"},
	"gemini/finish-SAFETY":                  {why: partial, response: finished("SAFETY", "content_filter")},
	"gemini/finish-RECITATION":              {why: partial, response: finished("RECITATION", "content_filter")},
	"gemini/finish-BLOCKLIST":               {why: partial, response: finished("BLOCKLIST", "content_filter")},
	"gemini/finish-PROHIBITED_CONTENT":      {why: partial, response: finished("PROHIBITED_CONTENT", "content_filter")},
	"gemini/finish-SPII":                    {why: partial, response: finished("SPII", "content_filter")},
	"gemini/finish-MODEL_ARMOR":             {why: partial, response: finished("MODEL_ARMOR", "content_filter")},
	"gemini/finish-BRAND_NEW":               {why: "an unknown reason stands beside", response: finished("BRAND_NEW", "stop")},
	"gemini/finish-MALFORMED_FUNCTION_CALL": {why: useless, class: schema.ClassTransient, code: "MALFORMED_FUNCTION_CALL"},
	"gemini/finish-UNEXPECTED_TOOL_CALL":    {why: useless, class: schema.ClassTransient, code: "UNEXPECTED_TOOL_CALL"},
	"gemini/finish-TOO_MANY_TOOL_CALLS":     {why: useless, class: schema.ClassTransient, code: "TOO_MANY_TOOL_CALLS"},
	"gemini/finish-MALFORMED_RESPONSE":      {why: useless, class: schema.ClassTransient, code: "MALFORMED_RESPONSE"},
	"gemini/finish-MALFORMED-no-parts":      {why: useless, class: schema.ClassTransient, code: "MALFORMED_FUNCTION_CALL"},
	"gemini/finish-None":                    {why: "without a finishReason it is not complete", class: schema.ClassTransient, code: "lacks"},
	"gemini/no-candidates":                  {why: "a success without an answer is none", class: schema.ClassTransient, code: "lacks"},
	"gemini/no-usage": {
		why:      "the answer is there, and what it costs is not known",
		response: `{"id":"*","model":"gemini-3.5-flash","object":"chat.completion","choices":[{"finish_reason":"stop","index":0,"message":{"content":"Hello!","role":"assistant"},"provider_specific_fields":{"native_finish_reason":"STOP"}}]}`,
	},
	"gemini/usage-cached-implicit": {
		why: "the tokens as they are counted, and those of them that were cached",
		response: `{"id":"resp1","model":"gemini-3.5-flash","object":"chat.completion","choices":[{"finish_reason":"stop","index":0,"message":{"content":"Hello!","role":"assistant"},"provider_specific_fields":{"native_finish_reason":"STOP"}}],
			"usage":{"prompt_tokens":1004,"completion_tokens":3,"total_tokens":1007,"prompt_tokens_details":{"cached_tokens":1000,"text_tokens":1004},"completion_tokens_details":{"text_tokens":3},"cache_read_input_tokens":1000}}`,
	},
	"gemini/answer-function-call": {
		why: "a signature has a field of its own, and the id none in it",
		response: `{"id":"resp1","model":"gemini-3.5-flash","object":"chat.completion","choices":[{"finish_reason":"tool_calls","index":0,"message":{"role":"assistant",
			"tool_calls":[{"provider_specific_fields":{"thought_signature":"c2ln"},"function":{"arguments":{"city":"Ås"},"name":"get_weather"},"id":"*","type":"function"}],
			"provider_specific_fields":{"thought_signatures":["c2ln"]}},"provider_specific_fields":{"native_finish_reason":"STOP"}}],
			"usage":{"completion_tokens":3,"prompt_tokens":4,"total_tokens":7,"completion_tokens_details":{"text_tokens":3},"prompt_tokens_details":{"text_tokens":4}}}`,
	},
	"gemini/prompt-blocked":                     {why: "the reason is kept", class: schema.ClassContentPolicy},
	"gemini/stream-cut":                         {why: "every stream ends with a finishReason", class: schema.ClassTransient, code: "cut"},
	"gemini/error-400-user-location-is-not-sup": {why: "no request will work there", class: schema.ClassUpstreamFatal},
	"gemini/error-403-your-project-has-been-de": {why: "no request will work", class: schema.ClassUpstreamFatal},
	"gemini/error-499-the-operation-was-cancel": {why: "the server gave up, not the caller", class: schema.ClassTransient},
	"vertex/error-403-permission-aiplatfor":     {why: "no request will work", class: schema.ClassUpstreamFatal},
	"vertex/error-499-the-operation-was-ca":     {why: "the server gave up, not the caller", class: schema.ClassTransient},
	"vertex/system-only": {
		why:     "no text is invented: the system's is the user's turn",
		request: `{"contents":[{"role":"user","parts":[{"text":"Be brief"}]}]}`,
	},
	"vertex/image-gs": {
		why:     "no text is put into a prompt",
		request: `{"contents":[{"role":"user","parts":[{"file_data":{"mime_type":"image/png","file_uri":"gs://bucket/a.png"}}]}]}`,
	},
	"vertex/model-garden": {
		why:     "an endpoint takes OpenAI's protocol",
		request: `{"model":"1234567890","messages":[{"role":"user","content":"Hello"}]}`,
		url:     "https://us-central1-aiplatform.googleapis.com/v1/projects/proj-1/locations/us-central1/endpoints/1234567890/chat/completions",
	},
	"vertex/labels-metadata": {
		why:     "metadata is what Vertex AI calls labels",
		request: `{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"labels":{"team":"search"}}`,
	},
}

const (
	partial = "the text that came is kept"
	useless = "a failed generation is tried again"
)

// finished is the plain answer with another end.
func finished(native, reason string) string {
	return `{"id":"resp1","model":"gemini-3.5-flash","object":"chat.completion","choices":[{"finish_reason":"` + reason + `","index":0,
		"message":{"content":"Hello!","role":"assistant"},"provider_specific_fields":{"native_finish_reason":"` + native + `"}}],
		"usage":{"completion_tokens":3,"prompt_tokens":4,"total_tokens":7,"completion_tokens_details":{"text_tokens":3},"prompt_tokens_details":{"text_tokens":4}}}`
}

// agree are marked cases in which the right thing is what LiteLLM does, though its
// name for a class, or the version in the URL, is another.
var agree = []string{
	"gemini/minimal", "gemini/user-field", "gemini/reasoning-effort-none", "gemini/response-format-json-schema",
	"gemini/thought-signature-history", "gemini/thought-part", "gemini/usage-tool-prompt", "gemini/error-400-api-key-not-valid-please",
	"gemini/error-429-you-exceeded-your-curren", "gemini/error-503-the-model-is-overloaded", "gemini/error-502-html",
}
