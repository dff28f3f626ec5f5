package jobs

import (
	"iter"
	"math/bits"
)

// bitset holds one bit per index of a job. The zero value is empty; it grows as
// needed. It is not safe for concurrent use.
type bitset []uint64

func (s bitset) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

// add sets a bit and reports whether it was clear before.
func (s *bitset) add(i int) bool {
	for i>>6 >= len(*s) {
		*s = append(*s, 0)
	}
	word, bit := &(*s)[i>>6], uint64(1)<<(i&63)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}

func (s *bitset) clear(i int) {
	if i>>6 < len(*s) {
		(*s)[i>>6] &^= 1 << (i & 63)
	}
}

// all lists the bits that are set, in their order.
func (s bitset) all() iter.Seq[int] {
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
