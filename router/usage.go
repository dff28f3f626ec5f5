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

// parseUsage reads the "usage" of an answer under either of the names that
// endpoints use. nil means that it counts nothing.
func parseUsage(raw []byte) *schema.Usage {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var u struct {
		Prompt     tokens `json:"prompt_tokens"`
		Completion tokens `json:"completion_tokens"`
		Input      tokens `json:"input_tokens"`
		Output     tokens `json:"output_tokens"`
		Total      tokens `json:"total_tokens"`
	}
	if json.Unmarshal(raw, &u) != nil {
		return nil
	}
	if !u.Prompt.set {
		u.Prompt = u.Input
	}
	if !u.Completion.set {
		u.Completion = u.Output
	}
	if !u.Prompt.set && !u.Completion.set && !u.Total.set {
		return nil
	}
	if !u.Total.set {
		u.Total.n = u.Prompt.n + u.Completion.n
	}
	return &schema.Usage{PromptTokens: u.Prompt.n, CompletionTokens: u.Completion.n, TotalTokens: u.Total.n}
}
