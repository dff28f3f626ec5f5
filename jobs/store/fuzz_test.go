package store

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// Whatever a result's headers say, they can be written again, and so can the state that counts it.
func FuzzMeta(f *testing.F) {
	f.Add("3", "succeeded", "", "1,2,3", "0.25", "17", "2026-11-23T03:00:00Z", "m", "2")
	f.Add("0", "failed", "rate%25", "-1,2,x", "NaN", "-5", "tomorrow", "", "-1")
	f.Add("9999999999999", "parked", "", "9223372036854775807,1,1", "+Inf", "9223372036854775807", "", "", "9223372036854775807")
	f.Fuzz(func(t *testing.T, index, status, code, usage, cost, waited, ready, model, unknown string) {
		out, ok := parseMeta(nats.Header{schema.HeaderIndex: {index}, schema.HeaderStatus: {status}, schema.HeaderCode: {code},
			schema.HeaderUsage: {usage}, schema.HeaderCost: {cost}, schema.HeaderWaited: {waited}, schema.HeaderReady: {ready}, schema.HeaderModel: {model},
			schema.HeaderUnknownAttempts: {unknown}, schema.HeaderUnpricedAttempts: {unknown}})
		if !ok {
			return
		}
		if out.Index < 0 || out.Index >= MaxRequests || out.QueuedFor < 0 || out.UnknownAttempts < 0 || out.UnpricedAttempts < 0 || out.Cost != nil && !(*out.Cost >= 0 && *out.Cost < math.MaxFloat64) {
			t.Fatalf("%+v", out)
		}
		if _, err := json.Marshal(schema.State{Cost: out.Cost, Usage: out.Usage}); err != nil {
			t.Fatalf("%+v: %v", out, err)
		}
		h := nats.Header{}
		out.writeTo(h, "j")
		if again, ok := parseMeta(h); !ok || again.Index != out.Index || again.Status != out.Status || again.Code != out.Code || again.DeadModel != out.DeadModel ||
			again.UnknownAttempts != out.UnknownAttempts {
			t.Fatalf("%+v became %+v", out, again)
		}
	})
}

// Whatever is published as a job becomes a record that can be written and found.
func FuzzReadJob(f *testing.F) {
	f.Add([]byte(`{"id":"a","requests":[{"model":"m","messages":[{"role":"user","content":"x"}]}],"reply":"x.y","deadline":"1h"}`), "", "")
	f.Add([]byte(`{"input":{"object":"n"},"metadata":{"a":[1]},"deadline":"9999-01-01T00:00:00Z"}`), "order 7", "")
	f.Add([]byte(`{"specversion":"1.0","id":"e","type":"t","data":{"requests":[]}}`), "x", "application/cloudevents+json")
	f.Add([]byte("\xff"), "", "")
	b := offline(f)
	f.Fuzz(func(t *testing.T, data []byte, id, media string) {
		h := nats.Header{nats.MsgIdHdr: {id}, "Content-Type": {media}}
		job, want, problem := b.Jobs.Parse(JobMessage{Queue: "default", Seq: 7, Published: time.Unix(1e9, 0), Data: data, header: h})
		if job == nil || !schema.ValidQueue(want.ID) || want.Hash == "" || want.Total < 0 {
			t.Fatalf("%+v", want)
		}
		if problem == nil && len(job.Requests) == 0 && job.Input == nil {
			t.Fatal("nothing to do, and no problem")
		}
		if problem != nil && problem.Error() == "" {
			t.Fatal("a problem without a word")
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 4*len(data)+8*len(id)+(64<<10) {
			t.Fatalf("a record of %d bytes for %d", len(text), len(data))
		}
		var back Record
		if err := json.Unmarshal(text, &back); err != nil || back.ID != want.ID {
			t.Fatalf("%v: %s", err, text)
		}
	})
}

func FuzzHeaderText(f *testing.F) {
	for _, s := range []string{"plain", "a%b\r\n\x7f", "%41", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := HeaderText(s)
		for i := range len(text) {
			if text[i] < ' ' || text[i] == 0x7f {
				t.Fatalf("%q holds a control character", text)
			}
		}
		if back := HeaderValue(text); back != s {
			t.Fatalf("%q became %q, and that %q", s, text, back)
		}
		_ = HeaderValue(s)
	})
}

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
