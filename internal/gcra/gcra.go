// Package gcra holds a rate per minute by the generic cell rate algorithm of
// ATM (ITU-T I.371): a token bucket that is one moment in time.
package gcra

import "time"

// A Bucket is the moment at which all that was taken from it is paid for. A
// moment in the past is a full bucket, and one that is a burst ahead an empty
// one. The zero value is full. Its rate is told with each call and may change;
// it must be 1 or more. A Bucket is not safe for concurrent use.
type Bucket struct{ paid time.Time }

// burstWindow is how much of its rate a bucket holds: what may be taken at once.
// Upstreams judge a rate over seconds, not minutes. Half a second is half of what
// they are promised to see, since calls may arrive closer together than they
// were sent.
const burstWindow = 500 * time.Millisecond

// price is what one of perMinute costs, and burst how far ahead it may be paid:
// at least one can always be had.
func price(perMinute int) (one, burst time.Duration) {
	one = max(time.Minute/time.Duration(perMinute), 1)
	return one, max(one, burstWindow)
}

// Ready returns when n may be taken after ahead others have been; not after now
// means at once. More than a whole bucket waits for a full one and leaves a debt.
func (b *Bucket) Ready(now time.Time, ahead, n float64, perMinute int) time.Time {
	one, burst := price(perMinute)
	return b.from(now).Add(cost(ahead, one) + min(cost(n, one), burst) - burst)
}

// from is the moment from which what is taken at now has to be paid.
func (b *Bucket) from(now time.Time) time.Time {
	if b.paid.Before(now) {
		return now
	}
	return b.paid
}

// Take takes n, whether or not they are there; a negative n puts back what was
// taken too much.
func (b *Bucket) Take(now time.Time, n float64, perMinute int) {
	b.paid = b.from(now)
	b.Give(-n, perMinute)
}

// Give puts n back, as if they had never been taken.
func (b *Bucket) Give(n float64, perMinute int) {
	one, _ := price(perMinute)
	b.paid = b.paid.Add(-cost(n, one))
}

// BeginEmpty makes a bucket that nothing was taken from empty as of since. Zero
// for since leaves it full.
func (b *Bucket) BeginEmpty(since time.Time, perMinute int) {
	if b.paid.IsZero() && !since.IsZero() {
		_, burst := price(perMinute)
		b.paid = since.Add(burst)
	}
}

// longest bounds what one call can cost, so that nonsense cannot overflow.
const longest = 24 * time.Hour

func cost(n float64, one time.Duration) time.Duration {
	c := n * float64(one)
	return time.Duration(max(-float64(longest), min(float64(longest), c)))
}
