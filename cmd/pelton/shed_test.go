package main

import (
	"math/rand/v2"
	"testing"
)

// TestShedIsAnUnbrokenRow: what may go are sequences that are all written, in
// whatever order they came.
func TestShedIsAnUnbrokenRow(t *testing.T) {
	const n = 10_000
	order := rand.Perm(n)
	for i := range order { // about as far out of order as a window lets them be
		j := min(n-1, i+rand.IntN(100))
		order[i], order[j] = order[j], order[i]
	}
	for _, seqs := range [][]int{order, rand.Perm(n)} {
		var s shed
		written := make([]bool, n+2)
		for _, i := range seqs {
			s.wrote(uint64(i + 1))
			written[i+1] = true
			if written[s.low+1] || s.low > 0 && !written[s.low] {
				t.Fatalf("low is %d", s.low)
			}
		}
		if s.low != n || len(s.above) != 0 {
			t.Errorf("low is %d, %d above it", s.low, len(s.above))
		}
	}
}

// TestShedKeepsTheLatest: nothing goes before twice as many are there as go at once.
func TestShedKeepsTheLatest(t *testing.T) {
	var s shed
	for seq := uint64(1); seq < 2*shedEvery; seq++ {
		s.wrote(seq)
		if s.due() {
			t.Fatalf("due at %d", seq)
		}
	}
	s.wrote(2 * shedEvery)
	if !s.due() {
		t.Error("not due")
	}
}
