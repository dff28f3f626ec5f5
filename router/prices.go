package router

import (
	"pelton/router/protocol"
	"pelton/schema"
)

// Prices are USD per token. nil is unknown, which is not free: zero is.
type Prices struct {
	Input, Output         *float64
	CacheRead, CacheWrite *float64 // of input tokens; nil: as other input
	Reasoning             *float64 // of output tokens; nil: as other output
}

// Known reports whether the cost of any call can be told.
func (p Prices) Known() bool { return p.Input != nil && p.Output != nil }

// cost is what a call cost; not known without a price, and without a count of
// tokens. What is not used needs no price.
func (p Prices) cost(u protocol.Usage) (in, out float64, known bool) {
	if !u.Known || u.Input == 0 && u.Output == 0 && u.Total > 0 {
		return 0, 0, false
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

// addCost adds an attempt to what the request cost. An attempt that failed
// without a count of tokens adds nothing, as upstreams bill by that count; one
// that has a count and no price makes the sum unknown.
func (r *run) addCost(a schema.Attempt) {
	switch {
	case a.Cost == nil && a.Error != nil && a.Usage == nil:
	case a.Cost == nil:
		r.costUnknown, r.out.Cost = true, nil
	case r.costUnknown:
	case r.out.Cost == nil:
		r.out.Cost = a.Cost
	default:
		sum := *r.out.Cost + *a.Cost
		r.out.Cost = &sum
	}
}
