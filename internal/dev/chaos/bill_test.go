package chaos

import (
	"slices"
	"testing"

	"pelton/schema"
)

// billed is a record without a fault in which every call is billed, one of which was
// dropped and tried again, and one made by a worker that was killed.
func billed() *Evidence {
	e := story()
	j := &e.Jobs[0]
	total := schema.Bill{UnknownAttempts: 2, UnpricedAttempts: 4}
	for i := range e.Calls {
		e.Calls[i].Billed = 10
		r := &j.Results[i]
		r.Attempts[0].Deployment, r.Attempts[0].Usage = "a", &schema.Usage{PromptTokens: 4, CompletionTokens: 6, TotalTokens: 10}
	}
	dropped := attempt(9.0, 0.1, 0)
	dropped.Deployment, dropped.UsageUnknown = "a", true
	lost := schema.LostAttempt(at(7))
	e.Calls = append(e.Calls, call("w0-1", 0, 9.0, 9.1, 0), call("w9-1", 1, 7.0, 7.5, 0))
	e.Calls[4].Billed, e.Calls[5].Billed = 7, 5
	e.Faults = append(e.Faults, Fault{Kind: KillWorker, Worker: "w9-1", Start: at(7.4), End: at(7.6)})
	j.Results[0].Attempts = append([]schema.Attempt{dropped}, j.Results[0].Attempts...)
	j.Results[1].Attempts = append([]schema.Attempt{lost}, j.Results[1].Attempts...)
	for i := range j.Results {
		j.Results[i].Bill = schema.BillOf(j.Results[i].Attempts)
	}
	total.Usage = &schema.Usage{PromptTokens: 16, CompletionTokens: 24, TotalTokens: 40}
	j.Ends[0].Bill = total
	return e
}

// What the upstream has billed is what is reported and what the listed unknown attempts
// took; where one of these is left out, or a sum is not true, the audit fails.
func TestAuditOfBills(t *testing.T) {
	leaveOut := func(r *Stored) {
		r.Attempts = r.Attempts[1:]
		r.Bill = schema.BillOf(r.Attempts)
	}
	for name, tt := range map[string]struct {
		want   Breach
		change func(e *Evidence, j *Job)
	}{
		"all is listed": {"", func(*Evidence, *Job) {}},
		"a dropped call is left out": {BillUnlisted, func(_ *Evidence, j *Job) {
			leaveOut(&j.Results[0])
			j.Ends[0].Bill.UnknownAttempts = 1
		}},
		"a start of a dead worker is left out": {BillUnlisted, func(_ *Evidence, j *Job) {
			leaveOut(&j.Results[1])
			j.Ends[0].Bill.UnknownAttempts = 1
		}},
		"a dropped call is said to be free": {BillUnlisted, func(_ *Evidence, j *Job) {
			j.Results[0].Attempts[0].UsageUnknown = false
			j.Results[0].Bill.UnknownAttempts, j.Ends[0].Bill.UnknownAttempts = 0, 1
		}},
		"fewer tokens are reported than were billed": {BillUntrue, func(_ *Evidence, j *Job) {
			j.Results[2].Attempts[0].Usage = &schema.Usage{PromptTokens: 4, CompletionTokens: 5, TotalTokens: 9}
			j.Results[2].Bill = schema.BillOf(j.Results[2].Attempts)
			j.Ends[0].Bill.Usage = &schema.Usage{PromptTokens: 16, CompletionTokens: 23, TotalTokens: 39}
		}},
		"a result's sum is not that of its attempts": {BillUntrue, func(_ *Evidence, j *Job) { j.Results[0].Bill.UnknownAttempts = 0; j.Ends[0].Bill.UnknownAttempts = 1 }},
		"an end's sum is not that of its results":    {BillUntrue, func(_ *Evidence, j *Job) { j.Ends[0].Bill.UnknownAttempts = 1 }},
	} {
		e := billed()
		tt.change(e, &e.Jobs[0])
		v := Audit(e)
		var kinds []Breach
		for _, x := range v.Violations {
			kinds = append(kinds, x.Breach)
		}
		slices.Sort(kinds)
		kinds = slices.DeleteFunc(slices.Compact(kinds), func(b Breach) bool { return b == CallUnexplained }) // it is, too, where its attempt is left out
		if tt.want == "" && len(kinds) > 0 || tt.want != "" && !slices.Equal(kinds, []Breach{tt.want}) {
			t.Errorf("%s: found %v, want %q", name, v.Violations, tt.want)
		}
		if tt.want == "" && (v.Billed != 52 || v.Reported != 40 || v.Unknown != 12 || v.Billed != v.Reported+v.Unknown) {
			t.Errorf("%d billed, %d reported, %d for unknown attempts", v.Billed, v.Reported, v.Unknown)
		}
	}
}
