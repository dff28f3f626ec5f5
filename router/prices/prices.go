// Package prices says what calls cost.
package prices

import "pelton/router/protocol"

// Prices are USD per token. nil is unknown, which is not free: zero is.
type Prices struct {
	Input, Output         *float64
	CacheRead, CacheWrite *float64 // of input tokens; nil: as other input
	Reasoning             *float64 // of output tokens; nil: as other output
}

// Known reports whether the cost of any call can be told.
func (p Prices) Known() bool { return p.Input != nil && p.Output != nil }

// Cost is what the input and the output of a call cost, in USD; not known without a
// price, and without a count of tokens. What is not used needs no price.
func (p Prices) Cost(u protocol.Usage) (in, out float64, known bool) {
	if !u.Known || u.Input == 0 && u.Output == 0 && u.Total > 0 {
		return 0, 0, false
	}
	if u.Billed {
		u = protocol.Usage{Input: u.BilledInput, Output: u.BilledOutput}
	}
	input, output := u.Input, u.Output
	known = true
	charge := func(sum *float64, n int64, prices ...*float64) {
		if n <= 0 {
			return
		}
		for _, price := range prices {
			if price != nil {
				*sum += float64(n) * *price
				return
			}
		}
		known = false
	}
	read, write := min(u.CacheRead, input), min(u.CacheWrite, max(input-u.CacheRead, 0))
	thought := min(u.Reasoning, output)
	charge(&in, read, p.CacheRead, p.Input)
	charge(&in, write, p.CacheWrite, p.Input)
	charge(&in, input-read-write, p.Input)
	charge(&out, thought, p.Reasoning, p.Output)
	charge(&out, output-thought, p.Output)
	if !known {
		return 0, 0, false
	}
	return in, out, true
}
