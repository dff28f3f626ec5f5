package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pelton/router"
)

// lookFor bounds what a run spends on looking whether anybody is there.
const lookFor = 500 * time.Millisecond

// reachable looks whether any deployment is there at all before a run begins. A
// worker waits out an upstream that is away, as long as its requests may take;
// a person who has mistyped an address should not have to. An upstream that has
// not answered in time counts as reachable.
func reachable(ctx context.Context, upstreams *router.Router) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	var gone []error
	for _, result := range upstreams.Check(ctx) {
		if result.Reachable || ctx.Err() != nil || result.Error == nil {
			return nil
		}
		gone = append(gone, fmt.Errorf("deployment %s: %s", result.Deployment.ID, result.Error.Message))
	}
	return errors.Join(gone...)
}
