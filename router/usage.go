package router

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"pelton/schema"
)

// tokens is a count as servers write it: a whole number, a float, or a string.
// Anything else counts as absent.
type tokens struct {
	n   int64
	set bool
}

func (t *tokens) UnmarshalJSON(b []byte) error {
	b = bytes.Trim(b, `"`)
	f, err := strconv.ParseFloat(string(b), 64)
	if err == nil && f >= 0 && f < math.MaxInt64/2 {
		t.n, t.set = int64(f), true
	}
	return nil
}

// details are the parts of a usage that may have prices of their own.
type details struct {
	cacheRead, cacheWrite, reasoning int64
}

// parseUsage reads the "usage" of an answer under either of the names that
// endpoints use. nil means that it counts nothing.
func parseUsage(raw []byte) (*schema.Usage, details) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, details{}
	}
	var u struct {
		Prompt     tokens `json:"prompt_tokens"`
		Completion tokens `json:"completion_tokens"`
		Input      tokens `json:"input_tokens"`
		Output     tokens `json:"output_tokens"`
		Total      tokens `json:"total_tokens"`

		PromptDetails     parts  `json:"prompt_tokens_details"`
		InputDetails      parts  `json:"input_tokens_details"`
		CompletionDetails parts  `json:"completion_tokens_details"`
		OutputDetails     parts  `json:"output_tokens_details"`
		CacheRead         tokens `json:"cache_read_input_tokens"`
		CacheWrite        tokens `json:"cache_creation_input_tokens"`
		CacheHit          tokens `json:"prompt_cache_hit_tokens"` // DeepSeek
	}
	if json.Unmarshal(raw, &u) != nil {
		return nil, details{}
	}
	if !u.Prompt.set {
		u.Prompt = u.Input
	}
	if !u.Completion.set {
		u.Completion = u.Output
	}
	if !u.Prompt.set && !u.Completion.set && !u.Total.set {
		return nil, details{}
	}
	if !u.Total.set {
		u.Total.n = u.Prompt.n + u.Completion.n
	}
	return &schema.Usage{PromptTokens: u.Prompt.n, CompletionTokens: u.Completion.n, TotalTokens: u.Total.n}, details{
		cacheRead:  max(u.PromptDetails.Cached.n, u.InputDetails.Cached.n, u.CacheRead.n, u.CacheHit.n),
		cacheWrite: u.CacheWrite.n,
		reasoning:  max(u.CompletionDetails.Reasoning.n, u.OutputDetails.Reasoning.n),
	}
}

// parts are the details of a count. Anything but an object counts as absent.
type parts struct{ Cached, Reasoning tokens }

func (p *parts) UnmarshalJSON(b []byte) error {
	var in struct {
		Cached    tokens `json:"cached_tokens"`
		Reasoning tokens `json:"reasoning_tokens"`
	}
	if json.Unmarshal(b, &in) == nil {
		p.Cached, p.Reasoning = in.Cached, in.Reasoning
	}
	return nil
}
