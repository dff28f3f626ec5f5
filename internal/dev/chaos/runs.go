package chaos

import (
	"slices"
	"time"

	"pelton/schema"
)

// run is one worker's work on one request: calls one after the other, all but
// the last of them failed. A counted retry is a further call of the same run,
// or, where the request was parked meanwhile, a run whose calls are counted with
// those of the run before.
type run struct {
	worker  string
	calls   []Call
	counted bool // its calls are attempts of the stored result

	start   time.Time
	until   time.Time // from then on the worker holds nothing of it any more
	excused time.Time // since when its calls are no longer bounded; zero: never
}

// Tolerances for what two processes on one machine see at different moments.
const (
	skew     = 50 * time.Millisecond
	settling = 1500 * time.Millisecond // from an answer to the stored result
	backoff  = 15 * time.Second        // from a failed call to the next, or to parking

	// A worker looks whether there is something to call for, and may then wait
	// for a deployment: two seconds at most, else the request is parked.
	lookAhead = 2500 * time.Millisecond
)

// slot is one request.
type slot struct {
	job   string
	index int
}

// runsOf sorts the calls of one request into runs. attempts are those of the
// stored result; unmet is how many of them, having had an answer, no call fits.
func runsOf(calls []Call, attempts []schema.Attempt) (runs []*run, unmet int) {
	slices.SortFunc(calls, func(a, b Call) int { return a.Start.Compare(b.Start) })
	counted := make([]bool, len(calls))
	for _, a := range attempts {
		if at := callOf(calls, counted, a); at >= 0 {
			counted[at] = true
			// The client knows best when a call ended that it gave up itself.
			if end := a.StartedAt.Add(latency(a)); calls[at].Aborted && end.Before(calls[at].End) {
				calls[at].End = end
			}
		} else if a.StatusCode != 0 {
			unmet++
		}
	}
	last := map[string]*run{}
	for i, c := range calls {
		r := last[c.Worker]
		if r == nil || r.counted != counted[i] || r.latest().good() || c.Start.Before(r.latest().End.Add(-skew)) {
			r = &run{worker: c.Worker, counted: counted[i], start: c.Start}
			last[c.Worker] = r
			runs = append(runs, r)
		}
		if n := len(r.calls); n > 0 && r.calls[n-1].End.After(c.Start) {
			r.calls[n-1].End = c.Start // the upstream notices a moment later
		}
		r.calls = append(r.calls, c)
	}
	return runs, unmet
}

func latency(a schema.Attempt) time.Duration {
	return time.Duration(a.LatencyMs * float64(time.Millisecond))
}

// callOf finds the call that an attempt made, or -1.
func callOf(calls []Call, taken []bool, a schema.Attempt) int {
	best, distance := -1, time.Duration(0)
	for i, c := range calls {
		if taken[i] || c.Start.Before(a.StartedAt.Add(-skew)) || c.Start.After(a.StartedAt.Add(latency(a)+skew)) {
			continue
		}
		if c.Status != a.StatusCode && c.Status != 0 && a.StatusCode != 0 || a.Error == nil && !c.good() {
			continue
		}
		if d := c.Start.Sub(a.StartedAt).Abs(); best < 0 || d < distance {
			best, distance = i, d
		}
	}
	return best
}

func (r *run) latest() Call { return r.calls[len(r.calls)-1] }

// hold works out until when the worker may have held the request: while it was
// kept from storing, that is longer.
func (r *run) hold(faults []Fault) {
	end := r.latest().End
	r.until = end.Add(backoff)
	if r.latest().good() {
		r.until = end.Add(settling)
	}
	for again := true; again; {
		again = false
		for _, f := range faults {
			if f.delays(r.worker) && !f.End.Before(end) && !f.Start.After(r.until) && f.End.Add(resettle).After(r.until) {
				r.until, again = f.End.Add(resettle), true
			}
		}
	}
}

// struck reports whether the fault may have taken the request out of the
// worker's hands.
func (r *run) struck(f Fault) bool {
	switch {
	case f.breaks(r.worker):
		return !r.start.After(f.End) && !r.until.Before(f.Start)
	case f.forgets(), f.parts(r.worker):
		return !r.start.After(f.End.Add(resettle)) && !r.until.Before(f.Start)
	}
	return false
}

// stale reports whether the run may have begun with a delivery that was no
// longer the worker's own: it was in its hands when the fault came.
func (r *run) stale(f Fault) bool {
	return (f.forgets() || f.parts(r.worker)) && !r.start.Before(f.Start) && !r.start.After(f.End.Add(resettle))
}

// pair is a fault that struck a run: it explains one further run, not more.
type pair struct {
	run   *run
	fault int
}

// explain finds the fault because of which run k was begun though there were
// runs before it, and -1 when there is none.
func explain(runs []*run, k int, faults []Fault, used map[pair]bool) int {
	best, by := -1, (*run)(nil)
	consider := func(r *run, f int) {
		if !used[pair{r, f}] && (best < 0 || faults[f].Start.After(faults[best].Start)) {
			best, by = f, r
		}
	}
	for f, fault := range faults {
		if fault.Start.After(runs[k].start.Add(skew)) {
			continue
		}
		for _, r := range runs[:k] {
			if r.struck(fault) {
				consider(r, f)
			}
		}
		if runs[k].stale(fault) {
			consider(runs[k], f)
		}
	}
	if best >= 0 {
		used[pair{by, best}] = true
	}
	return best
}
