package owner

import (
	"maps"
	"slices"
	"time"

	"pelton/schema"
)

// asking are requests that a takeover had called before their time, one for each model
// that requests wait for: what they wait for may have passed while nobody ran the job.
// Where such a request gets its answer, the others follow. It reads no clock and knows
// no broker.
type asking map[int]*asked

// asked is a model of which one request was called before its time.
type asked struct {
	model  string
	others map[int]*schema.Parked // that wait for it
}

// worthAsking reports whether a request waits long enough to be called before its time.
func worthAsking(p *schema.Parked, now time.Time) bool { return p.ReadyAt.Sub(now) >= time.Second }

// begin takes what waits, and returns the first request for each model: it is to be
// called now.
func (a *asking) begin(waits map[int]*schema.Parked, now time.Time) map[int]*schema.Parked {
	first := map[int]*schema.Parked{}
	for _, index := range slices.Sorted(maps.Keys(waits)) {
		p := waits[index]
		if !worthAsking(p, now) || a.has(p.Model) {
			continue
		}
		w := &asked{model: p.Model, others: map[int]*schema.Parked{}}
		for other, q := range waits {
			if other != index && q.Model == p.Model {
				w.others[other] = q
			}
		}
		if *a == nil {
			*a = asking{}
		}
		(*a)[index], first[index] = w, p
	}
	return first
}

// has reports whether a request for a model is on its way.
func (a *asking) has(model string) bool {
	for _, w := range *a {
		if w.model == model {
			return true
		}
	}
	return false
}

// answered is told of a stored result. Where its request was called before its time and
// has succeeded, it returns those that are to be called too.
func (a *asking) answered(index int, status schema.Status, now time.Time) map[int]*schema.Parked {
	w := (*a)[index]
	if w == nil {
		return nil
	}
	delete(*a, index)
	if status != schema.StatusSucceeded {
		return nil
	}
	maps.DeleteFunc(w.others, func(_ int, p *schema.Parked) bool { return !worthAsking(p, now) })
	return w.others
}
