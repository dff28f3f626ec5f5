package bitset_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pelton/internal/bitset"
)

func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s bitset.Set
		want := map[int]bool{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			i := rapid.IntRange(0, 300).Draw(t, "index")
			if rapid.Bool().Draw(t, "add") {
				if s.Add(i) == want[i] {
					t.Fatalf("Add(%d) after %v", i, want[i])
				}
				want[i] = true
			} else {
				s.Remove(i)
				delete(want, i)
			}
			if s.Has(i) != want[i] {
				t.Fatalf("Has(%d) = %v", i, s.Has(i))
			}
		}
		if s.Has(-1) || s.Has(1<<40) || s.Len() != len(want) {
			t.Fatalf("has what it cannot, or %d of %d", s.Len(), len(want))
		}
		if got, want := slices.Collect(s.All()), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Fatalf("All() = %v, want %v", got, want)
		}
	})
}
