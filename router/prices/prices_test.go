package prices

import (
	"testing"

	"pelton/router/protocol"
)

func TestCost(t *testing.T) {
	one, two, four, eight := 1.0, 2.0, 4.0, 8.0
	plain := Prices{Input: &one, Output: &two}
	parts := Prices{Input: &one, Output: &two, CacheRead: &eight, CacheWrite: &four, Reasoning: &eight}
	for _, tt := range []struct {
		name    string
		prices  Prices
		usage   protocol.Usage
		in, out float64
		known   bool
	}{
		{"nothing is counted", plain, protocol.Usage{}, 0, 0, false},
		{"a total alone", plain, protocol.Usage{Known: true, Total: 5}, 0, 0, false},
		{"no price of what is used", Prices{Input: &one}, protocol.Usage{Known: true, Input: 3, Output: 1}, 0, 0, false},
		{"no price of what is not", Prices{Input: &one}, protocol.Usage{Known: true, Input: 3}, 3, 0, true},
		{"both", plain, protocol.Usage{Known: true, Input: 3, Output: 5}, 3, 10, true},
		{"parts without prices of their own", plain, protocol.Usage{Known: true, Input: 3, CacheRead: 2, Output: 5, Reasoning: 4}, 3, 10, true},
		{"parts", parts, protocol.Usage{Known: true, Input: 6, CacheRead: 2, CacheWrite: 1, Output: 5, Reasoning: 4}, 16 + 4 + 3, 32 + 2, true},
		{"parts beyond the whole", parts, protocol.Usage{Known: true, Input: 2, CacheRead: 3, CacheWrite: 3, Output: 1, Reasoning: 4}, 16, 8, true},
		{"billed otherwise", parts, protocol.Usage{Known: true, Input: 6, CacheRead: 6, Billed: true, BilledInput: 1, BilledOutput: 1}, 1, 2, true},
	} {
		in, out, known := tt.prices.Cost(tt.usage)
		if in != tt.in || out != tt.out || known != tt.known {
			t.Errorf("%s: %v, %v, %v", tt.name, in, out, known)
		}
	}
}
