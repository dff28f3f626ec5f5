package gemini

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// usage is a usageMetadata. Gemini counts thoughts apart from the candidates, and
// what tools read apart from the prompt.
type usage struct {
	known                                              bool
	prompt, candidates, thoughts, tools, cached, total int64
	in, out                                            modalities
}

// modalities are tokens by kind. Negative: not counted.
type modalities struct{ text, image, audio int64 }

func readUsage(raw []byte) usage {
	u := usage{known: true, in: modalities{-1, -1, -1}, out: modalities{-1, -1, -1}}
	_, _ = rawjson.Object(raw, u.take)
	if u.total == 0 {
		u.total = u.prompt + u.tools + u.candidates + u.thoughts
	}
	return u
}

func (u *usage) take(key, value []byte) {
	switch string(key) {
	case "promptTokenCount":
		u.prompt, _ = protocol.Count(value)
	case "candidatesTokenCount":
		u.candidates, _ = protocol.Count(value)
	case "thoughtsTokenCount":
		u.thoughts, _ = protocol.Count(value)
	case "toolUsePromptTokenCount":
		u.tools, _ = protocol.Count(value)
	case "cachedContentTokenCount":
		u.cached, _ = protocol.Count(value)
	case "totalTokenCount":
		u.total, _ = protocol.Count(value)
	case "promptTokensDetails":
		rawjson.Array(value, u.in.add)
	case "candidatesTokensDetails":
		rawjson.Array(value, u.out.add)
	}
}

// add counts one entry of a list by modality.
func (m *modalities) add(raw []byte) {
	var kind []byte
	var n int64
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "modality":
			kind = value
		case "tokenCount":
			n, _ = protocol.Count(value)
		}
	})
	var to *int64
	switch string(kind) {
	case `"TEXT"`:
		to = &m.text
	case `"IMAGE"`:
		to = &m.image
	case `"AUDIO"`:
		to = &m.audio
	default:
		return
	}
	*to = max(*to, 0) + n
}

// output is all that the model wrote, thoughts included. Some servers count them
// among the candidates: the sum tells.
func (u *usage) output() int64 {
	if u.prompt+u.tools+u.candidates == u.total {
		return u.candidates
	}
	return u.candidates + u.thoughts
}

func (u *usage) counted() protocol.Usage {
	if !u.known {
		return protocol.Usage{}
	}
	return protocol.Usage{
		Known: true, Input: u.prompt + u.tools, Output: u.output(), Total: u.total,
		CacheRead: u.cached, Reasoning: u.thoughts, AudioIn: max(u.in.audio, 0), AudioOut: max(u.out.audio, 0),
	}
}

// append writes the usage in OpenAI's form.
func (u *usage) append(out []byte) []byte {
	out = strconv.AppendInt(append(out, `{"prompt_tokens":`...), u.prompt+u.tools, 10)
	out = strconv.AppendInt(append(out, `,"completion_tokens":`...), u.output(), 10)
	out = strconv.AppendInt(append(out, `,"total_tokens":`...), u.total, 10)
	out = append(out, `,"prompt_tokens_details":{`...)
	if u.cached > 0 {
		out = number(out, "cached_tokens", u.cached)
	}
	out = append(u.in.append(out), `},"completion_tokens_details":{`...)
	if u.thoughts > 0 {
		out = number(out, "reasoning_tokens", u.thoughts)
	}
	written := u.out
	if written == (modalities{-1, -1, -1}) {
		written.text = u.output() - u.thoughts
	}
	out = append(written.append(out), '}')
	if u.cached > 0 { // by LiteLLM's name too
		out = number(out, "cache_read_input_tokens", u.cached)
	}
	return append(out, '}')
}

func (m modalities) append(out []byte) []byte {
	if m.text >= 0 {
		out = number(out, "text_tokens", m.text)
	}
	if m.audio >= 0 {
		out = number(out, "audio_tokens", m.audio)
	}
	if m.image >= 0 {
		out = number(out, "image_tokens", m.image)
	}
	return out
}

func number(out []byte, name string, n int64) []byte {
	return strconv.AppendInt(translate.AppendKey(out, name), n, 10)
}
