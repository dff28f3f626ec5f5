package router

import (
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// breaker is the circuit breaker of a deployment, in the states that the
// literature gives it. The deployment's lock guards it.
//
// Two things open it for a time: the upstream's own word (Retry-After and the
// like), after which it is closed again, and failures, after which it is half
// open: one call at a time, and the first success closes it. Of two deadlines
// the later one counts.
type breaker struct {
	until   time.Time
	reason  string
	cause   string    // the same in short; empty: not known
	told    time.Time // when the log said so last
	tripped bool      // by failures: from until on it is half open
	probing bool      // the call that decides is under way
	since   time.Time // when it last opened for failures: older calls are no news

	recent outcomes
	fails  [numKinds]minute // for allowed_fails

	announced time.Time // the longest cooldown that the sink was told of
}

// breakerState is what a breaker lets through.
type breakerState int

const (
	closed   breakerState = iota // all calls
	open                         // none
	halfOpen                     // one at a time, which decides
)

func (b *breaker) state(now time.Time) breakerState {
	switch {
	case now.Before(b.until):
		return open
	case b.tripped:
		return halfOpen
	}
	return closed
}

// refuses says why a call must not be made now; one that avoids probes for so
// long leaves it to others to find out whether all is well. avoid 0: it does not.
func (b *breaker) refuses(now time.Time, avoid time.Duration) (no refusal) {
	until := b.until
	switch {
	case avoid == 0:
	case b.tripped:
		until = until.Add(avoid)
	case b.recent.row >= avoidRow: // it may be down
		until = b.recent.last.Add(avoid)
	}
	switch {
	case now.Before(until):
		return refusal{why: cooling, ready: until}
	case b.tripped && b.probing:
		return refusal{why: cooling}
	}
	return no
}

// begin notes that a call is made, and reports whether it is the one that decides.
func (b *breaker) begin(now time.Time) (probe bool) {
	if probe = b.state(now) == halfOpen; probe {
		b.probing = true
	}
	return probe
}

// well notes an answer that says nothing against the server's health.
func (b *breaker) well(now time.Time, probe bool) {
	if b.recent.add(now, false); probe {
		b.reset()
	}
}

// Minimum volume: how many of the last calls count, and how many there must be.
const (
	maxRecent  = 20
	minVolume  = 5
	longRow    = 8
	avoidRow   = 4 // failures in a row that make a request wait which avoids probes
	recentTime = time.Minute
)

// outcomes remembers how the last calls ended, for a minute after the last.
type outcomes struct {
	failed  uint32 // a bit for each, the latest lowest
	n       int
	last    time.Time
	row     int       // failures since the last success
	success time.Time // the last one; zero: none yet
}

func (o *outcomes) add(now time.Time, failed bool) {
	if now.Sub(o.last) > recentTime {
		*o = outcomes{}
	}
	o.last = now
	o.failed <<= 1
	if o.row++; failed {
		o.failed |= 1
	} else {
		o.row, o.success = 0, now
	}
	o.failed &= 1<<maxRecent - 1
	o.n = min(o.n+1, maxRecent)
}

// rate returns the share of failures.
func (o *outcomes) rate() float64 {
	if o.n == 0 {
		return 0
	}
	failed := 0
	for bits := o.failed; bits != 0; bits &= bits - 1 {
		failed++
	}
	return float64(failed) / float64(o.n)
}

// bad reports whether enough calls have failed: more than half of the last, or
// all of the latest, where that is too many or too long to be chance. usual is
// how long an answer takes.
func (o *outcomes) bad(now time.Time, usual time.Duration) bool {
	switch {
	case o.n < minVolume:
		return false
	case o.rate() > 0.5, o.row >= longRow:
		return true
	}
	return o.row >= minVolume && now.Sub(o.success) > 2*usual
}

// minute counts what happened within a minute of the first.
type minute struct {
	n     int
	since time.Time
}

func (m *minute) add(now time.Time) int {
	if now.Sub(m.since) > time.Minute {
		m.n, m.since = 0, now
	}
	m.n++
	return m.n
}

// kind tells failures apart as LiteLLM's policies do.
type kind int

const (
	anyKind kind = iota
	kindTimeout
	kindRateLimit
	kindInternal
	numKinds
)

func kindOf(e *schema.Error) kind {
	switch {
	case !protocol.Actions[e.Class].Counts: // it says nothing of the deployment's health
		return anyKind
	case e.Class == schema.ClassRateLimited:
		return kindRateLimit
	case e.Code == schema.CodeTimeout:
		return kindTimeout
	}
	return kindInternal
}

// failed notes a failure and reports whether it is one too many.
func (b *breaker) failed(now, began time.Time, k kind, e *schema.Error, usual time.Duration, rules *coolRules) bool {
	if began.Before(b.since) {
		return false
	}
	b.recent.add(now, true)
	all, one := b.fails[anyKind].add(now), b.fails[k].add(now)
	if rules.lone {
		return b.recent.bad(now, usual)
	}
	if limit := rules.policy.of(e); limit != nil {
		return one > *limit
	}
	if rules.allowed != nil {
		return all > *rules.allowed
	}
	return b.recent.bad(now, usual)
}

// block lets no call through until then, or longer if that was so.
func (b *breaker) block(until time.Time, tripped bool, reason string) (longer bool) {
	b.tripped = b.tripped || tripped
	if longer = until.After(b.until); longer {
		b.until, b.reason, b.cause = until, reason, ""
	}
	return longer
}

// trip blocks because the deployment fails.
func (b *breaker) trip(now time.Time, d time.Duration, reason string) (longer bool) {
	b.recent, b.fails, b.since = outcomes{}, [numKinds]minute{}, now
	return b.block(now.Add(d), true, reason)
}

// reset makes it as if nothing had been.
func (b *breaker) reset() {
	*b = breaker{recent: b.recent, since: b.since, announced: b.announced, told: b.told}
}

// coolRules are what a breaker goes by.
type coolRules struct {
	time    time.Duration // 0: off
	allowed *int
	policy  PerFailure
	fatal   time.Duration
	lone    bool // nothing can stand in for the deployment: single failures do not stop it
}

// outage is that a deployment cannot serve what lies in its scope.
type outage struct {
	until   time.Time // then one call tries
	probing bool
	reason  string
}

// maxOutages bounds how many scopes of a deployment are remembered as out: the
// names of models come from requests.
const maxOutages = 1000

// Scopes of an outage. A wrong key stops everything; a model that a deployment
// for many does not have, or an endpoint that a server lacks, stops only that.
func scopeOfModel(model string) string                { return "model " + model }
func scopeOfEndpoint(endpoint schema.Endpoint) string { return "endpoint " + string(endpoint) }

const scopeAll = ""
