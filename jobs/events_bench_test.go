package jobs

import (
	"testing"
	"time"

	"pelton/schema"
)

// BenchmarkEvent is what an event costs: nobody listens, somebody listens to
// another job, and without the sending somebody listens to this one.
func BenchmarkEvent(b *testing.B) {
	for name, key := range map[string]string{"nobody": "", "another": "other", "listened": "j"} {
		b.Run(name, func(b *testing.B) {
			live := &Live{}
			live.listeners.until, live.listeners.call = map[JobKey]time.Time{}, func(JobKey) {}
			if key != "" {
				live.listeners.onListener(JobKey{"q", key}, time.Now().Add(time.Hour))
			}
			b.ReportAllocs()
			for b.Loop() {
				if live.Listened(JobKey{"q", "j"}) != (name == "listened") {
					b.Fatal(name)
				}
			}
		})
	}
}

// A word that a job is listened to holds for its time.
func TestListenersForget(t *testing.T) {
	var called []JobKey
	job, old := JobKey{"q", "j"}, JobKey{"q", "old"}
	l := listeners{until: map[JobKey]time.Time{}, call: func(key JobKey) { called = append(called, key) }}
	if l.any.Load() || l.has(job) {
		t.Error("wanted by nobody")
	}
	l.onListener(job, time.Now())
	l.onListener(old, time.Now().Add(-schema.ListenTime))
	if !l.has(job) || l.has(old) || len(called) != 2 {
		t.Errorf("%v", l.until)
	}
	if len(l.until) != 1 {
		t.Errorf("what has gone by is kept: %v", l.until)
	}
	l.until[job] = time.Now().Add(-time.Second)
	if l.has(job) || l.any.Load() || len(l.until) != 0 {
		t.Errorf("%v", l.until)
	}
}

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
