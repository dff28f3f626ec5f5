package schema_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pelton/schema"
)

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"id":"a","queue":"default","state":"running","total":3,"counts":{"succeeded":1},"metadata":{"a":1},"eta_s":7}`))
	f.Add([]byte(`{"id":"a","state":"failed","reason":{"code":"fail_fast","message":"x","index":2},"errors":[{"code":"timeout","count":1,"first_index":0}]}`))
	f.Add([]byte(`{"id":"a","state":"succeeded","metadata":null,"cost":1e308,"usage":{"total_tokens":-1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := schema.ParseState(data)
		if err != nil {
			return
		}
		first, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := schema.ParseState(first); err != nil || again.ID != s.ID || again.State != s.State {
			t.Fatalf("%v: %s", err, first)
		}
	})
}

func FuzzParseParked(f *testing.F) {
	f.Add([]byte(`{"ready_at":"2026-11-23T10:00:00Z","left_ms":1000,"reason":"r","starts":2,"attempts":[{"deployment":"d","started_at":"2026-11-23T10:00:00Z","error":{"class":"transient","code":"http_503","message":"m"}}]}`))
	f.Add([]byte(`{"ready_at":"9999-12-31T23:59:59Z","left_ms":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := schema.ParseParked(data)
		if err != nil {
			return
		}
		first, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := schema.ParseParked(first); err != nil || again.LeftMs != p.LeftMs || !again.ReadyAt.Equal(p.ReadyAt) {
			t.Fatalf("%v: %s", err, first)
		}
	})
}

// A cancel is understood whatever it is, and what is kept of it is bounded.
func FuzzParseCancel(f *testing.F) {
	for _, s := range []string{"", `{"reason":"enough"}`, "enough", `{"reason":3}`, `["x"]`, "\xff\xfe", `{"code":"fail_fast","index":7}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := schema.ParseCancel(data)
		if len(c.Reason) > 3000 || !utf8.ValidString(c.Reason) {
			t.Fatalf("%d bytes: %q", len(c.Reason), c.Reason)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Fatal(err)
		}
	})
}

// A subject is an address only if the address gives the same subject.
func FuzzSubjects(f *testing.F) {
	f.Add("results", "pelton.results.default.a.0")
	f.Add("results", "pelton.results.default.a.end")
	f.Add("work", "pelton.work.default.a.+1")
	f.Add("cancel", "pelton.cancel..a")
	f.Add("jobs", "pelton.jobs.default")
	n := schema.Names{}
	f.Fuzz(func(t *testing.T, kind, subject string) {
		at, ok := n.Parse(kind, subject)
		if !ok {
			return
		}
		back := map[string]string{
			"jobs": n.Jobs(at.Queue), "cancel": n.Cancel(at.Queue, at.Job), "progress": n.Progress(at.Queue, at.Job), "stored": n.Stored(at.Queue, at.Job),
			"work": n.Work(at.Queue, at.Job, at.Index), "results": n.Result(at.Queue, at.Job, at.Index), "parked": n.Parked(at.Queue, at.Job, at.Index),
		}
		want, known := back[kind]
		if at.End {
			want = n.End(at.Queue, at.Job)
		}
		if known && want != subject {
			t.Fatalf("%q is %+v, which is %q", subject, at, want)
		}
		if at.Index < -1 || at.Index >= 1_000_000_000 {
			t.Fatalf("%+v", at)
		}
	})
}
