package owner

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What has time wakes the reader a little later, and with what has none.
func TestInboxLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newInbox[int]()
		start := time.Now()
		wait := func(passed time.Duration, want ...int) {
			t.Helper()
			<-box.wake
			if got := box.take(nil); time.Since(start) != passed || !slices.Equal(got, want) {
				t.Errorf("after %s: %v", time.Since(start), got)
			}
		}
		box.putLater(1)
		box.putLater(2)
		wait(later, 1, 2)
		box.putLater(3)
		box.put(4)
		wait(later, 3, 4)
		box.putLater(5) // the timer begins anew
		wait(2*later, 5)
		time.Sleep(10 * later)
		select {
		case <-box.wake:
			t.Error("woken for nothing")
		default:
		}
	})
}
