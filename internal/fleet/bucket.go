package fleet

import "time"

// bucket is a token bucket in the form of the generic cell rate algorithm: the
// moment at which all that was taken is paid for. A moment in the past is a full
// bucket, and one that is burst ahead an empty one.
type bucket struct{ paid time.Time }

// price is what one of perMinute costs, and burst how far ahead it may be paid:
// at least one can always be had.
func price(perMinute int) (one, burst time.Duration) {
	one = max(time.Minute/time.Duration(perMinute), 1)
	return one, max(one, burstWindow)
}

// ready returns when n may be taken after ahead others have been; not after now
// means at once. More than a whole bucket waits for a full one and leaves a debt.
func (b *bucket) ready(now time.Time, ahead, n float64, perMinute int) time.Time {
	one, burst := price(perMinute)
	paid := b.paid
	if paid.Before(now) {
		paid = now
	}
	return paid.Add(cost(ahead, one) + min(cost(n, one), burst) - burst)
}

func (b *bucket) take(now time.Time, n float64, perMinute int) {
	if b.paid.Before(now) {
		b.paid = now
	}
	b.give(-n, perMinute)
}

// give puts n back.
func (b *bucket) give(n float64, perMinute int) {
	one, _ := price(perMinute)
	b.paid = b.paid.Add(-cost(n, one))
}

// longest bounds what one call can cost, so that nonsense cannot overflow.
const longest = 24 * time.Hour

func cost(n float64, one time.Duration) time.Duration {
	c := n * float64(one)
	return time.Duration(max(-float64(longest), min(float64(longest), c)))
}
