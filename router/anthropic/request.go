package anthropic

import (
	"bytes"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// request is one body of OpenAI's chat completions on its way into one of
// Anthropic's messages. One goroutine uses it.
//
// The body is read where it stands and written into one buffer: texts are
// copied as they are written, and nothing is decoded that need not be.
type request struct {
	translate.Refusals
	model
	via    *transport
	stream bool // the answer is to be streamed to the reader
	note   note

	bound     int  // max_tokens as sent
	defaulted bool // it is the model's, for the body has none
	tier      bool // service_tier is to be standard_only

	fields
	thinkingParams
}

// fields are the members of a body that are looked at more than once, or out of
// their order.
type fields struct {
	messages, maxTokens, maxCompletion, stop      []byte
	tools, toolChoice, parallel                   []byte
	user, identifier, metadata, temperature, topP []byte
	topK, betas, system                           []byte // system: Anthropic's own
}

// note is what the reader of the answer has to know of the request.
type note struct {
	renamed []translate.Renamed // tools that have another name there
	schema  bool                // the answer's text is the input of the tool schemaTool
	usage   bool                // the stream is to tell the usage

	defaulted bool // max_tokens is ours
	room      int  // what the server said that it can be; 0: nothing
	again     bool // it was signed again, after the signature was refused
}

// append appends the body to send to out. Where it returns an error, what it
// wrote is of no use.
func (r *request) append(out, body []byte) ([]byte, error) {
	out = append(out, '{')
	if !r.via.modelInURL {
		out = append(rawjson.AppendString(append(out, `"model":`...), r.name), ',')
	}
	if r.via.version != "" {
		out = append(append(append(out, `"anthropic_version":"`...), r.via.version...), `",`...)
	}
	object, _ := rawjson.Object(body, func(key, value []byte) {
		if !rawjson.IsNull(value) && !r.take(key, value) { // Anthropic's own, or nobody's: the server says so then
			out = append(append(append(append(append(out, '"'), key...), `":`...), value...), ',')
		}
	})
	if !object {
		r.Fail("", "the body is no JSON object")
	}
	if r.Err != nil {
		return out, r.Err
	}
	out = r.appendMaxTokens(out)
	said := conversation{Refusals: r.Refusals, names: toolNames{tools: r.tools}, system: r.system, midSystem: r.midSystem}
	if out = said.append(out, r.messages); said.Err != nil {
		return out, said.Err
	}
	given := tools{Refusals: r.Refusals, model: r.model, names: said.names, choice: r.toolChoice, parallel: r.parallel, format: r.format}
	if out = given.append(out); given.Err != nil {
		return out, given.Err
	}
	r.note.renamed, r.note.schema = given.names.Renamed, given.schemaOnly
	thought := thinking{Refusals: r.Refusals, model: r.model, thinkingParams: r.thinkingParams, bound: r.bound}
	if out = thought.append(out); thought.Err != nil {
		return out, thought.Err
	}
	out = r.appendSampling(out, thought.on)
	out = r.appendStop(out)
	out = r.appendUser(out)
	if len(r.via.betas) > 0 || r.betas != nil || r.structured(&r.model) && r.via.schemaBeta != "" {
		out = r.appendBetas(out)
	}
	if long := r.via.asStream && r.bound > longAnswer; (r.stream || long) && !r.via.streamInURL {
		out = append(out, `,"stream":true`...)
	}
	return append(out, '}'), r.Err
}

// take keeps a member of the body. It reports false for one that goes out as it
// is.
func (r *request) take(key, value []byte) bool {
	switch string(key) {
	case "model", "stream":
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
	case "user":
		r.user = value
	case "safety_identifier":
		r.identifier = value
	case "metadata":
		r.metadata = value
	case "temperature":
		r.temperature = value
	case "top_p":
		r.topP = value
	case "top_k":
		r.topK = value
	case "system":
		r.system = value
	case "anthropic_beta":
		r.betas = value
	case "service_tier":
		return r.takeTier(value)
	default:
		return r.takeForeign(key, value)
	}
	return true
}

// takeForeign deals with OpenAI's parameters that Anthropic has no place for.
// What asks for no more than OpenAI does by itself is left out.
func (r *request) takeForeign(key, value []byte) bool {
	switch name := string(key); name {
	case "seed", "logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "store", "prediction",
		"audio", "web_search_options", "prompt_cache_key", "prompt_cache_retention":
		if protocol.Present(value) && string(value) != "0.0" {
			r.LeaveOut(name, foreign[name])
		}
	default:
		return r.Foreign(name, value)
	}
	return true
}

// foreign says what to do instead, where there is something.
var foreign = map[string]string{
	"web_search_options": "put Anthropic's own tool web_search into tools instead",
	"prompt_cache_key":   "mark what is to be cached by cache_control instead",
}

// takeFormat reads response_format.
func (r *request) takeFormat(value []byte) {
	var kind, inner []byte
	_, _ = rawjson.Object(value, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "json_schema":
			inner = value
		}
	})
	switch string(kind) {
	case `"text"`:
	case `"json_schema"`:
		_, _ = rawjson.Object(inner, func(key, value []byte) {
			if string(key) == "schema" && rawjson.IsObject(value) {
				r.format = value
			}
		})
		if r.format == nil {
			r.Fail("response_format", "response_format.json_schema.schema: missing")
		}
	case `"json_object"`:
		r.LeaveOut("response_format", "it has no mode for JSON without a schema: give one by json_schema")
	default:
		r.Fail("response_format", "response_format.type: must be text, json_object or json_schema")
	}
}

// takeTier maps the tier of service; it reports false where it goes out as it is.
func (r *request) takeTier(value []byte) bool {
	switch string(value) {
	case `"auto"`, `"standard_only"`:
		return false
	case `"default"`:
		r.tier = true
	default:
		r.LeaveOut("service_tier", "it knows auto, default and standard_only")
	}
	return true
}

// appendMaxTokens appends the bound on the answer, which Anthropic asks for: the
// model's own where the body has none.
func (r *request) appendMaxTokens(out []byte) []byte {
	out = append(out, `"max_tokens":`...)
	given := r.maxTokens
	if r.maxCompletion != nil {
		given = r.maxCompletion
	}
	if given != nil {
		r.bound, _ = strconv.Atoi(string(given))
		return append(out, given...)
	}
	r.bound = r.limit
	if budget := r.budget(&r.model); budget > 0 {
		r.bound = min(r.bound, budget+4096)
	}
	r.defaulted = true
	return strconv.AppendInt(out, int64(r.bound), 10)
}

// appendSampling appends what steers the choice of words, of a model that thinks
// or does not.
func (r *request) appendSampling(out []byte, thinks bool) []byte {
	for _, p := range [...]struct {
		name  string
		value []byte
	}{{"temperature", r.temperature}, {"top_p", r.topP}, {"top_k", r.topK}} {
		one := string(p.value) == "1" || string(p.value) == "1.0"
		switch {
		case p.value == nil:
		case !r.sampling && p.name != "top_k" && one: // what it does anyway
		case !r.sampling:
			r.LeaveOut(p.name, "the model "+r.name+" takes none")
		case p.name == "temperature" && thinks && !one:
			r.LeaveOut(p.name, "a model that thinks takes no other than 1")
		case p.name == "temperature" && above(p.value, 1):
			r.LeaveOut(p.name, "it takes 0 to 1")
		default:
			out = translate.AppendMember(out, []byte(p.name), p.value)
		}
	}
	return out
}

func above(raw []byte, most float64) bool {
	n, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && n > most
}

// appendStop appends the texts at which the answer ends.
func (r *request) appendStop(out []byte) []byte {
	switch {
	case r.stop == nil || !protocol.Present(r.stop):
		return out
	case rawjson.IsString(r.stop):
		out = append(append(out, `,"stop_sequences":[`...), r.stop...)
		return append(out, ']')
	}
	return translate.AppendMember(out, []byte("stop_sequences"), r.stop)
}

// appendUser appends who asked, by a name that is no person's: an address or a
// telephone number is refused, and not sent.
func (r *request) appendUser(out []byte) []byte {
	if r.tier {
		out = append(out, `,"service_tier":"standard_only"`...)
	}
	id := r.identifier
	if id == nil {
		id = r.user
	}
	if r.metadata != nil && protocol.Present(r.metadata) {
		_, _ = rawjson.Object(r.metadata, func(key, value []byte) {
			if string(key) == "user_id" {
				id = value
			} else {
				r.LeaveOut("metadata", "it takes user_id alone")
			}
		})
	}
	if !rawjson.IsString(id) || personal(translate.Plain(id)) {
		return out
	}
	return append(append(append(out, `,"metadata":{"user_id":`...), id...), '}')
}

// personal reports whether a text looks like an e-mail address or a telephone
// number.
func personal(text []byte) bool {
	if len(text) == 0 || bytes.IndexByte(text, '@') > 0 {
		return true
	}
	digits := 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '+' && i == 0, c == ' ', c == '-', c == '(', c == ')':
		default:
			return false
		}
	}
	return text[0] == '+' && digits >= 7
}

// appendBetas appends the features to switch on that are named in the body,
// where headers are not read.
func (r *request) appendBetas(out []byte) []byte {
	out = append(out, `,"anthropic_beta":[`...)
	for _, beta := range r.via.betas {
		out = rawjson.AppendString(translate.Comma(out), beta)
	}
	if r.structured(&r.model) && r.via.schemaBeta != "" {
		out = rawjson.AppendString(translate.Comma(out), r.via.schemaBeta)
	}
	_, _ = rawjson.Array(r.betas, func(value []byte) { out = append(translate.Comma(out), value...) })
	return append(out, ']')
}
