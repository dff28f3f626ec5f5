package store

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
