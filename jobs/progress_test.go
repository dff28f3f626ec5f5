package jobs

import (
	"testing"

	"pelton/schema"
)

// A reader of events that does not read is told how many it missed, and where.
func TestNewsCountsWhatIsMissed(t *testing.T) {
	n := &updates{wake: make(chan struct{}, 1)}
	for i := range mostNews + 5 {
		n.event(schema.Event{Index: i})
	}
	n.snapshot(schema.State{Total: 1})
	n.snapshot(schema.State{Total: 2})
	if p := n.next(false); p.State == nil || p.State.Total != 2 {
		t.Fatalf("%+v", p)
	}
	for i := range mostNews {
		if p := n.next(false); p.Event == nil || p.Event.Index != i || p.Missed != 0 {
			t.Fatalf("%d: %+v", i, p)
		}
	}
	n.event(schema.Event{Index: -7})
	n.snapshot(schema.State{State: schema.Succeeded})
	if p := n.next(false); p.Event == nil || p.Missed != 5 {
		t.Errorf("%+v", p)
	}
	if p := n.next(false); p != nil {
		t.Errorf("%+v before the end", p)
	}
	if p := n.next(true); p == nil || p.State.State != schema.Succeeded {
		t.Errorf("%+v", p)
	}
}
