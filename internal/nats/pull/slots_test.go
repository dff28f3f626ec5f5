package pull

import "testing"

// A puller that starts before the others leaves them their share.
func TestSlotsAreSharedFromTheStart(t *testing.T) {
	s := NewSlots(10)
	s.Expect(2)
	first, second := &Puller{}, &Puller{}
	s.join(first)
	if n, shared := s.claim(0); n != 5 || !shared {
		t.Errorf("the first claims %d, shared %t", n, shared)
	}
	s.join(second)
	if n, shared := s.claim(0); n != 5 || !shared {
		t.Errorf("the second claims %d, shared %t", n, shared)
	}
	alone := NewSlots(10)
	alone.Expect(1)
	alone.join(first)
	if n, shared := alone.claim(0); n != 10 || shared {
		t.Errorf("one alone claims %d, shared %t", n, shared)
	}
}
