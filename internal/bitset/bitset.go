// Package bitset holds sets of small numbers, such as the indexes of a job.
package bitset

import (
	"iter"
	"math/bits"
)

// A Set holds one bit per number from 0 to the largest that was ever added. The
// zero value is empty. It is not safe for concurrent use.
type Set []uint64

// Has reports whether i is in the set. A negative i never is.
func (s Set) Has(i int) bool {
	word := uint(i) >> 6
	return word < uint(len(s)) && s[word]&(1<<(i&63)) != 0
}

// Add puts i, which must not be negative, into the set. It reports whether it
// was not there before.
func (s *Set) Add(i int) bool {
	for i>>6 >= len(*s) {
		*s = append(*s, 0)
	}
	word, bit := &(*s)[i>>6], uint64(1)<<(i&63)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}

// Remove takes i out of the set, if it is there.
func (s Set) Remove(i int) {
	if s.Has(i) {
		s[i>>6] &^= 1 << (i & 63)
	}
}

// Len counts the numbers in the set, in a pass over all of it.
func (s Set) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// All lists the numbers in the set, the smallest first. What the caller removes
// or adds meanwhile may be missed.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for at, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(at<<6 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}
