package gcra

import "time"

// A Window counts what was taken in the last minute: however it comes, no minute
// sees more than its number, and all of that may come at once. The zero value is
// empty. A Window is not safe for concurrent use.
type Window struct {
	taken [slots]int32 // by the slot of time in which it was
	total int
	at    int64 // the slot that was looked at last
}

// A slot is the least time that a window tells apart. What was taken counts until the
// last moment of its slot is a minute ago.
const (
	slot  = 100 * time.Millisecond
	slots = int64(time.Minute/slot) + 1
)

// turn forgets what is a minute old.
func (w *Window) turn(now time.Time) {
	at := now.UnixNano() / int64(slot)
	for i := max(w.at, at-slots) + 1; i <= at; i++ {
		w.total -= int(w.taken[i%slots])
		w.taken[i%slots] = 0
	}
	w.at = max(w.at, at)
}

// Ready returns when one may be taken of perMinute; not after now means at once.
func (w *Window) Ready(now time.Time, perMinute int) time.Time {
	w.turn(now)
	over := w.total - perMinute + 1
	for i := w.at - slots + 1; over > 0 && i <= w.at; i++ {
		if over -= int(w.taken[i%slots]); over <= 0 {
			return time.Unix(0, (i+slots)*int64(slot))
		}
	}
	return now
}

// Take takes one, whether or not it is there.
func (w *Window) Take(now time.Time) {
	w.turn(now)
	w.taken[w.at%slots]++
	w.total++
}

// Give puts back the one that was taken last.
func (w *Window) Give() {
	for i := w.at; i > w.at-slots; i-- {
		if w.taken[i%slots] > 0 {
			w.taken[i%slots]--
			w.total--
			return
		}
	}
}
