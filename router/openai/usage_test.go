package openai

import (
	"testing"

	"pelton/router/protocol"
)

func TestParseUsage(t *testing.T) {
	for raw, want := range map[string]protocol.Usage{
		`{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}`: {Known: true, Input: 9, Output: 12, Total: 21},
		`{"input_tokens":9,"output_tokens":12,"total_tokens":21}`:      {Known: true, Input: 9, Output: 12, Total: 21},
		`{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":2},"completion_tokens_details":{"reasoning_tokens":5,"audio_tokens":3}}`: {Known: true, Input: 9, Output: 12, Total: 21, CacheRead: 4, Reasoning: 5, AudioIn: 2, AudioOut: 3},
		`{"input_tokens":9,"output_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":3}`:                                                                            {Known: true, Input: 9, Output: 1, Total: 10, CacheRead: 2, CacheWrite: 3},
		`{"prompt_tokens":9.0,"completion_tokens":"12"}`: {Known: true, Input: 9, Output: 12, Total: 21},
		`{"prompt_tokens":5,"total_tokens":5}`:           {Known: true, Input: 5, Total: 5},
		`{"prompt_tokens":null,"completion_tokens":-1}`:  {},
		`{"prompt_tokens":1e300}`:                        {},
		`{}`:                                             {}, `null`: {}, `[]`: {}, `"x"`: {}, ``: {},
	} {
		if got := parseUsage([]byte(raw)); got != want {
			t.Errorf("%s: %+v, want %+v", raw, got, want)
		}
	}
}
