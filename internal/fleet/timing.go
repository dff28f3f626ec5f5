package fleet

import "time"

// What the fleet promises about time.
const (
	// LeaseTerm is how long a coordinator may grant after its last renewal. It is
	// also what its sudden death costs the fleet.
	LeaseTerm = 2 * time.Second

	// ForgetAfter is how long the permits of a worker that is not heard of are
	// kept for it. A worker that cannot reach the broker aborts its calls in that
	// time, so only one that was killed or paused leaves calls open beyond it.
	ForgetAfter = 6 * time.Second

	// RetryAway is how far ahead a [router.BusyError] is ready when there is no
	// coordinator to ask.
	RetryAway = 500 * time.Millisecond
)

const (
	renewEvery  = 500 * time.Millisecond // the lease
	renewRetry  = 100 * time.Millisecond // after a failed renewal
	leaseMargin = 200 * time.Millisecond // a challenger waits longer by this, for clocks that run apart
	beatEvery   = 500 * time.Millisecond // of each worker
	answerIn    = time.Second            // else an ask that does not wait is taken back
	storeIn     = time.Second            // for one operation of the key-value bucket
	claimIn     = 100 * time.Millisecond // for a member that was refused to ask again when it is called
	byeIn       = 500 * time.Millisecond // for the coordinator's word that a closing worker may go
)

// reached reports whether t has come, on the monotonic clock or on the wall's,
// one of which may have stood still while the machine slept.
func reached(now, t time.Time) bool {
	return !now.Before(t) || !now.Round(0).Before(t.Round(0))
}
