package owner

import (
	"fmt"
	"strconv"
	"time"

	"pelton/schema"
)

// ending is why a job ends before all its requests have results, and what becomes
// of those that are out.
type ending struct {
	reason   schema.Reason
	leftover schema.Status // of the requests that do not come back
	abort    bool          // calls in flight are aborted; else they come to their end, as they are paid for

	published bool // the cancel that says so to workers is published already
}

// policy decides from a job's results whether it is to end. It reads no clock and
// knows no queue. One goroutine uses it.
type policy struct {
	failFast schema.FailFast
	maxCost  float64         // in USD; 0: none
	dead     map[string]bool // models for which no deployment is left: bad key, no quota, no such model
	scanned  int             // no request below has a model that is not dead and is still to be fed
}

func newPolicy(job *schema.Job) policy {
	return policy{failFast: job.FailFast, maxCost: job.MaxCost, dead: map[string]bool{}}
}

// models tells the model of a request; called is false for one that is not valid,
// which is never called.
type models func(index int) (model string, called bool, err error)

// after is asked when results were counted, those that found no deployment left
// for the models of died among them. It returns the ending that the job comes to,
// nil for none. An error is one of reading a request.
func (p *policy) after(t *tally, w *window, died []string, at models) (*ending, error) {
	if t.counts.Stored() == w.total {
		return nil, nil
	}
	for _, model := range died {
		if why, err := p.noteDeadModel(w, model, at); why != nil || err != nil {
			return why, err
		}
	}
	if why := p.costs(t); why != nil {
		return why, nil
	}
	return p.fails(t), nil
}

// noteDeadModel notes that no deployment is left for a model. The job ends when
// none is left for any request that is still to be fed, instead of failing what is
// left one by one.
func (p *policy) noteDeadModel(w *window, model string, at models) (*ending, error) {
	if p.dead[model] {
		return nil, nil
	}
	p.dead[model] = true
	for ; p.scanned < w.total; p.scanned++ {
		if w.has(p.scanned) {
			continue
		}
		model, called, err := at(p.scanned)
		if err != nil || called && !p.dead[model] {
			return nil, err
		}
	}
	return &ending{leftover: schema.StatusCancelled, reason: schema.Reason{Code: schema.ReasonNoDeployment,
		Message: fmt.Sprintf("no deployment is left that could take any of the remaining requests (the last to go was that of model %q)", model)}}, nil
}

// costs ends a job that has cost what it may.
func (p *policy) costs(t *tally) *ending {
	if p.maxCost == 0 || t.cost == nil || *t.cost < p.maxCost {
		return nil
	}
	least := ""
	if t.bill().CostAtLeast() {
		least = "at least "
	}
	return &ending{leftover: schema.StatusCancelled, reason: schema.Reason{Code: schema.ReasonMaxCost,
		Message: fmt.Sprintf("the results so far cost %s%.4f USD; max_cost is %.4f", least, *t.cost, p.maxCost)}}
}

// fails ends a job of which as many requests have failed as its fail-fast says.
func (p *policy) fails(t *tally) *ending {
	failed, stored := t.counts.Failed, t.counts.Stored()
	byCount := p.failFast.Failures > 0 && failed >= p.failFast.Failures
	byRate := p.failFast.Rate > 0 && stored >= max(1, p.failFast.After) && float64(failed) >= p.failFast.Rate*float64(stored)
	if !byCount && !byRate || failed == 0 {
		return nil
	}
	first := t.first
	return &ending{leftover: schema.StatusCancelled, abort: true, reason: schema.Reason{Code: schema.ReasonFailFast, Index: &first,
		Message: strconv.Itoa(failed) + " of " + strconv.Itoa(stored) + " results failed, the first of them index " + strconv.Itoa(first)}}
}

// expired is the ending of a job whose deadline has passed.
func expired(deadline time.Time) ending {
	return ending{leftover: schema.StatusExpired, abort: true, reason: schema.Reason{Code: schema.ReasonDeadline,
		Message: "the deadline passed at " + deadline.UTC().Format(time.RFC3339)}}
}

// cancelledBy is the ending of a job for the reason that its cancel gives: that of
// whoever published it, or of an earlier owner that had begun to end the job.
func cancelledBy(marker schema.Cancel) ending {
	why := ending{leftover: schema.StatusCancelled, abort: true, published: true, reason: schema.Reason{Code: schema.ReasonCancelled, Message: "cancelled"}}
	if marker.Reason != "" {
		why.reason.Message = marker.Reason
	}
	switch marker.Code {
	case schema.ReasonFailFast:
		why.reason.Code, why.reason.Index = marker.Code, marker.Index
	case schema.ReasonDeadline:
		why.reason.Code, why.leftover = marker.Code, schema.StatusExpired
	}
	return why
}

// deadlineAtHand reports whether a deadline may have passed by another process's
// clock. An expired result says so much only then: a request that would have to
// wait past the deadline expires at once, and its job goes on with the others.
// Clocks may differ by skew; in a job with less than ten times that, by a tenth of
// its time.
func deadlineAtHand(created, deadline, now time.Time, skew time.Duration) bool {
	return deadline.Sub(now) < min(skew, deadline.Sub(created)/10)
}

// verdict derives the final state from the counts, and where they do not decide,
// from why the job was ended; why is nil where it was not.
func verdict(t *tally, total int, why *ending) (schema.Phase, *schema.Reason) {
	c := t.counts
	switch {
	case c.Succeeded == total:
		return schema.Succeeded, nil
	case c.Failed == total:
		reason := &schema.Reason{Code: schema.ReasonAllFailed, Message: "every request failed"}
		if total > 0 {
			first := t.first
			reason.Index = &first
		}
		return schema.Failed, reason
	case c.Succeeded+c.Failed == total:
		return schema.CompletedWithErrors, nil
	}
	reason := schema.Reason{Code: schema.ReasonCancelled, Message: "cancelled"}
	if why != nil {
		reason = why.reason
	} else if c.Expired > 0 {
		reason = schema.Reason{Code: schema.ReasonDeadline,
			Message: strconv.Itoa(c.Expired) + " of " + strconv.Itoa(total) + " requests could not be answered before the deadline"}
	}
	switch reason.Code {
	case schema.ReasonDeadline:
		return schema.Expired, &reason
	case schema.ReasonCancelled:
		return schema.Cancelled, &reason
	}
	return schema.Failed, &reason
}
