package router

import (
	"fmt"
	"math"
	"time"
)

// Strategy is how a deployment is chosen among those of a group that are on the
// same level and can take the request. The names are LiteLLM's.
type Strategy string

const (
	// SimpleShuffle chooses at random: by Weight where any deployment of the
	// group has one (those without count 1), else by RPM, else by TPM (those
	// without count as the mean of the others), else evenly.
	SimpleShuffle Strategy = "simple-shuffle"

	// LeastBusy chooses the one with the fewest calls in flight here.
	LeastBusy Strategy = "least-busy"

	// UsageBased chooses the one with the fewest tokens in the last minute,
	// those of calls in flight estimated.
	UsageBased Strategy = "usage-based-routing"

	// LatencyBased chooses the quickest per token of output. One that nothing
	// recent is known of is asked by one call at a time.
	LatencyBased Strategy = "latency-based-routing"

	// CostBased chooses the cheapest by the sum of its input and output price.
	// An unknown price comes after every known one.
	CostBased Strategy = "cost-based-routing"
)

// ParseStrategy reads a strategy's name; empty is the default. Names that
// LiteLLM has for variants of one are understood.
func ParseStrategy(name string) (Strategy, error) {
	switch s := Strategy(name); s {
	case "":
		return SimpleShuffle, nil
	case SimpleShuffle, LeastBusy, UsageBased, LatencyBased, CostBased:
		return s, nil
	case "usage-based-routing-v2":
		return UsageBased, nil
	}
	return "", fmt.Errorf("unknown routing strategy %q: want %s, %s, %s, %s or %s", name,
		SimpleShuffle, LeastBusy, UsageBased, LatencyBased, CostBased)
}

// candidate is a deployment that may take the request, as far as the request
// itself is concerned.
type candidate struct {
	d     *deployment
	tried bool // it has failed on this request
	level int  // lower is asked first
}

// before reports whether c is to be asked before any of o's kind.
func (c candidate) before(o candidate) bool {
	if c.tried != o.tried {
		return o.tried
	}
	return c.level < o.level
}

// pick returns the index of the candidate to ask next: of those that none is
// before, the strategy's choice.
func (r *Router) pick(all []candidate, now time.Time) int {
	first, same := 0, 1
	for i := 1; i < len(all); i++ {
		switch {
		case all[i].before(all[first]):
			first, same = i, 1
		case !all[first].before(all[i]):
			same++
		}
	}
	if same == 1 {
		return first
	}
	if r.strategy == SimpleShuffle {
		return r.shuffle(all, all[first], same)
	}
	best, lowest, equal := first, math.Inf(1), 0
	for i, c := range all {
		if all[first].before(c) {
			continue
		}
		switch score := r.score(c.d, now); {
		case equal == 0 || score < lowest:
			best, lowest, equal = i, score, 1
		case score == lowest: // any of the equal ones, each as likely
			if equal++; r.rand()*float64(equal) >= float64(equal-1) && equal > 1 && r.strategy != CostBased {
				best = i
			} else if r.strategy == CostBased && c.d.inFlight.Load() < all[best].d.inFlight.Load() {
				best = i
			}
		}
	}
	return best
}

// score is what a strategy wants to be low.
func (r *Router) score(d *deployment, now time.Time) float64 {
	switch r.strategy {
	case LeastBusy:
		return float64(d.inFlight.Load())
	case UsageBased:
		return float64(d.usedTokens(now))
	case LatencyBased:
		perToken, known := d.pace(now)
		switch {
		case known:
			return perToken
		case d.inFlight.Load() == 0:
			return 0
		}
		return math.MaxFloat64
	case CostBased:
		if d.Prices.Known() {
			return *d.Prices.Input + *d.Prices.Output
		}
		return math.Inf(1)
	}
	return 0
}

// shuffle draws one of the same candidates that are like first, by weight.
func (r *Router) shuffle(all []candidate, first candidate, same int) int {
	kind, mean := weightKind(all, first)
	sum := 0.0
	for _, c := range all {
		if !first.before(c) {
			sum += c.d.weight(kind, mean)
		}
	}
	dice := r.rand()
	if sum <= 0 {
		kind, sum = evenly, float64(same)
	}
	dice *= sum
	last := 0
	for i, c := range all {
		if first.before(c) {
			continue
		}
		w := c.d.weight(kind, mean)
		if w <= 0 {
			continue
		}
		last = i
		if dice -= w; dice < 0 {
			return i
		}
	}
	return last
}

// What a shuffle goes by.
const (
	evenly = iota
	byWeight
	byRPM
	byTPM
)

// weightKind says what the shuffle goes by, and what those without it count as.
func weightKind(all []candidate, first candidate) (kind int, mean float64) {
	var weights, rpms, tpms int
	var rpm, tpm float64
	for _, c := range all {
		if first.before(c) {
			continue
		}
		if c.d.Weight != nil {
			weights++
		}
		if c.d.RPM > 0 {
			rpms++
			rpm += float64(c.d.RPM)
		}
		if c.d.TPM > 0 {
			tpms++
			tpm += float64(c.d.TPM)
		}
	}
	switch {
	case weights > 0:
		return byWeight, 1
	case rpms > 0:
		return byRPM, rpm / float64(rpms)
	case tpms > 0:
		return byTPM, tpm / float64(tpms)
	}
	return evenly, 1
}

func (d *deployment) weight(kind int, mean float64) float64 {
	switch {
	case kind == byWeight && d.Weight != nil:
		return *d.Weight
	case kind == byRPM && d.RPM > 0:
		return float64(d.RPM)
	case kind == byTPM && d.TPM > 0:
		return float64(d.TPM)
	}
	return mean
}
