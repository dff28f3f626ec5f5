package lazyregexp

import "testing"

func TestRegexp(t *testing.T) {
	r := New(`^a+$`)
	once := r.Get()
	if !once.MatchString("aa") || once.MatchString("b") || r.Get() != once {
		t.Error("it is not the expression")
	}
	defer func() {
		if recover() == nil {
			t.Error("what is no expression is used")
		}
	}()
	New(`(`).Get()
}
