package router

import "pelton/router/limits"

type (
	// Limits and those below are the limits of deployments, and who holds them, by
	// their names in [limits].
	Limits       = limits.Limits
	Limiter      = limits.Limiter
	Permit       = limits.Permit
	BusyError    = limits.BusyError
	LocalLimiter = limits.Local
)

// NewLimiter returns a limiter for one process that has admitted nothing yet.
func NewLimiter() *LocalLimiter { return limits.NewLocal() }
