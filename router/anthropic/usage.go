package anthropic

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// usage is what an answer counts. Anthropic's input_tokens are those that were
// neither read from a cache nor written to one; OpenAI's are all.
type usage struct {
	known                    bool
	input, output            int64
	cacheRead, cacheWrite    int64
	thinking                 int64
	hasCache, hasThinking    bool
	creation, tier, rounds   []byte // as they are written
	serverTools, geo, faster []byte
}

// take adds a usage, or a part of one that comes later in a stream.
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
		case "input_tokens":
			u.input, _ = protocol.Count(value)
		case "output_tokens":
			u.output, _ = protocol.Count(value)
		case "cache_read_input_tokens":
			u.cacheRead, u.hasCache = translate.Count(value), true
		case "cache_creation_input_tokens":
			u.cacheWrite, u.hasCache = translate.Count(value), true
		case "cache_creation":
			u.creation = append(u.creation[:0], value...)
		case "service_tier":
			u.tier = append(u.tier[:0], value...)
		case "iterations":
			u.rounds = append(u.rounds[:0], value...)
		case "server_tool_use":
			u.serverTools = append(u.serverTools[:0], value...)
		case "inference_geo":
			u.geo = append(u.geo[:0], value...)
		case "speed":
			u.faster = append(u.faster[:0], value...)
		case "output_tokens_details":
			_, _ = rawjson.Object(value, func(key, value []byte) {
				if string(key) == "thinking_tokens" {
					u.thinking, u.hasThinking = translate.Count(value), true
				}
			})
		}
	})
}

// all are the tokens of all the rounds that the server made for one answer. The
// counts beside them are those of the last round alone.
func (u *usage) all() usage {
	sum, rounds := *u, 0
	_, _ = rawjson.Array(u.rounds, func(raw []byte) {
		if rounds++; rounds == 1 {
			sum.input, sum.output, sum.cacheRead, sum.cacheWrite = 0, 0, 0, 0
		}
		var one usage
		one.take(raw)
		sum.input, sum.output = sum.input+one.input, sum.output+one.output
		sum.cacheRead, sum.cacheWrite = sum.cacheRead+one.cacheRead, sum.cacheWrite+one.cacheWrite
	})
	return sum
}

// counted is the usage for the router.
func (u *usage) counted() protocol.Usage {
	all := u.all()
	input := all.input + all.cacheRead + all.cacheWrite
	return protocol.Usage{
		Known: u.known, Input: input, Output: all.output, Total: input + all.output,
		CacheRead: all.cacheRead, CacheWrite: all.cacheWrite, Reasoning: all.thinking,
	}
}

// append appends the usage in OpenAI's form.
func (u *usage) append(out []byte) []byte {
	all := u.all()
	input := all.input + all.cacheRead + all.cacheWrite
	out = strconv.AppendInt(append(out, `{"prompt_tokens":`...), input, 10)
	out = strconv.AppendInt(append(out, `,"completion_tokens":`...), all.output, 10)
	out = strconv.AppendInt(append(out, `,"total_tokens":`...), input+all.output, 10)
	if u.hasCache {
		out = strconv.AppendInt(append(out, `,"prompt_tokens_details":{"cached_tokens":`...), all.cacheRead, 10)
		out = strconv.AppendInt(append(out, `,"cache_write_tokens":`...), all.cacheWrite, 10)
		if u.creation != nil {
			out = append(append(out, `,"cache_creation_token_details":`...), u.creation...)
		}
		out = append(out, '}')
	}
	if u.hasThinking {
		out = strconv.AppendInt(append(out, `,"completion_tokens_details":{"reasoning_tokens":`...), u.thinking, 10)
		out = append(out, '}')
	}
	if u.hasCache {
		out = strconv.AppendInt(append(out, `,"cache_creation_input_tokens":`...), all.cacheWrite, 10)
		out = strconv.AppendInt(append(out, `,"cache_read_input_tokens":`...), all.cacheRead, 10)
	}
	for _, own := range [...]struct {
		name  string
		value []byte
	}{{"service_tier", u.tier}, {"iterations", u.rounds}, {"server_tool_use", u.serverTools}, {"inference_geo", u.geo}, {"speed", u.faster}} {
		if own.value != nil {
			out = translate.AppendMember(out, []byte(own.name), own.value)
		}
	}
	return append(out, '}')
}
