package schema

import (
	"runtime"
	"strconv"
	"testing"
)

func TestSeen(t *testing.T) {
	var s seen
	for _, n := range []int{0, 1, fewSeen - 1, fewSeen, fewSeen + 1, 50_000} { // on both sides of the change of form
		s = seen{}
		for i := range n {
			if first, again := s.add("id-"+strconv.Itoa(i), i); again {
				t.Fatalf("%d of %d taken for %d", i, n, first)
			}
		}
		for _, i := range []int{0, n / 2, n - 1} {
			if first, again := s.add("id-"+strconv.Itoa(i), n); n > 0 && (!again || first != i) {
				t.Errorf("%d of %d: %d, %v", i, n, first, again)
			}
		}
	}
}

func TestSeenHoldsLargeIndexes(t *testing.T) {
	s := seen{}
	for i := range fewSeen + 1 {
		s.add(strconv.Itoa(i), i)
	}
	for _, index := range []int{1 << 13, 1<<14 - 1, 1 << 14, 123_456_789, maxIndex - 1} {
		id := "at " + strconv.Itoa(index)
		s.add(id, index)
		if first, again := s.add(id, 1); !again || first != index {
			t.Errorf("%d came back as %d, %v", index, first, again)
		}
	}
}

// The promise is at most 12 bytes per index over millions.
func TestSeenIsSmall(t *testing.T) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var s seen
	var id []byte
	for i := range n {
		id = strconv.AppendInt(append(id[:0], "request-"...), int64(i), 10)
		if _, again := s.add(string(id), i); again {
			t.Fatal("found twice") // odds of 1 in 37 million
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes per index", each)
	if each > 12 {
		t.Errorf("%.1f bytes per index", each)
	}
	runtime.KeepAlive(&s)
}
