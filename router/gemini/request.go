package gemini

import (
	"bytes"
	"fmt"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// target is where a request goes, as far as its form depends on that.
type target struct {
	family
	vertex bool
	drop   bool // parameters without a place are left out
}

// encodeChat appends to out the generateContent request for the body of a chat
// completion. What the body says goes over in the order in which it stands, as
// it is written, wherever Gemini has a place for it; an error names what has
// none.
//
// The names of members are those that LiteLLM sends, some with underscores:
// Google reads either form.
func encodeChat(out, body []byte, to target) ([]byte, error) {
	r := request{target: to, out: append(out, '{'), index: -1}
	if object, _ := rawjson.Object(body, r.take); !object {
		r.bad("", "the body is no JSON object")
	}
	if r.err == nil {
		r.contents()
	}
	if r.err == nil {
		r.appendTools()
		r.appendOwn()
		r.appendConfig()
	}
	return append(r.out, '}'), r.err
}

// request is a body on its way to Gemini's form. Values are as they are written,
// nil where they are absent or null.
type request struct {
	target
	out []byte
	err error // the first thing that cannot be carried

	messages                            []byte
	tools, functions, choice, calls     []byte
	format, stop, n, limit, oldLimit    []byte
	logprobs, topLogprobs               []byte
	effort, thinking, modalities, audio []byte
	plain                               [len(plainParams)][]byte
	generation, safety, cached, labels  []byte
	metadata, tier, search              []byte
	configured                          bool // generationConfig is open
	resolution                          int  // the highest that an image asks for, before Gemini 3

	// Of the messages.
	index, part int  // of the message and its part that are being read; -1: none
	turn        turn // that is open
	system      int  // where its parts begin
	made        []call
}

// plainParams go into generationConfig as they are.
var plainParams = [...]struct{ name, to string }{
	{"temperature", "temperature"}, {"top_p", "top_p"}, {"top_k", "top_k"}, {"seed", "seed"},
	{"presence_penalty", "presence_penalty"}, {"frequency_penalty", "frequency_penalty"},
}

// take keeps one member of the body.
func (r *request) take(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(rawjson.Key(key)) {
	case "messages":
		r.messages = value
	case "tools":
		r.tools = value
	case "functions":
		r.functions = value
	case "tool_choice":
		r.choice = value
	case "function_call":
		r.calls = value
	case "response_format":
		r.format = value
	case "stop":
		r.stop = value
	case "n":
		r.n = value
	case "max_completion_tokens":
		r.limit = value
	case "max_tokens":
		r.oldLimit = value
	case "logprobs":
		r.logprobs = value
	case "top_logprobs":
		r.topLogprobs = value
	case "reasoning_effort":
		r.effort = value
	case "thinking":
		r.thinking = value
	case "modalities":
		r.modalities = value
	case "audio":
		r.audio = value
	case "metadata":
		r.metadata = value
	case "service_tier":
		r.tier = value
	case "web_search_options":
		r.search = value
	default:
		r.takeRest(key, value)
	}
}

func (r *request) takeRest(key, value []byte) {
	key = rawjson.Key(key)
	for i := range plainParams {
		if plainParams[i].name == string(key) {
			r.plain[i] = value
			return
		}
	}
	switch string(key) {
	case "model", "stream", "stream_options":
	case "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention": // who asks, and where a cache is looked for
	case "safety_settings", "safetySettings":
		r.safety = value
	case "generationConfig", "generation_config":
		r.generation = value
	case "cached_content", "cachedContent":
		r.cached = value
	case "labels":
		r.labels = value
	case "store":
		if string(value) != "false" {
			r.unsupported(string(key), "nothing is stored")
		}
	case "parallel_tool_calls":
		if string(value) != "true" {
			r.unsupported(string(key), "the model itself decides how many tools it calls at once")
		}
	case "logit_bias":
		if string(value) != "{}" {
			r.unsupported(string(key), "")
		}
	case "verbosity":
		if string(value) != `"medium"` {
			r.unsupported(string(key), "")
		}
	default:
		r.unsupported(string(key), "")
	}
}

// unsupported notes a parameter that has no place.
func (r *request) unsupported(param, why string) {
	if r.err == nil && !r.drop {
		r.err = protocol.Unsupported("Gemini", param, why)
	}
}

// bad notes what is wrong with the request.
func (r *request) bad(param, format string, args ...any) {
	if r.err != nil {
		return
	}
	message := fmt.Sprintf(format, args...)
	if param != "" {
		message = param + ": " + message
	}
	r.err = &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Param: param, Message: message}
}

// member begins another member of the request.
func (r *request) member(name string) {
	if r.out[len(r.out)-1] != '{' {
		r.out = append(r.out, ',')
	}
	r.out = append(append(append(r.out, '"'), name...), `":`...)
}

func (r *request) put(name string, value []byte) {
	if value != nil {
		r.member(name)
		r.out = append(r.out, value...)
	}
}

// appendOwn writes what stands beside contents, tools and generationConfig.
func (r *request) appendOwn() {
	r.put("safetySettings", r.safety)
	r.put("cachedContent", r.cached)
	if r.labels == nil && r.vertex {
		r.labels, r.metadata = r.metadata, nil
	}
	switch {
	case r.metadata != nil:
		r.unsupported("metadata", "only Vertex AI has labels")
	case r.labels != nil && !r.vertex:
		r.unsupported("labels", "only Vertex AI has them")
	default:
		r.put("labels", r.labels)
	}
	switch tier := rawjson.Text(r.tier); tier {
	case "", "auto":
	case "default":
		r.put("serviceTier", []byte(`"standard"`))
	default:
		r.put("serviceTier", r.tier)
	}
}

// config begins another member of generationConfig. It reports false where the
// body's own generationConfig has it.
func (r *request) config(name string) bool {
	if r.generation != nil {
		own := false
		_, _ = rawjson.Object(r.generation, func(key, _ []byte) { own = own || sameName(key, name) })
		if own {
			return false
		}
	}
	if !r.configured {
		r.configured = true
		r.member("generationConfig")
		r.out = append(r.out, '{')
	}
	r.member(name)
	return true
}

func (r *request) setConfig(name string, value []byte) {
	if value != nil && r.config(name) {
		r.out = append(r.out, value...)
	}
}

// sameName compares names of members with and without underscores.
func sameName(a []byte, b string) bool {
	return bytes.EqualFold(bytes.ReplaceAll(a, []byte("_"), nil), bytes.ReplaceAll([]byte(b), []byte("_"), nil))
}

// appendConfig writes generationConfig.
func (r *request) appendConfig() {
	for i, value := range r.plain {
		switch name := plainParams[i].name; {
		case value == nil:
		case i < 3 && !r.samples:
			r.unsupported(name, "this model does not heed it")
		case i > 3 && r.three && !isZero(value):
			r.unsupported(name, "Gemini 3 and later have no penalties")
		case i > 3 && r.three:
		default:
			r.setConfig(plainParams[i].to, value)
		}
	}
	r.setConfig("candidate_count", r.n)
	if r.limit == nil {
		r.limit = r.oldLimit
	}
	r.setConfig("max_output_tokens", r.limit)
	if rawjson.IsString(r.stop) && r.config("stop_sequences") {
		r.out = append(append(append(r.out, '['), r.stop...), ']')
	} else if !rawjson.IsString(r.stop) {
		r.setConfig("stop_sequences", r.stop)
	}
	if string(r.logprobs) == "true" {
		r.setConfig("responseLogprobs", r.logprobs)
		r.setConfig("logprobs", r.topLogprobs)
	}
	r.appendFormat()
	r.appendThinking()
	r.appendModalities()
	if r.resolution > 0 && r.config("mediaResolution") {
		r.out = append(append(append(r.out, '"'), resolutions[r.resolution]...), '"')
	}
	if r.generation != nil {
		if object, _ := rawjson.Object(r.generation, r.ownConfig); !object {
			r.bad("generationConfig", "must be an object")
		}
	}
	if r.configured {
		r.out = append(r.out, '}')
	}
}

// ownConfig writes a member of the body's own generationConfig.
func (r *request) ownConfig(key, value []byte) {
	generation := r.generation
	r.generation = nil
	r.setConfig(string(key), value)
	r.generation = generation
}

func isZero(number []byte) bool { return len(bytes.Trim(number, "-0.")) == 0 }

// appendFormat writes what response_format asks for.
func (r *request) appendFormat() {
	if r.format == nil {
		return
	}
	var kind, wrapped, given []byte
	_, _ = rawjson.Object(r.format, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "json_schema":
			wrapped = value
		}
	})
	switch rawjson.Text(kind) {
	case "text":
		return
	case "json_object":
	case "json_schema":
		_, _ = rawjson.Object(wrapped, func(key, value []byte) {
			if string(key) == "schema" {
				given = value
			}
		})
		if !rawjson.IsObject(given) {
			r.bad("response_format.json_schema.schema", "must be a JSON Schema")
			return
		}
	default:
		r.unsupported("response_format", "its type must be text, json_object or json_schema")
		return
	}
	if r.config("response_mime_type") {
		r.out = append(r.out, `"application/json"`...)
	}
	r.setConfig("response_json_schema", given)
}

// appendModalities writes what kinds of answer are asked for, and by which voice.
func (r *request) appendModalities() {
	if r.modalities != nil && string(r.modalities) != `["text"]` && r.config("responseModalities") {
		r.out = append(r.out, '[')
		if array, _ := rawjson.Array(r.modalities, func(value []byte) {
			if r.out[len(r.out)-1] != '[' {
				r.out = append(r.out, ',')
			}
			r.out = append(r.out, bytes.ToUpper(value)...)
		}); !array {
			r.bad("modalities", "must be an array")
		}
		r.out = append(r.out, ']')
	}
	if r.audio == nil {
		return
	}
	_, _ = rawjson.Object(r.audio, func(key, value []byte) {
		switch string(key) {
		case "voice":
			if r.config("speechConfig") {
				r.out = append(append(append(r.out, `{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":`...), value...), "}}}"...)
			}
		case "format":
			if string(value) != `"pcm16"` {
				r.unsupported("audio.format", "Gemini gives pcm16 alone")
			}
		}
	})
}
