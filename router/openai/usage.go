package openai

import (
	"pelton/internal/rawjson"
	"pelton/router/protocol"
)

// usage is what an answer counts, while it is read.
type usage struct {
	protocol.Usage
	hasInput, hasOutput, hasTotal bool
}

// parseUsage reads the "usage" of an answer under either of the names that
// endpoints use.
func parseUsage(raw []byte) protocol.Usage {
	if len(raw) == 0 || raw[0] != '{' {
		return protocol.Usage{}
	}
	var u usage
	if object, _ := rawjson.Object(raw, u.take); !object || !u.hasInput && !u.hasOutput && !u.hasTotal {
		return protocol.Usage{}
	}
	if !u.hasTotal {
		u.Total = u.Input + u.Output
	}
	u.Known = true
	return u.Usage
}

func (u *usage) take(key, value []byte) {
	switch string(key) {
	case "prompt_tokens":
		set(&u.Input, &u.hasInput, value, true)
	case "completion_tokens":
		set(&u.Output, &u.hasOutput, value, true)
	case "input_tokens":
		set(&u.Input, &u.hasInput, value, false)
	case "output_tokens":
		set(&u.Output, &u.hasOutput, value, false)
	case "total_tokens":
		set(&u.Total, &u.hasTotal, value, true)
	case "prompt_tokens_details", "input_tokens_details":
		_, _ = rawjson.Object(value, u.takeInput)
	case "completion_tokens_details", "output_tokens_details":
		_, _ = rawjson.Object(value, u.takeOutput)
	default:
		u.takePart(key, value)
	}
}

func (u *usage) takeInput(key, value []byte) {
	if string(key) == "audio_tokens" {
		u.AudioIn, _ = protocol.Count(value)
		return
	}
	u.takePart(key, value)
}

func (u *usage) takeOutput(key, value []byte) {
	if string(key) == "audio_tokens" {
		u.AudioOut, _ = protocol.Count(value)
		return
	}
	u.takePart(key, value)
}

// takePart reads the parts that servers count in one place or another.
func (u *usage) takePart(key, value []byte) {
	switch string(key) {
	case "cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens": // DeepSeek's is the last
		if n, ok := protocol.Count(value); ok {
			u.CacheRead = max(u.CacheRead, n)
		}
	case "cache_creation_input_tokens":
		u.CacheWrite, _ = protocol.Count(value)
	case "reasoning_tokens":
		u.Reasoning, _ = protocol.Count(value)
	}
}

// set keeps a count; the first kind of name beats the second.
func set(to *int64, has *bool, value []byte, first bool) {
	if n, ok := protocol.Count(value); ok && (first || !*has) {
		*to, *has = n, true
	}
}
