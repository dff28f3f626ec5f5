package bedrock

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// usage is what an answer counts. Converse's inputTokens are those that were
// neither read from a cache nor written to one; OpenAI's are all.
type usage struct {
	known                 bool
	input, output         int64
	cacheRead, cacheWrite int64
	thinking              int64
	hasCache, hasThinking bool
	details               []byte // of what was written to a cache, as it is written
}

func (u *usage) take(raw []byte) {
	if !rawjson.IsObject(raw) {
		return
	}
	u.known = true
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if rawjson.IsNull(value) {
			return
		}
		switch string(key) {
		case "inputTokens":
			u.input = translate.Count(value)
		case "outputTokens":
			u.output = translate.Count(value)
		case "cacheReadInputTokens", "cacheReadInputTokenCount":
			u.cacheRead, u.hasCache = translate.Count(value), true
		case "cacheWriteInputTokens", "cacheWriteInputTokenCount":
			u.cacheWrite, u.hasCache = translate.Count(value), true
		case "cacheDetails":
			u.details = append(u.details[:0], value...)
		}
	})
}

// takeOwn reads what a model of Anthropic's says besides: how many of the
// answer's tokens were thoughts.
func (u *usage) takeOwn(fields []byte) {
	translate.Within(fields, "usage", func(value []byte) {
		translate.Within(value, "output_tokens_details", u.takeDetails)
	})
	translate.Within(fields, "output_tokens_details", u.takeDetails)
}

func (u *usage) takeDetails(raw []byte) {
	translate.Within(raw, "thinking_tokens", func(value []byte) { u.thinking, u.hasThinking = translate.Count(value), true })
}

func (u *usage) prompt() int64 { return u.input + u.cacheRead + u.cacheWrite }

// counted is the usage for the router.
func (u *usage) counted() protocol.Usage {
	return protocol.Usage{
		Known: u.known, Input: u.prompt(), Output: u.output, Total: u.prompt() + u.output,
		CacheRead: u.cacheRead, CacheWrite: u.cacheWrite, Reasoning: u.thinking,
	}
}

// append appends the usage in OpenAI's form.
func (u *usage) append(out []byte) []byte {
	number := func(before string, n int64) { out = strconv.AppendInt(append(out, before...), n, 10) }
	number(`{"prompt_tokens":`, u.prompt())
	number(`,"completion_tokens":`, u.output)
	number(`,"total_tokens":`, u.prompt()+u.output)
	if u.hasCache {
		number(`,"prompt_tokens_details":{"cached_tokens":`, u.cacheRead)
		number(`,"cache_write_tokens":`, u.cacheWrite)
		out = append(out, '}')
	}
	if u.hasThinking {
		number(`,"completion_tokens_details":{"reasoning_tokens":`, u.thinking)
		out = append(out, '}')
	}
	if u.hasCache {
		number(`,"cache_creation_input_tokens":`, u.cacheWrite)
		number(`,"cache_read_input_tokens":`, u.cacheRead)
	}
	if u.details != nil {
		out = translate.AppendMember(out, "cache_details", u.details)
	}
	return append(out, '}')
}
