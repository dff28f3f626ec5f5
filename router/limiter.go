package router

import "pelton/router/limits"

type (
	// Limits are those of one deployment: see [limits.Limits].
	Limits = limits.Limits

	// Limiter says whether a deployment has room: see [limits.Limiter].
	Limiter = limits.Limiter

	// Permit is a place that a [Limiter] has given.
	Permit = limits.Permit

	// BusyError says that there is no room now, and when there may be.
	BusyError = limits.BusyError

	// LocalLimiter is a [Limiter] for one process.
	LocalLimiter = limits.Local
)

// NewLimiter returns a limiter for one process that has admitted nothing yet.
func NewLimiter() *LocalLimiter { return limits.NewLocal() }
