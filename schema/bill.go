package schema

// Bill is what attempts took and cost together, as far as that is known. Where one
// of the two counts is not 0, the sums are the least that it can be. The zero value
// is that of no attempts.
type Bill struct {
	Usage *Usage   // summed over the attempts whose usage is known; nil: it is of none
	Cost  *float64 // USD, summed over the attempts whose cost is known; nil: it is of none

	UnknownAttempts  int // may have been billed, and their usage is not known: in neither sum
	UnpricedAttempts int // their usage is known, their price is not: in Usage alone
}

// BillOf is the bill of attempts.
func BillOf(attempts []Attempt) (b Bill) {
	for i := range attempts {
		b.Add(&attempts[i])
	}
	return b
}

// Add puts an attempt to the bill. What the bill points to is never changed: a sum
// is a new one, and the sum of one attempt is that attempt's.
func (b *Bill) Add(a *Attempt) {
	b.AddBill(Bill{Usage: a.Usage, Cost: a.Cost})
	switch {
	case a.UsageUnknown:
		b.UnknownAttempts++
	case a.Usage != nil && a.Cost == nil:
		b.UnpricedAttempts++
	}
}

// AddBill puts another bill to this one, as Add does.
func (b *Bill) AddBill(o Bill) {
	switch {
	case o.Usage == nil:
	case b.Usage == nil:
		b.Usage = o.Usage
	default:
		sum := b.Usage.Add(*o.Usage)
		b.Usage = &sum
	}
	switch {
	case o.Cost == nil:
	case b.Cost == nil:
		b.Cost = o.Cost
	default:
		sum := *b.Cost + *o.Cost
		b.Cost = &sum
	}
	b.UnknownAttempts += o.UnknownAttempts
	b.UnpricedAttempts += o.UnpricedAttempts
}

// UsageAtLeast reports whether Usage is the least that it can be, and not exact.
func (b Bill) UsageAtLeast() bool { return b.UnknownAttempts > 0 }

// CostAtLeast is the same of Cost.
func (b Bill) CostAtLeast() bool { return b.UnknownAttempts > 0 || b.UnpricedAttempts > 0 }

// Bill is what the request took and cost.
func (r *Result) Bill() Bill {
	return Bill{Usage: r.Usage, Cost: r.Cost, UnknownAttempts: r.UnknownAttempts, UnpricedAttempts: r.UnpricedAttempts}
}

// SetBill sets what the request took and cost.
func (r *Result) SetBill(b Bill) {
	r.Usage, r.Cost, r.UnknownAttempts, r.UnpricedAttempts = b.Usage, b.Cost, b.UnknownAttempts, b.UnpricedAttempts
}

// Bill is what the job took and cost so far.
func (s *State) Bill() Bill {
	return Bill{Usage: s.Usage, Cost: s.Cost, UnknownAttempts: s.UnknownAttempts, UnpricedAttempts: s.UnpricedAttempts}
}

// SetBill sets what the job took and cost so far.
func (s *State) SetBill(b Bill) {
	s.Usage, s.Cost, s.UnknownAttempts, s.UnpricedAttempts = b.Usage, b.Cost, b.UnknownAttempts, b.UnpricedAttempts
}
