package jobs

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/jobs/store"
	"pelton/schema"
)

// Whatever stands in the headers of chunks, and in whatever order they come, what
// is handed on goes forward, and what is missing is no negative number.
func FuzzDeltas(f *testing.F) {
	f.Add("pelton.deltas.q.j.0", "1", "0", "", "1", "1", "succeeded")
	f.Add("pelton.deltas.q.j.0", "2", "9", "", "1", "10", "")
	f.Add("pelton.deltas.q.j.99999999999", "1", "-1", "failed", "0", "99999999999", "x")
	f.Add("pelton.deltas.q.j", "", "", "", "x", "", "")
	st := noServer(f)
	f.Fuzz(func(t *testing.T, subject, attempt1, sequence1, status1, attempt2, sequence2, status2 string) {
		r := &deltaReader{h: &Handle{st: st}, open: map[int]*deltaPlace{}}
		for _, h := range [][3]string{{attempt1, sequence1, status1}, {attempt2, sequence2, status2}, {attempt1, sequence1, status1}} {
			m := nats.NewMsg(subject)
			m.Header.Set(schema.HeaderAttempt, h[0])
			m.Header.Set(schema.HeaderSequence, h[1])
			m.Header.Set(schema.HeaderStatus, h[2])
			if d := r.read(m); d != nil && (d.Attempt < 1 || d.Sequence < 0 || d.Missed < 0) {
				t.Errorf("%q %v: %+v", subject, h, d)
			}
		}
		if r.missed < 0 || len(r.open) > 1 {
			t.Errorf("%d missed, %d open", r.missed, len(r.open))
		}
	})
}

// noServer is a store without a server behind it.
func noServer(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(&nats.Conn{}, store.Settings{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return st
}
