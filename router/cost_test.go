package router

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestCost(t *testing.T) {
	full := Prices{Input: ptr(1e-6), Output: ptr(1e-5)}
	cached := Prices{Input: ptr(1e-6), Output: ptr(1e-5), CacheRead: ptr(1e-7), CacheWrite: ptr(2e-6), Reasoning: ptr(1e-4)}
	answer := func(usage string) respond { return body200(`{"choices":[{}],"usage":` + usage + `}`) }
	nine := answer(`{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}`)
	for _, tt := range []struct {
		name   string
		prices Prices
		answer respond
		want   float64 // -1: unknown
	}{
		{"both prices", full, nine, 9e-6 + 12e-5},
		{"no price", Prices{}, nine, -1},
		{"one price missing", Prices{Input: ptr(1e-6)}, nine, -1},
		{"free", Prices{Input: ptr(0.0), Output: ptr(0.0)}, nine, 0},
		{"no usage", full, answer(`null`), -1},
		{"a total only", full, answer(`{"total_tokens":5}`), -1},
		{"nothing put out needs no price", Prices{Input: ptr(1e-6)}, answer(`{"prompt_tokens":5,"total_tokens":5}`), 5e-6},
		{"cached, without a price of its own", full, answer(`{"prompt_tokens":10,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":4}}`), 10e-6},
		{"cached, OpenAI", cached, answer(`{"prompt_tokens":10,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":4}}`), 6e-6 + 4e-7},
		{"cached, Responses", cached, answer(`{"input_tokens":10,"output_tokens":0,"input_tokens_details":{"cached_tokens":4}}`), 6e-6 + 4e-7},
		{"cached, DeepSeek", cached, answer(`{"prompt_tokens":10,"completion_tokens":0,"prompt_cache_hit_tokens":4}`), 6e-6 + 4e-7},
		{"written to the cache", cached, answer(`{"prompt_tokens":10,"completion_tokens":0,"cache_creation_input_tokens":4,"cache_read_input_tokens":3}`), 3e-6 + 8e-6 + 3e-7},
		{"reasoning", cached, answer(`{"prompt_tokens":0,"completion_tokens":10,"completion_tokens_details":{"reasoning_tokens":8}}`), 2e-5 + 8e-4},
		{"details of no shape", cached, answer(`{"prompt_tokens":10,"completion_tokens":0,"prompt_tokens_details":[1]}`), 1e-5},
	} {
		ds := []Deployment{at("a", "g", func(d *Deployment) { d.Prices = tt.prices })}
		inWorld(t, Config{Deployments: ds}, map[string]respond{"a": tt.answer}, func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, g)
			got := -1.0
			if out.Cost != nil {
				got = *out.Cost
			}
			if math.Abs(got-tt.want) > 1e-12 || (out.Cost == nil) != (out.Attempts[0].Cost == nil) {
				t.Errorf("%s: %v, want %v: %v", tt.name, got, tt.want, out.Error)
			}
		})
	}
}

func TestCostIsSummed(t *testing.T) {
	priced := func(d *Deployment) { d.Prices = Prices{Input: ptr(1.0), Output: ptr(1.0)} }
	empty := body200(`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0}}`)
	for _, tt := range []struct {
		name string
		a, b Deployment
		ab   [2]respond
		want string
	}{
		{"both billed", at("a", "g", priced), at("b", "g", priced), [2]respond{empty, status(200)}, "24"},
		{"a failure that was not counted", at("a", "g", priced), at("b", "g", priced), [2]respond{status(500), status(200)}, "21, and 1 unknown"},
		{"a failure that was not billed", at("a", "g", priced), at("b", "g", priced), [2]respond{status(429), status(200)}, "21"},
		{"the second has no price", at("a", "g", priced), at("b", "g"), [2]respond{empty, status(200)}, "3, and 1 unpriced"},
		{"the first has none, and was counted", at("a", "g"), at("b", "g", priced), [2]respond{empty, status(200)}, "21, and 1 unpriced"},
		{"the first has none, and was not", at("a", "g"), at("b", "g", priced), [2]respond{status(500), status(200)}, "21, and 1 unknown"},
		{"neither has one", at("a", "g"), at("b", "g"), [2]respond{empty, status(200)}, "unknown, and 2 unpriced"},
	} {
		inWorld(t, Config{Deployments: []Deployment{tt.a, tt.b}, CooldownTime: new(time.Duration)}, map[string]respond{"a": tt.ab[0], "b": tt.ab[1]}, func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, g)
			got := "unknown"
			if out.Cost != nil {
				got = fmt.Sprint(*out.Cost)
			}
			if out.UnknownAttempts > 0 {
				got += fmt.Sprintf(", and %d unknown", out.UnknownAttempts)
			}
			if out.UnpricedAttempts > 0 {
				got += fmt.Sprintf(", and %d unpriced", out.UnpricedAttempts)
			}
			if got != tt.want || len(out.Attempts) != 2 {
				t.Errorf("%s: %s, want %s: %v", tt.name, got, tt.want, out.Error)
			}
		})
	}
}
