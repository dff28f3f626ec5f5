package chaos

import (
	"cmp"
	"fmt"
	"time"

	"pelton/schema"
)

// callsAmong are the attempts that were calls, without the starts of which no word came.
func callsAmong(attempts []schema.Attempt) (calls []schema.Attempt) {
	for _, a := range attempts {
		if !a.Lost() {
			calls = append(calls, a)
		}
	}
	return calls
}

// bill holds what the upstream has billed for a request against its result: it is what
// is reported, and what the listed unknown attempts took. A call that is unknown covers
// one call of the upstream's, a start of which no word came all calls that one worker
// made one after the other.
func (a *auditor) bill(at slot, r *Stored) {
	calls := a.calls[at]
	for _, c := range calls {
		a.Billed += c.Billed
	}
	if r == nil {
		a.unlisted(at, calls, make([]bool, len(calls)), 0)
		return
	}
	lost, taken := 0, make([]bool, len(calls))
	for _, made := range r.Attempts {
		if made.Lost() {
			lost++
			continue
		}
		if made.Usage != nil {
			a.Reported += int(made.Usage.TotalTokens)
		}
		k := callOf(calls, taken, made)
		if k < 0 {
			continue // of which the upstream knows nothing: it was not billed
		}
		taken[k] = true
		switch billed := calls[k].Billed; {
		case made.Usage != nil && int(made.Usage.TotalTokens) != billed:
			a.found(BillUntrue, at.String(), "%d tokens are billed for the call at %s, %d are reported", billed, clock(calls[k].Start), made.Usage.TotalTokens)
		case made.UsageUnknown:
			a.Unknown += billed
		case made.Usage == nil && billed > 0:
			a.found(BillUnlisted, at.String(), "%d tokens for the call at %s, which is said to have cost nothing", billed, clock(calls[k].Start))
		}
	}
	a.unlisted(at, calls, taken, lost)
	if want := schema.BillOf(r.Attempts); !sameBill(want, r.Bill) {
		a.found(BillUntrue, at.String(), "the result says %s, its attempts %s", billText(r.Bill), billText(want))
	}
}

// unlisted finds the billed calls that are no attempts of the result, beyond the starts
// of which no word came. One that was paused goes on where it stood, and may call again
// before it sees that it has lost the request: a start covers all its worker's calls.
func (a *auditor) unlisted(at slot, calls []Call, taken []bool, lost int) {
	billed, since := map[string]int{}, map[string]time.Time{}
	for k, c := range calls {
		if taken[k] || c.Billed == 0 {
			continue
		}
		if billed[c.Worker] == 0 {
			since[c.Worker] = c.Start
		}
		billed[c.Worker] += c.Billed
	}
	for _, worker := range sorted(billed) {
		switch tokens := billed[worker]; {
		case lost > 0:
			lost--
			a.Unknown += tokens
		case a.listed[at.job] > 0:
			a.listed[at.job]--
			a.Unknown += tokens
		default:
			a.found(BillUnlisted, at.String(), "%d tokens, for calls by %s from %s on; the runs:%s", tokens, worker, clock(since[worker]), describe(a.runs[at]))
		}
	}
}

// jobBill holds what the end of a job says against its results. It may list more
// attempts as unknown: starts beside that of a stored result.
func (a *auditor) jobBill(j *Job, results map[int]Stored) {
	if len(j.Ends) == 0 {
		return
	}
	var want schema.Bill
	for _, r := range results {
		want.AddBill(r.Bill)
	}
	end := j.Ends[0].Bill
	if more := end.UnknownAttempts - want.UnknownAttempts; more > 0 {
		a.listed[j.ID], want.UnknownAttempts = more, end.UnknownAttempts
	}
	if !sameBill(want, end) {
		a.found(BillUntrue, j.ID, "the end says %s, the results %s", billText(end), billText(want))
	}
}

// sameBill compares tokens and counts: a cost depends on the order of its sum.
func sameBill(x, y schema.Bill) bool {
	return tokensOf(x) == tokensOf(y) && x.UnknownAttempts == y.UnknownAttempts && x.UnpricedAttempts == y.UnpricedAttempts
}

func tokensOf(b schema.Bill) schema.Usage { return *cmp.Or(b.Usage, &schema.Usage{}) }

func billText(b schema.Bill) string {
	return fmt.Sprintf("%d tokens, %d attempts unknown and %d unpriced", tokensOf(b).TotalTokens, b.UnknownAttempts, b.UnpricedAttempts)
}
