package bedrock

import (
	"bytes"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// request is one body of OpenAI's chat completions on its way into one of
// Converse's. One goroutine uses it.
//
// The body is read where it stands and written into one buffer: texts are
// copied as they are written, and nothing is decoded that need not be.
type request struct {
	model
	name  string // of the model
	drop  bool   // what Converse has no place for is left out
	err   error
	note  note
	guard bool // a guardrail looks at what the user says last

	fields
	conversation
	extras  []extra // what goes to the model itself
	ponders bool    // the model is told to think
	bound   []byte  // maxTokens
}

// fields are the members of a body that are looked at more than once, or out of
// their order.
type fields struct {
	messages, maxTokens, maxCompletion, stop []byte
	temperature, topP, topK                  []byte
	tools, toolChoice, parallel              []byte
	format, formatName, formatText           []byte // of the schema that the answer is to have
	effort, thinking, output, outputConfig   []byte
	additional, paths, tier                  []byte
}

// extra is a member for the model itself.
type extra struct {
	key   string
	value []byte
}

// note is what the reader of the answer has to know of the request.
type note struct {
	renamed []renamed // tools that have another name there
	schema  bool      // the answer's text is the input of the tool schemaTool
	usage   bool      // the stream is to tell the usage
	again   bool      // it was signed again, after the signature was refused
}

// renamed is a tool's name in the request, and the one that was sent.
type renamed struct{ name, sent string }

// server is Bedrock's name in what people read.
const server = "Bedrock"

// append appends the body to send to out. Where it returns an error, what it
// wrote is of no use.
func (r *request) append(out, body []byte) ([]byte, error) {
	out = append(out, '{')
	object, _ := rawjson.Object(body, func(key, value []byte) {
		switch {
		case rawjson.IsNull(value), r.take(key, value):
		case converses(key): // Converse's own
			out = appendMember(out, key, value)
		default: // the model's own, or nobody's: the server says so then
			r.extras = append(r.extras, extra{string(key), value})
		}
	})
	if !object {
		r.fail("", "the body is no JSON object")
		return out, r.err
	}
	out = r.appendMessages(out)
	out = r.appendTools(out)
	r.think()
	out = r.appendInference(out)
	out = r.appendFormat(out)
	out = r.appendExtras(out)
	return append(out, '}'), r.err
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

// fail notes what is wrong with the request, which no deployment would take.
func (r *request) fail(param, message string) {
	if r.err == nil {
		r.err = &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Param: param, Message: message}
	}
}

// unsupported notes a parameter that Bedrock has no place for.
func (r *request) unsupported(param, why string) {
	if r.err == nil {
		r.err = protocol.Unsupported(server, param, why)
	}
}

// leaveOut notes a parameter that Bedrock has no place for, unless it may be left
// out.
func (r *request) leaveOut(param, why string) {
	if !r.drop {
		r.unsupported(param, why)
	}
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
	case "n":
		if string(value) != "1" { // not by drop_params: one answer is less than was paid for
			r.unsupported("n", "it gives one answer per request")
		}
	case "seed", "logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "store", "prediction",
		"audio", "web_search_options", "prompt_cache_key", "prompt_cache_retention", "metadata":
		if protocol.Present(value) && string(value) != "0.0" || name == "seed" {
			r.leaveOut(name, foreign[name])
		}
	case "verbosity":
		if string(value) != `"medium"` {
			r.leaveOut(name, "")
		}
	case "modalities":
		if bytes.Contains(value, []byte(`"audio"`)) {
			r.leaveOut(name, "it answers with text alone")
		}
	case "functions", "function_call":
		if protocol.Present(value) {
			r.unsupported(name, "write tools and tool_choice instead")
		}
	case "service_tier":
		r.takeTier(value)
	default:
		return false
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
		r.leaveOut("service_tier", "it knows auto, default, flex and priority")
	}
}

// appendInference appends what steers the choice of words, and where the answer
// ends.
func (r *request) appendInference(out []byte) []byte {
	out = append(comma(out), `"inferenceConfig":{`...)
	if r.bound != nil {
		out = appendMember(out, "maxTokens", r.bound)
	}
	for _, p := range [...]struct {
		name, own string
		value     []byte
	}{{"temperature", "temperature", r.temperature}, {"top_p", "topP", r.topP}} {
		if p.value != nil && r.samples(p.name, p.value) {
			out = appendMember(out, p.own, p.value)
		}
	}
	switch {
	case r.stop == nil || !protocol.Present(r.stop):
	case rawjson.IsString(r.stop):
		out = append(append(append(comma(out), `"stopSequences":[`...), r.stop...), ']')
	default:
		out = appendMember(out, "stopSequences", r.stop)
	}
	if out = append(out, '}'); r.tier != nil {
		out = appendMember(out, "serviceTier", r.tier)
	}
	if r.topK != nil && r.samples("top_k", r.topK) {
		if r.family == nova || r.family == nova2 {
			r.extras = append(r.extras, extra{"inferenceConfig", append(append([]byte(`{"topK":`), r.topK...), '}')})
		} else {
			r.extras = append(r.extras, extra{"top_k", r.topK})
		}
	}
	return out
}

// samples reports whether a parameter of sampling is sent: what the model would
// refuse is refused here, by name.
func (r *request) samples(name string, value []byte) bool {
	if r.family != claude {
		return true
	}
	one := string(value) == "1" || string(value) == "1.0"
	switch {
	case !r.claude.Samples() && name != "top_k" && one: // what it does anyway
		return false
	case !r.claude.Samples():
		r.leaveOut(name, "the model "+r.name+" takes none")
	case name == "temperature" && r.ponders && !one:
		r.leaveOut(name, "a model that thinks takes no other than 1")
	case name == "temperature" && above(value, 1):
		r.leaveOut(name, "it takes 0 to 1")
	default:
		return true
	}
	return false
}

func above(raw []byte, most float64) bool {
	n, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && n > most
}

// appendExtras appends what goes to the model itself, past Converse.
func (r *request) appendExtras(out []byte) []byte {
	if r.paths != nil {
		out = appendMember(out, "additionalModelResponseFieldPaths", r.paths)
	} else if r.ponders && r.family == claude {
		out = append(comma(out), `"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]`...)
	}
	if len(r.extras) == 0 && r.additional == nil {
		return out
	}
	out = append(comma(out), `"additionalModelRequestFields":{`...)
	own := map[string]bool{}
	_, _ = rawjson.Object(r.additional, func(key, value []byte) {
		own[string(key)] = true
		out = appendMember(out, key, value)
	})
	for _, e := range r.extras {
		if own[e.key] {
			r.fail("additionalModelRequestFields", "additionalModelRequestFields."+e.key+": the body's own parameters say it, too; keep one")
		}
		out = appendMember(out, e.key, e.value)
	}
	return append(out, '}')
}
