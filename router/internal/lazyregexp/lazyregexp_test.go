package lazyregexp

import "testing"

func TestRegexp(t *testing.T) {
	r := New(`^a+$`)
	if !r.Get().MatchString("aa") || r.Get().MatchString("b") || r.Get() != r.Get() {
		t.Error("it is not the expression")
	}
	defer func() {
		if recover() == nil {
			t.Error("what is no expression is used")
		}
	}()
	New(`(`).Get()
}
