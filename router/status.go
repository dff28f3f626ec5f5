package router

import "time"

// DeploymentStatus is how a deployment does, as this process sees it.
type DeploymentStatus struct {
	ID       string `json:"id"`
	Group    string `json:"group"`
	Model    string `json:"model"`
	InFlight int    `json:"in_flight"` // calls of this process
	Waiting  int    `json:"waiting"`   // requests in line for a place

	// Limit is how many calls at once are allowed; 0: as many as there are.
	// Reason says why, where the limit adapts.
	Limit  int    `json:"limit"`
	Reason string `json:"reason,omitempty"`

	// CooldownUntil is when it is called again; zero: it is not left alone.
	// Probing means that one call decides whether others follow. Of one that takes
	// many models, of which some are left alone, it is the one for longest; the
	// reason names it.
	CooldownUntil  time.Time `json:"cooldown_until,omitzero"`
	CooldownReason string    `json:"cooldown_reason,omitempty"`
	Probing        bool      `json:"probing,omitempty"`

	// Fatal is why it can serve nobody; empty: it can. FatalUntil is when it is
	// tried again.
	Fatal      string    `json:"fatal,omitempty"`
	FatalUntil time.Time `json:"fatal_until,omitzero"`

	LatencyMs  float64 `json:"latency_ms"`   // moving mean of answers; 0: none yet
	ErrorRate  float64 `json:"error_rate"`   // moving mean, from 0 to 1
	UsedTokens int64   `json:"used_tokens"`  // in the last minute
	UsedCalls  int64   `json:"used_calls"`   // in the last minute
	RPM        int     `json:"rpm"`          // limit; 0: none
	TPM        int     `json:"tpm"`          // limit; 0: none
	MaxCalls   int     `json:"max_parallel"` // limit over all processes; 0: none
}

// Status describes the deployments in their order.
func (r *Router) Status() []DeploymentStatus {
	now := time.Now()
	all := make([]DeploymentStatus, len(r.deployments))
	for i, d := range r.deployments {
		all[i] = d.status(now)
	}
	return all
}

func (d *deployment) status(now time.Time) DeploymentStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := DeploymentStatus{
		ID: d.ID, Group: d.Group, Model: d.Model, InFlight: int(d.inFlight.Load()), Waiting: d.waitQueue.Len(),
		Limit: d.MaxParallel, RPM: d.RPM, TPM: d.TPM, MaxCalls: d.MaxParallel,
		LatencyMs: milliseconds(d.meanLatency()), ErrorRate: d.errors.Value,
		UsedTokens: d.used.Count(now), UsedCalls: d.calls.Count(now),
	}
	if d.adapt.On() {
		s.Limit, s.Reason = d.adapt.Allowed(), d.adapt.Reason()
	}
	if b, state := d.breaker, d.breaker.state(now); state != closed {
		s.CooldownUntil, s.CooldownReason, s.Probing = b.until, b.reason, state == halfOpen
	} else if wildcard, b := d.worst(now); b != nil {
		s.CooldownUntil, s.Probing = b.until, b.state(now) == halfOpen
		s.CooldownReason = "only " + d.modelFor(wildcard) + ": " + b.reason
	}
	if o := d.outages[scopeAll]; o != nil {
		s.Fatal, s.FatalUntil = o.reason, o.until
	}
	return s
}
