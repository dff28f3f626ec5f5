package jobs

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// Whatever a result's headers say, the state that counts it can be written.
func FuzzOutcome(f *testing.F) {
	f.Add("3", "succeeded", "", "1,2,3", "0.25", "17", "2026-11-23T03:00:00Z", "m")
	f.Add("0", "failed", "rate%25", "-1,2,x", "NaN", "-5", "tomorrow", "")
	f.Add("9999999999999", "parked", "", "9223372036854775807,1,1", "+Inf", "9223372036854775807", "", "")
	f.Fuzz(func(t *testing.T, index, status, code, usage, cost, waited, ready, model string) {
		out, ok := parseMeta(nats.Header{schema.HeaderIndex: {index}, schema.HeaderStatus: {status}, schema.HeaderCode: {code},
			schema.HeaderUsage: {usage}, schema.HeaderCost: {cost}, schema.HeaderWaited: {waited}, schema.HeaderReady: {ready}, schema.HeaderModel: {model}})
		if !ok {
			return
		}
		if out.Index < 0 || out.Index >= mostRequests || out.QueuedFor < 0 || out.Cost != nil && !(*out.Cost >= 0 && *out.Cost < math.MaxFloat64) {
			t.Fatalf("%+v", out)
		}
		if _, err := json.Marshal(schema.State{Cost: out.Cost, Usage: out.Usage}); err != nil {
			t.Fatalf("%+v: %v", out, err)
		}
		h := nats.Header{}
		out.writeTo(h, "j")
		if again, ok := parseMeta(h); !ok || again.Index != out.Index || again.Status != out.Status || again.Code != out.Code || again.DeadModel != out.DeadModel {
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
		if job == nil || !jobName(want.ID) || want.Hash == "" || want.Total < 0 {
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

// Whatever a call of the service names, it is one job or none.
func FuzzServiceCall(f *testing.F) {
	f.Add([]byte(`{"id":"a","reason":"enough"}`))
	f.Add([]byte("nightly-42"))
	f.Add([]byte(`{"id":"*"}`))
	f.Add([]byte(`[">"]`))
	names := schema.Names{}
	f.Fuzz(func(t *testing.T, data []byte) {
		id := named(data).ID
		if !jobName(id) {
			return
		}
		if at, ok := names.Parse("cancel", names.Cancel("default", id)); !ok || at.Job != id || at.Queue != "default" {
			t.Fatalf("%q names %+v", id, at)
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
