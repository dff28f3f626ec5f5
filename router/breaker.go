package router

import (
	"time"

	"pelton/router/internal/tally"
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

	recent tally.Outcomes
	fails  [numKinds]tally.Minute // for allowed_fails

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
	case b.recent.Row >= avoidRow: // it may be down
		until = b.recent.Last.Add(avoid)
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
	if b.recent.Add(now, false); probe {
		b.reset()
	}
}

// avoidRow is how many failures in a row make a request wait which avoids probes.
const avoidRow = 4

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
	b.recent.Add(now, true)
	all, one := b.fails[anyKind].Add(now), b.fails[k].Add(now)
	if rules.lone {
		return b.recent.Bad(now, usual)
	}
	if limit := rules.policy.of(e); limit != nil {
		return one > *limit
	}
	if rules.allowed != nil {
		return all > *rules.allowed
	}
	return b.recent.Bad(now, usual)
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
	b.recent, b.fails, b.since = tally.Outcomes{}, [numKinds]tally.Minute{}, now
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
