package router

import (
	"bytes"
	"math"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/schema"
)

// details are the parts of a usage that may have prices of their own.
type details struct {
	cacheRead, cacheWrite, reasoning int64
}

// count reads a number of tokens as servers write it: a whole number, a float,
// or a string. Anything else counts as absent.
func count(raw []byte) (int64, bool) {
	raw = bytes.Trim(raw, `"`)
	n := int64(0)
	for _, c := range raw {
		if c < '0' || c > '9' || len(raw) > 15 {
			f, err := strconv.ParseFloat(string(raw), 64)
			return int64(f), err == nil && f >= 0 && f < math.MaxInt64/2
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(raw) > 0
}

// usage is what an answer counts, while it is read.
type usage struct {
	prompt, completion, total          int64
	hasPrompt, hasCompletion, hasTotal bool
	details
}

// parseUsage reads the "usage" of an answer under either of the names that
// endpoints use. nil means that it counts nothing.
func parseUsage(raw []byte) (*schema.Usage, details) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, details{}
	}
	var u usage
	if object, _ := rawjson.Object(raw, u.take); !object || !u.hasPrompt && !u.hasCompletion && !u.hasTotal {
		return nil, details{}
	}
	if !u.hasTotal {
		u.total = u.prompt + u.completion
	}
	return &schema.Usage{PromptTokens: u.prompt, CompletionTokens: u.completion, TotalTokens: u.total}, u.details
}

func (u *usage) take(key, value []byte) {
	switch string(key) {
	case "prompt_tokens":
		u.set(&u.prompt, &u.hasPrompt, value, true)
	case "completion_tokens":
		u.set(&u.completion, &u.hasCompletion, value, true)
	case "input_tokens":
		u.set(&u.prompt, &u.hasPrompt, value, false)
	case "output_tokens":
		u.set(&u.completion, &u.hasCompletion, value, false)
	case "total_tokens":
		u.set(&u.total, &u.hasTotal, value, true)
	case "prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details":
		_, _ = rawjson.Object(value, u.take)
	case "cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens": // DeepSeek's is the last
		if n, ok := count(value); ok {
			u.cacheRead = max(u.cacheRead, n)
		}
	case "cache_creation_input_tokens":
		u.cacheWrite, _ = count(value)
	case "reasoning_tokens":
		u.reasoning, _ = count(value)
	}
}

// set keeps a count; the first kind of name beats the second.
func (u *usage) set(to *int64, has *bool, value []byte, first bool) {
	if n, ok := count(value); ok && (first || !*has) {
		*to, *has = n, true
	}
}
