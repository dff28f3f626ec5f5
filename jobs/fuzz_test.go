package jobs

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// What a work message's headers may say, and what they may not make of it.
func FuzzReadWork(f *testing.F) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	b := offline(f)
	for _, w := range []*Work{
		{Queue: "default", Job: "a", Index: 3, Total: 9, CustomID: "ö%\n", Endpoint: schema.Embeddings, Timeout: time.Minute,
			Deadline: now, QueuedAt: now, Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tags: []string{"free"}, Body: []byte(`{}`)},
		{Queue: "q", Job: "j1", Total: 1, Timeout: 1, Deadline: now, QueuedAt: now},
	} {
		m := workMsg(b, w)
		h := m.Header
		f.Add(m.Subject, h.Get(schema.HeaderTotal), h.Get(schema.HeaderTimeout), h.Get(schema.HeaderDeadline), h.Get(schema.HeaderQueuedAt),
			h.Get(schema.HeaderCustomID), h.Get(schema.HeaderTrace), h.Get(schema.HeaderTags), m.Data)
	}
	f.Add("pelton.work.default.a.99999999999999999", "1e3", "-1h", "0000-00-00", "", "%zz%", "x\r\nHost: evil", "%00", []byte(nil))
	f.Fuzz(func(t *testing.T, subject, total, timeout, deadline, queued, id, trace, tag string, body []byte) {
		h := nats.Header{schema.HeaderTotal: {total}, schema.HeaderTimeout: {timeout}, schema.HeaderDeadline: {deadline},
			schema.HeaderQueuedAt: {queued}, schema.HeaderCustomID: {id}, schema.HeaderTrace: {trace}, schema.HeaderTags: {tag}}
		w, err := ReadWork(t.Context(), b, &nats.Msg{Subject: subject, Header: h, Data: body})
		if err != nil {
			return
		}
		if w.Index < 0 || w.Index >= w.Total || w.Index >= mostRequests || len(w.Trace) > 128 {
			t.Fatalf("%+v", w)
		}
		if _, err := w.Result().AppendJSON(nil); err == nil && w.Key() == "" {
			t.Fatal("a request without a key")
		}
		again, err := ReadWork(t.Context(), b, workMsg(b, w))
		if err != nil || again.CustomID != w.CustomID || again.Total != w.Total || again.Timeout != w.Timeout || string(again.Body) != string(w.Body) {
			t.Fatalf("%+v became %+v: %v", w, again, err)
		}
	})
}

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
		if out.Index > 1<<20 {
			return // a bit for each
		}
		var state schema.State
		tally := tally{first: -1}
		tally.add(out)
		tally.write(&state, 0)
		if _, err := json.Marshal(state); err != nil {
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
