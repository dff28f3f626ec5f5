package schema_test

import (
	"testing"

	"pelton/schema"
)

func TestSubjects(t *testing.T) {
	var n schema.Names
	for want, got := range map[string]string{
		"pelton.jobs.q":          n.Jobs("q"),
		"pelton.work.q.j.7":      n.Work("q", "j", 7),
		"pelton.work.q.j.*":      n.WorkOf("q", "j"),
		"pelton.work.q.*.*":      n.WorkIn("q"),
		"pelton.results.q.j.0":   n.Result("q", "j", 0),
		"pelton.results.q.j.*":   n.ResultsOf("q", "j"),
		"pelton.results.q.j.end": n.End("q", "j"),
		"pelton.cancel.q.j":      n.Cancel("q", "j"),
		"pelton.progress.*.*":    n.Progress("*", "*"),
		"pelton.stored.q.j":      n.Stored("q", "j"),
		"pelton.svc.run.q":       n.Service("run", "q"),
		"a.b.jobs.q":             schema.Names{Prefix: "a.b"}.Jobs("q"),
		"PELTON_JOBS":            n.JobsStream(),
		"PELTON_WORK":            n.WorkStream(),
		"PELTON_RESULTS":         n.ResultsStream(),
		"PELTON_CANCELS":         n.CancelsStream(),
		"PELTON_STATE":           n.StateBucket(),
		"PELTON_INPUT":           n.InputBucket(),
		"PELTON_BODIES":          n.BodiesBucket(),
		"A_B_JOBS":               schema.Names{Prefix: "a.b"}.JobsStream(),
		"owners-q":               n.OwnersConsumer("q"),
		"workers-q":              n.WorkersConsumer("q"),
		"q.j":                    n.StateKey("q", "j"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseSubject(t *testing.T) {
	var n schema.Names
	type address = schema.Address
	for _, c := range []struct {
		kind, subject string
		want          address
		ok            bool
	}{
		{"jobs", "pelton.jobs.q", address{Queue: "q", Index: -1}, true},
		{"jobs", "pelton.jobs.q.x", address{}, false},
		{"work", n.Work("q", "j", 7), address{Queue: "q", Job: "j", Index: 7}, true},
		{"work", "pelton.work.q.j.end", address{}, false},
		{"results", n.Result("q", "j", 0), address{Queue: "q", Job: "j"}, true},
		{"results", n.End("q", "j"), address{Queue: "q", Job: "j", Index: -1, End: true}, true},
		{"cancel", n.Cancel("q", "j"), address{Queue: "q", Job: "j", Index: -1}, true},
		{"progress", n.Progress("q", "j"), address{Queue: "q", Job: "j", Index: -1}, true},
		{"stored", n.Stored("q", "j"), address{Queue: "q", Job: "j", Index: -1}, true},
		{"work", "pelton.results.q.j.0", address{}, false},
		{"work", "other.work.q.j.0", address{}, false},
		{"work", "pelton.work.q.j", address{}, false},
		{"work", "pelton.work.q.j.0.1", address{}, false},
		{"work", "pelton.work.q.j.-1", address{}, false},
		{"work", "pelton.work.q.j.+1", address{}, false},
		{"work", "pelton.work.q.j.01", address{}, false},
		{"work", "pelton.work.q.j.99999999999999999999", address{}, false},
		{"work", "pelton.work..j.1", address{}, false},
		{"cancel", "pelton.cancel.q.", address{}, false},
		{"jobs", "pelton.jobs.", address{}, false},
		{"jobs", "", address{}, false},
	} {
		got, ok := n.Parse(c.kind, c.subject)
		if got != c.want || ok != c.ok {
			t.Errorf("%s %q: got %+v, %v; want %+v, %v", c.kind, c.subject, got, ok, c.want, c.ok)
		}
	}
	if _, ok := (schema.Names{Prefix: "a.b"}).Parse("work", "a.b.work.q.j.3"); !ok {
		t.Error("a prefix of two tokens")
	}
}
