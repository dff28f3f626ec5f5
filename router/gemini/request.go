package gemini

import (
	"pelton/internal/rawjson"
	"pelton/router/protocol"
)

// target is where a request goes, as far as its form depends on that.
type target struct {
	family
	vertex bool
	drop   protocol.Drop
}

// encodeChat appends to out the generateContent request for the body of a chat
// completion. What the body says goes over in the order in which it stands, as
// it is written, wherever Gemini has a place for it; an error names what has
// none.
//
// The names of members are those that LiteLLM sends, some with underscores:
// Google reads either form.
func encodeChat(out, body []byte, to target) ([]byte, error) {
	r := request{output: output{target: to, out: append(out, '{')}}
	if object, _ := rawjson.Object(body, r.take); !object {
		r.bad("", "the body is no JSON object")
	}
	if r.err != nil {
		return r.out, r.err
	}
	c := conversation{output: r.output, index: -1}
	if c.contents(r.messages); c.err != nil {
		return c.out, c.err
	}
	t := tools{c.output, r.toolParams}
	t.append()
	r.output = t.output
	r.appendOwn()
	g := generation{output: r.output, generationParams: r.generationParams, resolution: c.resolution}
	g.append()
	return append(g.out, '}'), g.err
}

// request is a body on its way to Gemini's form. Values are as they are written,
// nil where they are absent or null.
type request struct {
	output
	toolParams
	generationParams
	messages               []byte
	safety, cached, labels []byte
	metadata, tier         []byte
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
		r.own = value
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
