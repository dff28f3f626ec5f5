package pull

import (
	"sync"
	"testing"
)

// Every delivery has a goroutine to itself however many there are, few goroutines
// stay afterwards, and none after the end.
func TestHands(t *testing.T) {
	const n = 5 * keepIdle
	var begun, release sync.WaitGroup
	release.Add(1)
	begun.Add(n)
	var handled sync.WaitGroup
	h := newHands(func(*Delivery) {
		defer handled.Done()
		begun.Done()
		release.Wait()
	})
	for range n {
		handled.Add(1)
		h.give(&Delivery{})
	}
	begun.Wait() // all at once
	release.Done()
	handled.Wait()
	begun.Add(1000)
	for range 1000 {
		handled.Add(1)
		h.give(&Delivery{})
	}
	handled.Wait()
	h.end()
	if stay := h.idle.Load(); stay != 0 {
		t.Errorf("%d are idle after the end", stay)
	}
}
