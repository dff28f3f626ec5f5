package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pelton/schema"
)

// Breach is a kind of broken promise.
type Breach string

// What an auditor may find.
const (
	ResultLost      Breach = "a request without a result"
	ResultTwice     Breach = "two results for one request"
	ResultReplaced  Breach = "a stored result was replaced or removed"
	ResultForeign   Breach = "a result that is not the request's own"
	ResultLate      Breach = "a result behind the end"
	CallUnexplained Breach = "a call beyond the counted ones that no fault explains"
	CallUnrecorded  Breach = "an attempt that the upstream has not seen"
	CallNeedless    Breach = "a call for a request that had its result"
	CallAfterEnd    Breach = "a call after the job's end"
	BoundExceeded   Breach = "more calls at once than the job's concurrency"
	CapExceeded     Breach = "more calls at once than the queue's cap"
	SlotsExceeded   Breach = "more calls at once than the worker's slots"
	BillUntrue      Breach = "a bill that says otherwise than the upstream"
	BillUnlisted    Breach = "a billed call that is neither reported nor listed as unknown"
	EndMissing      Breach = "a job that did not end"
	EndTwice        Breach = "more than one end"
	EndUntrue       Breach = "an end whose state or counts are not true"
	OrderBroken     Breach = "a reader was given results out of order"
	ReadingUntrue   Breach = "a reader was given something else than what is stored"
	ReadingShort    Breach = "a reader was told the end before it had all"
	ReadingStalled  Breach = "a reader never came to the end"
)

// Violation is one broken promise.
type Violation struct {
	Breach Breach `json:"breach"`
	Where  string `json:"where"`
	Text   string `json:"text"`
}

// Verdict is what an audit found.
type Verdict struct {
	Jobs       int                   `json:"jobs"`
	States     map[schema.Phase]int  `json:"states"`
	Requests   int                   `json:"requests"`
	Results    map[schema.Status]int `json:"results"`
	Calls      int                   `json:"calls"`
	Retries    int                   `json:"counted_retries"` // attempts after the first of each stored result
	Extra      map[Kind]int          `json:"extra_calls"`     // beyond the counted ones, by the fault that explains them
	Billed     int                   `json:"billed_tokens"`   // by the upstream
	Reported   int                   `json:"reported_tokens"` // by results
	Unknown    int                   `json:"unknown_tokens"`  // billed for attempts that are listed as unknown
	Over       int                   `json:"over_bound"`      // calls begun above a bound, next to calls that a fault left open
	Readings   int                   `json:"readings"`
	Injected   map[Kind]int          `json:"faults"`
	Violations []Violation           `json:"violations"`
}

func newVerdict() *Verdict {
	return &Verdict{
		States: map[schema.Phase]int{}, Results: map[schema.Status]int{}, Extra: map[Kind]int{}, Injected: map[Kind]int{},
	}
}

// Faults is how many faults were injected.
func (v *Verdict) Faults() int { return sum(v.Injected) }

// add puts another verdict to this one.
func (v *Verdict) add(o *Verdict) {
	v.Jobs += o.Jobs
	v.Requests += o.Requests
	v.Calls += o.Calls
	v.Retries += o.Retries
	v.Billed += o.Billed
	v.Reported += o.Reported
	v.Unknown += o.Unknown
	v.Over += o.Over
	v.Readings += o.Readings
	addTo(v.States, o.States)
	addTo(v.Results, o.Results)
	addTo(v.Extra, o.Extra)
	addTo(v.Injected, o.Injected)
	v.Violations = append(v.Violations, o.Violations...)
}

func addTo[K comparable](to, from map[K]int) {
	for k, n := range from {
		to[k] += n
	}
}

func sum[K comparable](m map[K]int) (n int) {
	for _, count := range m {
		n += count
	}
	return n
}

func sorted[K cmp.Ordered](m map[K]int) []K { return slices.Sorted(maps.Keys(m)) }

// auditor holds what one audit works on.
type auditor struct {
	*Verdict
	e     *Evidence
	calls map[slot][]Call
	runs  map[slot][]*run

	listed map[string]int // unknown attempts of a job that no result lists
}

// Audit compares the evidence with the promises.
func Audit(e *Evidence) *Verdict {
	a := &auditor{
		Verdict: newVerdict(),
		e:       e, calls: map[slot][]Call{}, runs: map[slot][]*run{}, listed: map[string]int{},
	}
	for _, f := range e.Faults {
		a.Injected[f.Kind]++
	}
	for _, c := range e.Calls {
		at := slot{c.Job, c.Index}
		a.calls[at] = append(a.calls[at], c)
	}
	a.Calls = len(e.Calls)
	if e.Missing > 0 {
		a.found(ResultReplaced, "results stream", "%d messages are no longer there", e.Missing)
	}
	for i := range e.Jobs {
		a.job(&e.Jobs[i])
	}
	for at, calls := range a.calls {
		a.found(ResultForeign, at.String(), "%d calls for what nobody asked for", len(calls))
	}
	a.bounds()
	for i := range e.Readings {
		a.reading(&e.Readings[i])
	}
	slices.SortStableFunc(a.Violations, func(x, y Violation) int { return strings.Compare(string(x.Breach)+x.Where, string(y.Breach)+y.Where) })
	return a.Verdict
}

func (s slot) String() string { return s.job + "." + strconv.Itoa(s.index) }

func (a *auditor) found(b Breach, where, format string, args ...any) {
	a.Violations = append(a.Violations, Violation{b, where, fmt.Sprintf(format, args...)})
}

// job audits what is stored of a job, and the calls for it.
func (a *auditor) job(j *Job) {
	a.Jobs++
	a.Requests += j.Total
	results := map[int]Stored{}
	var counts schema.Counts
	for _, r := range j.Results {
		at := slot{j.ID, r.Index}
		if have, twice := results[r.Index]; twice {
			a.found(ResultTwice, at.String(), "messages %d and %d", have.Seq, r.Seq)
			continue
		}
		results[r.Index] = r
		counts.Add(r.Status)
		a.Results[r.Status]++
		a.result(at, j, r)
	}
	counts.NotStarted = j.Total - counts.Stored()
	a.jobBill(j, results)
	end := a.end(j, counts)
	for i := range j.Total {
		at := slot{j.ID, i}
		r, stored := results[i]
		if stored && end != nil && r.Seq > end.Seq {
			a.found(ResultLate, at.String(), "message %d, the end is %d", r.Seq, end.Seq)
		}
		var found *Stored
		if stored {
			found = &r
		}
		a.request(at, found, end)
		delete(a.calls, at)
	}
}

// result audits one result by itself.
func (a *auditor) result(at slot, j *Job, r Stored) {
	switch {
	case r.Index < 0 || r.Index >= j.Total:
		a.found(ResultForeign, at.String(), "the job has %d requests", j.Total)
	case r.CustomID != customID(j.ID, r.Index):
		a.found(ResultForeign, at.String(), "custom id %q", r.CustomID)
	case r.Status == schema.StatusSucceeded && !strings.HasPrefix(r.Answer, answerTo(j.ID, r.Index)):
		a.found(ResultForeign, at.String(), "the answer is %.40q", r.Answer)
	case r.Status == schema.StatusCancelled && !j.Cancelled && !j.FailFast:
		a.found(ResultForeign, at.String(), "cancelled by nobody")
	case r.Status == schema.StatusExpired:
		a.found(ResultForeign, at.String(), "expired long before its deadline")
	}
}

// end audits the end of a job, and returns it if there is one.
func (a *auditor) end(j *Job, counts schema.Counts) *End {
	if len(j.Ends) == 0 {
		a.found(EndMissing, j.ID, "%d of %d results are there", counts.Stored(), j.Total)
		return nil
	}
	if len(j.Ends) > 1 {
		a.found(EndTwice, j.ID, "%d ends", len(j.Ends))
	}
	end := &j.Ends[0]
	a.States[end.State]++
	if end.Counts != counts || end.Total != j.Total {
		a.found(EndUntrue, j.ID, "it says %+v of %d; stored are %+v of %d", end.Counts, end.Total, counts, j.Total)
	}
	if want := phases(j, counts); !slices.Contains(want, end.State) {
		a.found(EndUntrue, j.ID, "it says %s with %+v of %d (fail-fast %t, cancelled %t)", end.State, counts, j.Total, j.FailFast, j.Cancelled)
	}
	if counts.NotStarted > 0 && !j.Cancelled && !j.FailFast {
		a.found(ResultLost, j.ID, "%d requests have no result", counts.NotStarted)
	}
	return end
}

// phases are the states in which a job may have ended.
func phases(j *Job, c schema.Counts) []schema.Phase {
	switch {
	case c.Succeeded == j.Total:
		return []schema.Phase{schema.Succeeded}
	case c.Failed == j.Total:
		return []schema.Phase{schema.Failed}
	case c.Succeeded+c.Failed == j.Total:
		return []schema.Phase{schema.CompletedWithErrors}
	}
	var list []schema.Phase
	if j.Cancelled {
		list = append(list, schema.Cancelled)
	}
	if j.FailFast {
		list = append(list, schema.Failed)
	}
	return list
}

// request holds the calls for one request against its result.
func (a *auditor) request(at slot, r *Stored, end *End) {
	var attempts []schema.Attempt
	if r != nil {
		attempts = callsAmong(r.Attempts)
		a.Retries += max(0, len(attempts)-1)
	}
	runs, unmet := runsOf(a.calls[at], attempts)
	for _, run := range runs {
		run.hold(a.e.Faults)
		for _, f := range a.e.Faults {
			if since := later(run.start, f.Start); run.struck(f) && (run.excused.IsZero() || since.Before(run.excused)) {
				run.excused = since
			}
			if run.stale(f) {
				run.excused = run.start
			}
		}
	}
	if r != nil {
		excuseOutrun(runs, r.At, a.e.Faults)
	}
	a.runs[at] = runs
	a.bill(at, r)
	if unmet > 0 {
		a.found(CallUnrecorded, at.String(), "%d attempts with an answer", unmet)
	}
	a.repeated(at, runs)
	for _, run := range runs {
		switch {
		case r == nil && !run.struckByAny(a.e.Faults):
			a.found(ResultLost, at.String(), "called by %s at %s, and neither result nor fault", run.worker, clock(run.start))
		case r != nil && run.start.After(r.At.Add(lookAhead)) && !paused(run, r.At, a.e.Faults):
			a.found(CallNeedless, at.String(), "by %s at %s, stored at %s", run.worker, clock(run.start), clock(r.At))
		case end != nil && run.start.After(end.At.Add(lookAhead)) && !paused(run, end.At, a.e.Faults):
			a.found(CallAfterEnd, at.String(), "by %s at %s, the end came at %s", run.worker, clock(run.start), clock(end.At))
		}
	}
}

// excuseOutrun excuses the calls that go on when another worker stores its answer
// after all, out of whose hands a fault had taken the request: to the job it is
// done, and the next one may begin.
func excuseOutrun(runs []*run, stored time.Time, faults []Fault) {
	if !slices.ContainsFunc(runs, func(r *run) bool { return r.counted && r.struckByAny(faults) }) {
		return
	}
	for _, r := range runs {
		if !r.counted && (r.excused.IsZero() || stored.Before(r.excused)) {
			r.excused = stored
		}
	}
}

func (r *run) struckByAny(faults []Fault) bool { return slices.ContainsFunc(faults, r.struck) }

// paused reports whether the worker of a run may have looked before the moment
// and called after it, because it was stopped in between.
func paused(r *run, moment time.Time, faults []Fault) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool {
		mine := (f.Kind == PauseWorker || f.Kind == PauseOwner) && f.Worker == r.worker || f.Kind == PauseEmbedded
		return mine && f.Start.Before(moment) && !f.End.After(r.start.Add(skew)) && r.start.Before(f.End.Add(resettle))
	})
}

// repeated explains every run that the stored result does not count, by a fault:
// of the run that follows it, or of a run that came beside one that counts.
func (a *auditor) repeated(at slot, runs []*run) {
	used := map[pair]bool{}
	counted, parked := false, false
	var lost []*run // not counted, and not yet told why another followed
	for k, r := range runs {
		if !r.counted {
			lost = append(lost, r)
		}
		if !r.counted && !parked && wasParked(runs[:k]) {
			parked = true // it is the rightful next; the one that follows it has to be explained
			continue
		}
		needs := k > 0 && (!r.counted || !counted || parked && len(lost) > 0)
		counted = counted || r.counted
		if !needs {
			continue
		}
		calls := len(r.calls)
		if len(lost) > 0 {
			calls = len(lost[0].calls)
			lost = lost[1:]
		}
		if f := explain(runs, k, a.e.Faults, used); f >= 0 {
			a.Extra[a.e.Faults[f].Kind] += calls
		} else {
			a.unexplained(at, r, runs)
		}
	}
	if parked && len(lost) > 0 { // nothing followed it
		a.unexplained(at, lost[0], runs)
	}
}

// wasParked reports whether runs are all of them attempts of the stored result,
// the last of which failed: then the request was parked, and went on elsewhere.
func wasParked(runs []*run) bool {
	return len(runs) > 0 && !slices.ContainsFunc(runs, func(r *run) bool { return !r.counted || r.latest().good() })
}

func (a *auditor) unexplained(at slot, r *run, runs []*run) {
	a.found(CallUnexplained, at.String(), "by %s at %s; the runs:%s", r.worker, clock(r.start), describe(runs))
}

func describe(runs []*run) string {
	var b strings.Builder
	for _, r := range runs {
		fmt.Fprintf(&b, " [%s", r.worker)
		if r.counted {
			b.WriteString(", counted")
		}
		for _, c := range r.calls {
			fmt.Fprintf(&b, ", %s to %s: %d", clock(c.Start), clock(c.End), c.Status)
		}
		b.WriteString("]")
	}
	return b.String()
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

func later(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}

// reading audits what a reader was given.
func (a *auditor) reading(r *Reading) {
	a.Readings++
	where := r.Job + " by " + r.By
	at := slices.IndexFunc(a.e.Jobs, func(j Job) bool { return j.ID == r.Job })
	if at < 0 {
		return
	}
	stored := map[int]Stored{}
	for _, s := range a.e.Jobs[at].Results {
		stored[s.Index] = s
	}
	before := -1
	seen := map[int]bool{}
	var beforeSeq uint64
	for _, item := range r.Items {
		s, ok := stored[item.Index]
		switch {
		case !ok || !s.Finished.Equal(item.Finished):
			a.found(ReadingUntrue, where, "index %d finished %s, stored is %s", item.Index, clock(item.Finished), clock(s.Finished))
			return
		case seen[item.Index]:
			a.found(ReadingUntrue, where, "index %d twice", item.Index)
			return
		case r.Order == schema.OrderInput && item.Index < before,
			r.Order == schema.OrderCompletion && s.Seq < beforeSeq:
			a.found(OrderBroken, where, "index %d after %d", item.Index, before)
			return
		}
		seen[item.Index], before, beforeSeq = true, item.Index, s.Seq
	}
	if !r.Ended {
		a.found(ReadingStalled, where, "%d of %d results, in %d lives", len(r.Items), len(stored), r.Lives)
	} else if len(r.Items) != len(stored) {
		a.found(ReadingShort, where, "%d of %d results", len(r.Items), len(stored))
	}
}

// customID and answerTo are what a request's result must carry.
func customID(job string, index int) string { return job + "/" + strconv.Itoa(index) }

func answerTo(job string, index int) string { return "You said: " + label(job, index) }

// label begins the text of a request; the upstream's answer repeats it.
func label(job string, index int) string { return job + " " + strconv.Itoa(index) + " " }
