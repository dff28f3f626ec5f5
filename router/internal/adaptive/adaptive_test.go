package adaptive

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lost := errors.New("429 Too Many Requests")
	a := New(20)
	now := t0
	round := func(answers int) {
		began := now
		now = now.Add(time.Second)
		for range answers {
			a.Answered(began)
		}
	}
	if round(100); a.Allowed() != start {
		t.Errorf("grew to %d though it was never reached", a.Allowed())
	}
	a.Began(now, start)
	if round(4); a.Allowed() != 8 {
		t.Errorf("slow start: %d after a round", a.Allowed())
	}
	a.Began(now, 8)
	if round(100); a.Allowed() != 20 {
		t.Errorf("%d, the ceiling is 20", a.Allowed())
	}
	began := now
	now = now.Add(time.Second)
	for range 10 { // they were all sent before the first of them came back
		a.Lost(now, began, lost)
	}
	if a.Allowed() != 18 || !strings.Contains(a.Reason(), "429") {
		t.Errorf("%d after a round of losses: %s", a.Allowed(), a.Reason())
	}
	a.Began(now, 18)
	if round(1); a.Allowed() != 18 {
		t.Error("one answer is a whole round")
	}
	a.Began(now, 18)
	if round(18); a.Allowed() != 19 {
		t.Errorf("%d after a round of answers", a.Allowed())
	}
	for range 1000 {
		now = now.Add(time.Second)
		a.Lost(now.Add(time.Millisecond), now, lost)
	}
	if a.Allowed() != 1 {
		t.Errorf("%d, and must not be below 1", a.Allowed())
	}
	var off Limit
	off.Began(now, 1)
	off.Answered(now)
	if off.Lost(now, now, lost); off.On() || off.Reason() != "" {
		t.Errorf("%+v", off)
	}
}
