package owner

import (
	"slices"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// tally counts a job's results. One goroutine uses it.
type tally struct {
	counts schema.Counts
	usage  schema.Usage
	used   bool // usage is known of some result
	cost   *float64
	// Attempts that are missing in the usage and the cost, and in the cost alone.
	unknown, unpriced int
	incomplete        int // successes whose answer is not whole
	errors            []schema.ErrorCount
	first             int // index of the first failure that was counted; -1 before

	rate    float64 // results per second, smoothed
	lastN   int
	lastAt  time.Time
	changed bool
}

// rateHalfLife smooths the rate: after so long an old pace counts half.
const rateHalfLife = 5 * time.Second

// add counts a result. The caller adds each index once.
func (t *tally) add(meta store.ResultMeta) {
	t.changed = true
	t.counts.Add(meta.Status)
	if meta.Usage != nil {
		t.usage, t.used = t.usage.Add(*meta.Usage), true
	}
	if meta.Cost != nil {
		sum := *meta.Cost
		if t.cost != nil {
			sum += *t.cost
		}
		t.cost = &sum
	}
	t.unknown += meta.UnknownAttempts
	t.unpriced += meta.UnpricedAttempts
	if meta.Incomplete != "" {
		t.incomplete++
	}
	if meta.Status != schema.StatusSucceeded {
		t.addError(meta)
	}
}

// bill is what all results took and cost.
func (t *tally) bill() schema.Bill {
	b := schema.Bill{Cost: t.cost, UnknownAttempts: t.unknown, UnpricedAttempts: t.unpriced}
	if t.used {
		usage := t.usage
		b.Usage = &usage
	}
	return b
}

func (t *tally) addError(meta store.ResultMeta) {
	if meta.Status == schema.StatusFailed && t.first < 0 {
		t.first = meta.Index
	}
	code := meta.Code
	at := slices.IndexFunc(t.errors, func(e schema.ErrorCount) bool { return e.Code == code })
	if at < 0 && len(t.errors) >= schema.MaxErrorCodes-1 {
		code = "other"
		at = slices.IndexFunc(t.errors, func(e schema.ErrorCount) bool { return e.Code == code })
	}
	if at < 0 {
		t.errors = append(t.errors, schema.ErrorCount{Code: code, FirstIndex: meta.Index})
		at = len(t.errors) - 1
	}
	t.errors[at].Count++
	t.errors[at].FirstIndex = min(t.errors[at].FirstIndex, meta.Index)
}

// pace brings the rate up to date.
func (t *tally) pace(now time.Time) {
	n := t.counts.Stored()
	passed := now.Sub(t.lastAt)
	if t.lastAt.IsZero() || passed <= 0 {
		t.lastAt, t.lastN = now, n
		return
	}
	lately := float64(n-t.lastN) / passed.Seconds()
	weight := min(1, passed.Seconds()/rateHalfLife.Seconds())
	if t.rate == 0 {
		weight = 1
	}
	t.rate += (lately - t.rate) * weight
	t.lastAt, t.lastN = now, n
}

// write puts the counts into a state.
func (t *tally) write(s *schema.State, inFlight int) {
	s.Counts = t.counts
	s.InFlight = inFlight
	s.Rate = t.rate
	s.ETASeconds = nil
	if left := s.Total - t.counts.Stored(); t.rate > 0 && left > 0 {
		eta := float64(left) / t.rate
		s.ETASeconds = &eta
	}
	s.SetBill(t.bill())
	s.Incomplete = t.incomplete
	s.Errors = slices.Clone(t.errors)
	slices.SortFunc(s.Errors, func(a, b schema.ErrorCount) int { return b.Count - a.Count })
}
