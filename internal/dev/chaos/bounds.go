package chaos

import (
	"slices"
	"time"
)

// open is a call, or the hold of a worker on it, among others that are bounded
// together.
type open struct {
	at         slot
	start, end time.Time
	excused    time.Time
}

// bounds holds the calls at once against each bound.
func (a *auditor) bounds() {
	jobs, workers := map[string][]open{}, map[string][]open{}
	var all []open
	for at, runs := range a.runs {
		for _, r := range runs {
			for _, c := range r.calls {
				o := open{at, c.Start, c.End, r.excused}
				if c.Aborted { // the upstream notices a moment later
					o.end = later(c.Start, c.End.Add(-skew))
				}
				jobs[at.job] = append(jobs[at.job], o)
				workers[r.worker] = append(workers[r.worker], o)
				all = append(all, o)
			}
		}
	}
	for _, j := range a.e.Jobs {
		a.bound(BoundExceeded, j.ID, j.Concurrency, jobs[j.ID])
	}
	for name, calls := range workers {
		a.bound(SlotsExceeded, name, a.e.Slots, calls)
	}
	a.bound(CapExceeded, "queue", a.e.Cap, all)
}

// bound sweeps over calls in the order of their starts.
func (a *auditor) bound(b Breach, where string, limit int, calls []open) {
	slices.SortFunc(calls, func(x, y open) int { return x.start.Compare(y.start) })
	var now []open
	worst, when := 0, time.Time{}
	for _, c := range calls {
		now = slices.DeleteFunc(now, func(o open) bool { return !o.end.After(c.start) })
		now = append(now, c)
		bounded := 0
		for _, o := range now {
			if o.excused.IsZero() || o.excused.After(c.start) {
				bounded++
			}
		}
		switch {
		case bounded > limit && bounded > worst:
			worst, when = bounded, c.start
		case len(now) > limit:
			a.Over++
		}
	}
	if worst > 0 {
		a.found(b, where, "%d at %s, the bound is %d", worst, clock(when), limit)
	}
}
