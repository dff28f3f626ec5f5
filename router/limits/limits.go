// Package limits is what a deployment may be asked for, and who holds it to that.
package limits

import (
	"context"
	"fmt"
	"time"
)

// Limits are what a deployment may be asked for. Zero is no limit.
type Limits struct {
	RPM         int // requests per minute, as a rate: see the limiter for what may come at once
	TPM         int // tokens per minute, as a rate: bursts are at most one second of it
	MaxParallel int // calls at once
}

// None reports whether there is no limit at all.
func (l Limits) None() bool { return l == Limits{} }

// Limiter admits calls to deployments that have limits. The router's own admits
// within one process; one that the fleet shares can take its place. Its methods
// are safe for concurrent use.
type Limiter interface {
	// Admit takes a place for one call of about tokens tokens, or returns
	// [*BusyError] at once when there is none now. It waits for nothing but an
	// answer; any other error means that it could not be told, and that the call
	// must not be made.
	Admit(ctx context.Context, deployment string, limits Limits, tokens int) (Permit, error)
}

// Permit is a place for one call.
type Permit interface {
	// Done gives the place back: tokens is what the call really used, which
	// corrects the estimate, and sent is false where no call was made, which
	// gives back the request as well. It must be called exactly once.
	Done(tokens int, sent bool)
}

// BusyError means that a deployment has no place for a call now.
type BusyError struct {
	Deployment string
	ReadyAt    time.Time // when asking again makes sense; zero when a call that ends makes room
}

func (e *BusyError) Error() string {
	if e.ReadyAt.IsZero() {
		return fmt.Sprintf("deployment %s has as many calls in flight as it may have", e.Deployment)
	}
	return fmt.Sprintf("deployment %s has no room before %s", e.Deployment, e.ReadyAt.UTC().Format(time.RFC3339Nano))
}
