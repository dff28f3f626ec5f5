package gemini

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// answer is a GenerateContentResponse, or what several of a stream add up to.
// Texts are kept as they are written, without their quotes: what is escaped
// stays escaped.
type answer struct {
	id, model                 []byte
	choices                   []choice
	usage                     usage
	blockReason, blockMessage []byte
	fault                     []byte // an "error" in the place of an answer
	body                      []byte // of the request, for names that were rewritten
}

// choice is a candidate.
type choice struct {
	index                 int
	text, thought         []byte
	hasText               bool
	calls                 []functionCall
	signatures, images    [][]byte // images are inlineData
	others                [][]byte // parts that have no place in OpenAI's form
	thoughtSignature      []byte
	finish, finishMessage []byte
	logprobs              []byte
	metadata              [len(metadata)][]byte
}

type functionCall struct{ id, name, args, signature []byte }

// said reports whether there is anything of an answer in it.
func (c *choice) said() bool {
	return len(c.text) > 0 || len(c.calls) > 0 || len(c.images) > 0 || len(c.others) > 0
}

// take keeps one member of a response.
func (a *answer) take(key, value []byte) {
	switch string(key) {
	case "candidates":
		rawjson.Array(value, a.candidate)
	case "usageMetadata":
		a.usage = readUsage(value)
	case "modelVersion":
		a.model = translate.Inner(value)
	case "responseId":
		a.id = translate.Inner(value)
	case "promptFeedback":
		_, _ = rawjson.Object(value, func(key, value []byte) {
			switch string(key) {
			case "blockReason":
				a.blockReason = translate.Inner(value)
			case "blockReasonMessage":
				a.blockMessage = translate.Inner(value)
			}
		})
	case "error":
		a.fault = value
	}
}

func (a *answer) candidate(raw []byte) {
	a.choices = append(a.choices, choice{index: len(a.choices)})
	_, _ = rawjson.Object(raw, a.choices[len(a.choices)-1].take)
}

// take keeps one member of a candidate.
func (c *choice) take(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(key) {
	case "content":
		_, _ = rawjson.Object(value, func(key, value []byte) {
			if string(key) == "parts" {
				rawjson.Array(value, c.part)
			}
		})
	case "index":
		if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
			c.index = n
		}
	case "finishReason":
		c.finish = translate.Inner(value)
	case "finishMessage":
		c.finishMessage = translate.Inner(value)
	case "logprobsResult":
		c.logprobs = appendLogprobs(nil, value)
	default:
		for i := range metadata {
			if metadata[i].name == string(key) {
				c.metadata[i] = value
			}
		}
	}
}

// answerPart is one part of a candidate, as written.
type answerPart struct {
	text, call, data, signature []byte
	thought, other              bool
}

func (p *answerPart) take(key, value []byte) {
	switch string(key) {
	case "text":
		p.text = value
	case "thought":
		p.thought = string(value) == "true"
	case "thoughtSignature":
		p.signature = translate.Inner(value)
	case "functionCall":
		p.call = value
	case "inlineData":
		p.data = value
	default:
		p.other = true
	}
}

// part keeps one part of the content.
func (c *choice) part(raw []byte) {
	var p answerPart
	_, _ = rawjson.Object(raw, p.take)
	if len(p.signature) > 0 && !p.thought {
		c.signatures = append(c.signatures, p.signature)
	}
	switch {
	case p.thought:
		c.thought = join(c.thought, translate.Inner(p.text))
		if len(p.signature) > 0 {
			c.thoughtSignature = p.signature
		}
	case p.call != nil:
		c.call(p.call, p.signature)
	case p.data != nil:
		c.images = append(c.images, p.data)
	case rawjson.IsString(p.text):
		c.text, c.hasText = join(c.text, translate.Inner(p.text)), true
	case p.other:
		c.others = append(c.others, raw)
	}
}

// join appends a text to another. The first is kept where it stands.
func join(text, more []byte) []byte {
	if text == nil {
		return slices.Clip(more)
	}
	return append(text, more...)
}

func (c *choice) call(raw, signature []byte) {
	call := functionCall{signature: signature}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "id":
			call.id = translate.Inner(value)
		case "name":
			call.name = translate.Inner(value)
		case "args":
			call.args = value
		}
	})
	if len(call.id) == 0 {
		call.id = fmt.Appendf(nil, "call_%016x%08x", rand.Uint64(), rand.Uint32())
	}
	c.calls = append(c.calls, call)
}

// appendLogprobs writes a logprobsResult in OpenAI's form: the members of
// "content".
func appendLogprobs(out, raw []byte) []byte {
	var chosen []byte
	var top [][]byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "chosenCandidates":
			chosen = value
		case "topCandidates":
			rawjson.Array(value, func(value []byte) {
				var these []byte
				_, _ = rawjson.Object(value, func(key, value []byte) {
					if string(key) == "candidates" {
						these = value
					}
				})
				top = append(top, these)
			})
		}
	})
	if chosen == nil {
		return nil
	}
	at := 0
	rawjson.Array(chosen, func(raw []byte) {
		if at > 0 {
			out = append(out, ',')
		}
		out = append(appendLogprob(out, raw), `,"top_logprobs":[`...)
		if at < len(top) && top[at] != nil {
			rawjson.Array(top[at], func(raw []byte) { out = append(appendLogprob(translate.Comma(out), raw), '}') })
		}
		out = append(out, "]}"...)
		at++
	})
	return out
}

// appendLogprob writes one token, without the brace at its end.
func appendLogprob(out, raw []byte) []byte {
	token, probability := []byte(`""`), []byte("0")
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "token":
			token = value
		case "logProbability":
			probability = value
		}
	})
	out = append(append(out, `{"token":`...), token...)
	return append(append(append(out, `,"logprob":`...), probability...), `,"bytes":null`...)
}

// lacks says what an answer must have and this one has not; empty: nothing.
func (a *answer) lacks() string {
	if len(a.choices) == 0 {
		return "the answer holds no candidates"
	}
	for i := range a.choices {
		if outcomeOf(a.choices[i].finish) == unfinished {
			return "the answer ended before it was complete: it brought no finishReason"
		}
	}
	return ""
}

// head is what answers and chunks begin with.
func (a *answer) head(out []byte, object string, created int64) []byte {
	out = append(append(append(out, `{"id":"`...), a.id...), `","object":"`...)
	out = strconv.AppendInt(append(append(out, object...), `","created":`...), created, 10)
	return append(append(append(out, `,"model":"`...), a.model...), `","choices":[`...)
}

// named gives the answer an id and a model where it came without.
func (a *answer) named(model string) {
	if len(a.id) == 0 {
		a.id = fmt.Appendf(nil, "chatcmpl-%016x%016x", rand.Uint64(), rand.Uint64())
	}
	if len(a.model) == 0 {
		quoted := rawjson.AppendString(nil, model)
		a.model = quoted[1 : len(quoted)-1]
	}
}

// render writes the answer as a chat completion.
func (a *answer) render(out []byte, created int64, tier string) []byte {
	out = a.head(out, "chat.completion", created)
	for i := range a.choices {
		c := &a.choices[i]
		out = strconv.AppendInt(append(translate.Comma(out), `{"index":`...), int64(c.index), 10)
		out = append(out, `,"message":{"role":"assistant","content":`...)
		if c.hasText {
			out = append(append(append(out, '"'), c.text...), '"')
		} else {
			out = append(out, "null"...)
		}
		out = append(a.appendMessage(out, c, true), '}')
		out = c.appendEnd(out)
	}
	out = append(out, ']')
	if a.usage.known {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	if tier != "" {
		out = rawjson.AppendString(append(out, `,"service_tier":`...), tier)
	}
	return append(a.appendMetadata(out), '}')
}

// appendEnd writes how a choice ended, and its brace.
func (c *choice) appendEnd(out []byte) []byte {
	if c.logprobs != nil {
		out = append(append(append(out, `,"logprobs":{"content":[`...), c.logprobs...), "]}"...)
	}
	reason := c.finishReason()
	if reason == "" {
		return append(out, `,"finish_reason":null}`...)
	}
	out = append(append(append(out, `,"finish_reason":"`...), reason...), '"')
	return append(append(append(out, `,"provider_specific_fields":{"native_finish_reason":"`...), c.finish...), `"}}`...)
}

// appendMessage writes what stands beside a message's content, or a delta's.
func (a *answer) appendMessage(out []byte, c *choice, whole bool) []byte {
	if c.thought != nil {
		out = append(append(append(translate.AppendKey(out, "reasoning_content"), '"'), c.thought...), '"')
	}
	if whole && c.thought != nil {
		out = append(append(append(translate.AppendKey(out, "thinking_blocks"), `[{"type":"thinking","thinking":"`...), c.thought...), '"')
		if c.thoughtSignature != nil {
			out = append(append(append(out, `,"signature":"`...), c.thoughtSignature...), '"')
		}
		out = append(out, "}]"...)
	}
	if len(c.calls) > 0 {
		out = append(translate.AppendKey(out, "tool_calls"), '[')
		for i := range c.calls {
			out = a.appendCall(append(translate.Comma(out), '{'), &c.calls[i])
		}
		out = append(out, ']')
	}
	out = appendData(out, c.images)
	if len(c.signatures)+len(c.others) == 0 {
		return out
	}
	out = append(translate.AppendKey(out, "provider_specific_fields"), '{')
	if len(c.signatures) > 0 {
		out = append(translate.AppendKey(out, "thought_signatures"), '[')
		for _, signature := range c.signatures {
			out = append(append(append(translate.Comma(out), '"'), signature...), '"')
		}
		out = append(out, ']')
	}
	if len(c.others) > 0 {
		out = append(append(append(translate.AppendKey(out, "parts"), '['), bytes.Join(c.others, []byte{','})...), ']')
	}
	return append(out, '}')
}

// appendCall writes a function call, whose brace is open. Its arguments are the object
// that came, as text.
func (a *answer) appendCall(out []byte, call *functionCall) []byte {
	out = append(append(append(translate.Comma(out), `"id":"`...), call.id...), `","type":"function","function":{"name":"`...)
	out = append(append(out, originalName(a.body, call.name)...), `","arguments":`...)
	args := call.args
	if rawjson.IsNull(args) {
		args = []byte("{}")
	}
	out = append(rawjson.AppendString(out, args), '}')
	if call.signature != nil {
		out = append(append(append(out, `,"provider_specific_fields":{"thought_signature":"`...), call.signature...), `"}`...)
	}
	return append(out, '}')
}

// appendData writes bytes that came: sound as a message's audio, and all else as
// images.
func appendData(out []byte, all [][]byte) []byte {
	images := 0
	for _, raw := range all {
		var data, kind []byte
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			switch string(key) {
			case "data":
				data = translate.Inner(value)
			case "mimeType":
				kind = translate.Inner(value)
			}
		})
		if bytes.HasPrefix(kind, []byte("audio/")) {
			out = append(translate.AppendKey(out, "audio"), `{"id":"`...)
			out = append(fmt.Appendf(out, "audio_%016x", rand.Uint64()), `","expires_at":0,"transcript":"","data":"`...)
			out = append(append(out, data...), `"}`...)
			continue
		}
		if images == 0 {
			out = append(translate.AppendKey(out, "images"), '[')
		} else {
			out = append(out, ',')
		}
		out = append(append(append(out, `{"type":"image_url","image_url":{"url":"data:`...), kind...), ";base64,"...)
		out = strconv.AppendInt(append(append(out, data...), `","detail":"auto"},"index":`...), int64(images), 10)
		out = append(out, '}')
		images++
	}
	if images > 0 {
		out = append(out, ']')
	}
	return out
}

// metadata is what Gemini tells of its candidates and OpenAI's form has no place
// for, with the names that LiteLLM gives it.
var metadata = [...]struct{ name, to string }{
	{"groundingMetadata", "vertex_ai_grounding_metadata"}, {"urlContextMetadata", "vertex_ai_url_context_metadata"},
	{"safetyRatings", "vertex_ai_safety_results"}, {"citationMetadata", "vertex_ai_citation_metadata"},
}

func (a *answer) appendMetadata(out []byte) []byte {
	for i := range metadata {
		open := false
		for j := range a.choices {
			if raw := a.choices[j].metadata[i]; raw != nil {
				if !open {
					open, out = true, append(translate.AppendKey(out, metadata[i].to), '[')
				}
				out = append(translate.Comma(out), raw...)
			}
		}
		if open {
			out = append(out, ']')
		}
	}
	return out
}
