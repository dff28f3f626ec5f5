package router

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"time"

	"pelton/router/internal/tally"
	"pelton/schema"
)

// modelState is how one model does at a deployment that takes many, such as a
// gateway: the trouble of one is no trouble of the others. The deployment's lock
// guards it.
type modelState struct {
	breaker   breaker
	waitQueue list.List // of *waiter, for as long as the model is left alone
}

// many reports whether the deployment takes many models.
func (d *deployment) many() bool { return strings.Contains(d.Model, "*") }

// modelOf returns the state of the model that a wildcard stands for; nil: the
// deployment has one model. The lock is held.
func (d *deployment) modelOf(wildcard string) *modelState {
	if !d.many() {
		return nil
	}
	m := d.models[wildcard]
	if m == nil {
		if d.models == nil {
			d.models = map[string]*modelState{}
		}
		if len(d.models) >= maxOutages {
			now := time.Now()
			maps.DeleteFunc(d.models, func(_ string, m *modelState) bool {
				return m.breaker.state(now) == closed && m.waitQueue.Len() == 0
			})
		}
		m = &modelState{}
		d.models[wildcard] = m
	}
	return m
}

// refuses says why a call of the model must not be made now; me is the request
// where it stands in line.
func (m *modelState) refuses(now time.Time, avoid time.Duration, me *waiter) (no refusal) {
	if no = m.breaker.refuses(now, avoid); no.why != 0 {
		no.model = m
		return no
	}
	if front := m.waitQueue.Front(); front != nil && front.Value != any(me) {
		return refusal{why: limited, model: m}
	}
	return no
}

// leftAlone is the breaker of those that holds a model up for longest. The lock is
// held.
func (d *deployment) leftAlone(wildcard string) *breaker {
	if m := d.modelOf(wildcard); m != nil && m.breaker.until.After(d.breaker.until) {
		return &m.breaker
	}
	return &d.breaker
}

// servesOther reports whether the last answer within a minute was that of another
// model.
func (d *deployment) servesOther(now time.Time, wildcard string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lastGood != "" && d.lastGood != wildcard && now.Sub(d.latency.Last) <= tally.Recent
}

// worst is the model that is left alone for longest; "": none is. The lock is held.
func (d *deployment) worst(now time.Time) (wildcard string, found *breaker) {
	for _, name := range slices.Sorted(maps.Keys(d.models)) {
		b := &d.models[name].breaker
		if b.state(now) != closed && (found == nil || b.until.After(found.until)) {
			wildcard, found = name, b
		}
	}
	return wildcard, found
}

// unanswered reports whether a failure is one of the way to the server.
func unanswered(e *schema.Error) bool {
	return e.StatusCode == 0 && e.Code == schema.CodeConnection
}
