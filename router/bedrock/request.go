package bedrock

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// request is one body of OpenAI's chat completions on its way into one of
// Converse's. One goroutine uses it.
//
// The body is read where it stands and written into one buffer: texts are
// copied as they are written, and nothing is decoded that need not be.
type request struct {
	translate.Refusals
	model
	note   note
	guard  bool   // a guardrail looks at what the user says last
	extras extras // what goes to the model itself

	fields
	thinkingParams
}

// fields are the members of a body that are looked at more than once, or out of
// their order.
type fields struct {
	messages, maxTokens, maxCompletion, stop []byte
	temperature, topP, topK                  []byte
	tools, toolChoice, parallel              []byte
	format, formatName, formatText           []byte // of the schema that the answer is to have
	outputConfig, additional, paths, tier    []byte
}

// note is what the reader of the answer has to know of the request.
type note struct {
	renamed []translate.Renamed // tools that have another name there
	schema  bool                // the answer's text is the input of the tool schemaTool
	usage   bool                // the stream is to tell the usage
	again   bool                // it was signed again, after the signature was refused
}

// append appends the body to send to out. Where it returns an error, what it
// wrote is of no use.
func (r *request) append(out, body []byte) ([]byte, error) {
	out = append(out, '{')
	object, _ := rawjson.Object(body, func(key, value []byte) {
		switch {
		case rawjson.IsNull(value), r.take(key, value):
		case converses(key): // Converse's own
			out = translate.AppendMember(out, key, value)
		default: // the model's own, or nobody's: the server says so then
			r.extras.add(string(key), value)
		}
	})
	if !object {
		r.Fail("", "the body is no JSON object")
	}
	if r.Err != nil {
		return out, r.Err
	}
	said := conversation{Refusals: r.Refusals, guard: r.guard}
	if out = said.append(out, r.messages); said.Err != nil {
		return out, said.Err
	}
	given := tools{
		Refusals: r.Refusals, model: r.model, names: said.names, extras: r.extras,
		given: r.tools, choice: r.toolChoice, parallel: r.parallel, format: r.format,
	}
	if out = given.append(out); given.Err != nil {
		return out, given.Err
	}
	r.note.renamed, r.note.schema = given.names.Renamed, given.schemaOnly
	thought := thinking{Refusals: r.Refusals, model: r.model, thinkingParams: r.thinkingParams, extras: given.extras, bound: r.bound()}
	if thought.note(); thought.Err != nil {
		return out, thought.Err
	}
	r.extras = thought.extras
	out = r.appendInference(out, thought.bound, thought.on)
	out = r.appendFormat(out)
	out = r.appendExtras(out, thought.on)
	return append(out, '}'), r.Err
}

// converses reports whether a member of a body is one of Converse's own that
// OpenAI's form has no word for.
func converses(key []byte) bool {
	switch string(key) {
	case "performanceConfig", "requestMetadata", "guardrailConfig", "promptVariables", "serviceTier":
		return true
	}
	return false
}

// take keeps a member of the body. It reports false for one that it does not know.
func (r *request) take(key, value []byte) bool {
	switch string(key) {
	case "model", "stream", "user", "safety_identifier": // Converse asks for no name of who asks
	case "stream_options":
		_, _ = rawjson.Object(value, func(key, value []byte) {
			r.note.usage = r.note.usage || string(key) == "include_usage" && string(value) == "true"
		})
	case "messages":
		r.messages = value
	case "max_tokens":
		r.maxTokens = value
	case "max_completion_tokens":
		r.maxCompletion = value
	case "stop":
		r.stop = value
	case "temperature":
		r.temperature = value
	case "top_p":
		r.topP = value
	case "top_k":
		r.topK = value
	case "tools":
		if protocol.Present(value) {
			r.tools = value
		}
	case "tool_choice":
		r.toolChoice = value
	case "parallel_tool_calls":
		r.parallel = value
	case "response_format":
		r.takeFormat(value)
	case "reasoning_effort":
		r.effort = value
	case "thinking":
		r.thinking = value
	case "output_config":
		r.output = value
	case "outputConfig":
		r.outputConfig = value
	case "additionalModelRequestFields":
		r.additional = value
	case "additionalModelResponseFieldPaths":
		r.paths = value
	case "guardrailConfig":
		r.guard = true
		return false
	default:
		return r.takeForeign(key, value)
	}
	return true
}

// takeForeign deals with OpenAI's parameters that Bedrock has no place for, or
// another one. What asks for no more than OpenAI does by itself is left out.
func (r *request) takeForeign(key, value []byte) bool {
	switch name := string(key); name {
	case "seed", "logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "store", "prediction",
		"audio", "web_search_options", "prompt_cache_key", "prompt_cache_retention", "metadata":
		if protocol.Present(value) && string(value) != "0.0" || name == "seed" {
			r.LeaveOut(name, foreign[name])
		}
	case "service_tier":
		r.takeTier(value)
	default:
		return r.Foreign(name, value)
	}
	return true
}

// foreign says what to do instead, where there is something.
var foreign = map[string]string{
	"prompt_cache_key": "mark what is to be cached by cache_control instead",
	"metadata":         "write requestMetadata, which stands in the logs of invocations, instead",
}

func (r *request) takeTier(value []byte) {
	switch string(value) {
	case `"auto"`:
	case `"default"`, `"flex"`, `"priority"`:
		r.tier = append(append([]byte(`{"type":`), value...), '}')
	default:
		r.LeaveOut("service_tier", "it knows auto, default, flex and priority")
	}
}

// bound is the bound on the answer that the body has; nil: none.
func (r *request) bound() []byte {
	if r.maxCompletion != nil {
		return r.maxCompletion
	}
	return r.maxTokens
}

// appendInference appends what steers the choice of words, of a model that thinks
// or does not, and where the answer ends, by bound at the latest.
func (r *request) appendInference(out, bound []byte, thinks bool) []byte {
	out = append(translate.Comma(out), `"inferenceConfig":{`...)
	if bound != nil {
		out = translate.AppendMember(out, "maxTokens", bound)
	}
	for _, p := range [...]struct {
		name, own string
		value     []byte
	}{{"temperature", "temperature", r.temperature}, {"top_p", "topP", r.topP}} {
		if p.value != nil && r.samples(p.name, p.value, thinks) {
			out = translate.AppendMember(out, p.own, p.value)
		}
	}
	switch {
	case r.stop == nil || !protocol.Present(r.stop):
	case rawjson.IsString(r.stop):
		out = append(append(append(translate.Comma(out), `"stopSequences":[`...), r.stop...), ']')
	default:
		out = translate.AppendMember(out, "stopSequences", r.stop)
	}
	if out = append(out, '}'); r.tier != nil {
		out = translate.AppendMember(out, "serviceTier", r.tier)
	}
	if r.topK != nil && r.samples("top_k", r.topK, thinks) {
		if r.family == nova || r.family == nova2 {
			r.extras.add("inferenceConfig", append(append([]byte(`{"topK":`), r.topK...), '}'))
		} else {
			r.extras.add("top_k", r.topK)
		}
	}
	return out
}

// samples reports whether a parameter of sampling is sent: what the model would
// refuse is refused here, by name.
func (r *request) samples(name string, value []byte, thinks bool) bool {
	if r.family != claude {
		return true
	}
	one := string(value) == "1" || string(value) == "1.0"
	switch {
	case !r.claude.Samples() && name != "top_k" && one: // what it does anyway
		return false
	case !r.claude.Samples():
		r.LeaveOut(name, "the model "+r.name+" takes none")
	case name == "temperature" && thinks && !one:
		r.LeaveOut(name, "a model that thinks takes no other than 1")
	case name == "temperature" && above(value, 1):
		r.LeaveOut(name, "it takes 0 to 1")
	default:
		return true
	}
	return false
}

func above(raw []byte, most float64) bool {
	n, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && n > most
}
