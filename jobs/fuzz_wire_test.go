package jobs

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// A record is read or is said to be damaged; what is read can be written again.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		`{"id":"j","queue":"q","state":"running","total":3,"counts":{"succeeded":1},"created_at":"2026-01-01T00:00:00Z","job_seq":7,"job_hash":"x","owner":"w","relayed":5}`,
		`{}`, `null`, `[]`, `{"job_seq":-1}`, `{"counts":7}`, `{"callback":{"name":"n"},"metadata":{"a":[]}}`, ``, `{"state":"new","other":{"deep":[[[]]]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord("q.j", data, 5)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if back, err := decodeRecord("q.j", again, 5); err != nil || back.Seq != r.Seq || back.State.State != r.State.State || back.Relayed != r.Relayed {
			t.Errorf("%q became %q: %v", data, again, err)
		}
	})
}

// Whatever stands in the headers of chunks, and in whatever order they come, what
// is handed on goes forward, and what is missing is no negative number.
func FuzzDeltas(f *testing.F) {
	f.Add("pelton.deltas.q.j.0", "1", "0", "", "1", "1", "succeeded")
	f.Add("pelton.deltas.q.j.0", "2", "9", "", "1", "10", "")
	f.Add("pelton.deltas.q.j.99999999999", "1", "-1", "failed", "0", "99999999999", "x")
	f.Add("pelton.deltas.q.j", "", "", "", "x", "", "")
	st := offline(f)
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
