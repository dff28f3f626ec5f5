// Package retry calls a function again until it succeeds. It is the one loop of
// this kind: a [Policy] says how long to pause, what ends it, and who hears of
// failures.
package retry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Policy says when [Do] tries again. The zero value tries again at once, after
// every error, until the context ends. A Policy is only read, and may be shared.
type Policy struct {
	// Pause lies between two tries. With MaxPause each pause is twice the one
	// before, up to MaxPause; without, all are alike.
	Pause, MaxPause time.Duration
	// Try is how long one try may take: its context ends then. 0 means as long as
	// the context of Do lasts.
	Try time.Duration
	// For is how long after the beginning of the first try a further one may
	// still be planned. 0 means without end.
	For time.Duration
	// Again reports whether another try may help after err; nil means always. It
	// gets the context of Do, for what it has to ask.
	Again func(ctx context.Context, err error) bool
	// Failed hears of each failure that another try is to follow, before the
	// pause; nil means nobody does. late is true in one call alone: the first that
	// comes at least Late after the beginning of the first try, when this is no
	// longer a hiccup. 0 for Late means the first of all.
	Failed func(err error, late bool)
	Late   time.Duration
	// Sleep pauses, and nothing more is tried if it fails; nil means [Sleep].
	Sleep func(ctx context.Context, d time.Duration) error
}

// Do calls f until it returns nil, at least once and never twice at once. It
// returns f's last error if the policy allows no other try, and Sleep's error as
// it is if that is not the end of ctx. If ctx has ended it returns an error that
// wraps f's last error and ctx's cause. f may be called again although it took
// effect, as when an answer was lost, and must bear it.
func Do(ctx context.Context, p Policy, f func(context.Context) error) error {
	sleep := p.Sleep
	if sleep == nil {
		sleep = Sleep
	}
	told := false
	for began, pause := time.Now(), p.Pause; ; pause = min(2*pause, max(p.MaxPause, p.Pause)) {
		err := try(ctx, p.Try, f)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return gaveUp(ctx, err)
		}
		passed := time.Since(began)
		if p.For > 0 && passed > p.For || p.Again != nil && !p.Again(ctx, err) {
			return err
		}
		if p.Failed != nil {
			late := !told && passed >= p.Late
			told = told || late
			p.Failed(err, late)
		}
		if broke := sleep(ctx, pause); broke != nil {
			if errors.Is(broke, context.Cause(ctx)) {
				return gaveUp(ctx, err)
			}
			return broke
		}
	}
}

// try calls f once, with an end of its own if there is to be one.
func try(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	return f(ctx)
}

// gaveUp is the error of an ended context that ended the tries after err.
func gaveUp(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w (gave up: %w)", err, cause)
}

// Sleep waits for d, or until ctx ends: then it returns ctx's cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
