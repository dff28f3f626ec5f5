package queue

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/jobs/store"
	"pelton/schema"
)

// offline is a store without a server behind it.
func offline(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(&nats.Conn{}, store.Settings{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// What every version so far has written is read: as it is; with a header that is
// not known here, as a newer version may write it; and without each of those that
// may be absent, as an older one wrote it.
func TestDecodesEveryVersion(t *testing.T) {
	paths, err := filepath.Glob("../../schema/testdata/v*/work.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d samples, %v", len(paths), err)
	}
	document, ok := schema.DocumentNamed("work")
	var form struct {
		Defs map[string]struct{ Required []string } `json:"$defs"`
	}
	if err := json.Unmarshal(document, &form); !ok || err != nil {
		t.Fatal(err)
	}
	st := offline(t)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var sample struct {
			Subject string
			Headers nats.Header
			Data    json.RawMessage
		}
		if err := json.Unmarshal(data, &sample); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		read := func(what string, header nats.Header) {
			it, err := Decode(t.Context(), st, &nats.Msg{Subject: sample.Subject, Header: header, Data: sample.Data})
			if err != nil || it.Job == "" || string(it.Body) != string(sample.Data) {
				t.Errorf("%s %s: %+v, %v", path, what, it, err)
			}
		}
		read("as it is", sample.Headers)
		newer := maps.Clone(sample.Headers)
		newer.Set("Pelton-X-Of-A-Newer-Version", "1")
		read("with an unknown header", newer)
		for name := range sample.Headers {
			if !slices.Contains(form.Defs["headers"].Required, name) {
				older := maps.Clone(sample.Headers)
				delete(older, name)
				read("without "+name, older)
			}
		}
	}
}

// What a work message's headers may say, and what they may not make of it.
func FuzzDecode(f *testing.F) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	st := offline(f)
	for _, it := range []*Item{
		{Queue: "default", Job: "a", Index: 3, Total: 9, CustomID: "ö%\n", Endpoint: schema.Embeddings, Timeout: time.Minute,
			Deadline: now, QueuedAt: now, Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tags: []string{"free"}, Body: []byte(`{}`)},
		{Queue: "q", Job: "j1", Total: 1, Timeout: 1, Deadline: now, QueuedAt: now},
	} {
		m := encode(st.Names, it)
		h := m.Header
		f.Add(m.Subject, h.Get(schema.HeaderTotal), h.Get(schema.HeaderTimeout), h.Get(schema.HeaderDeadline), h.Get(schema.HeaderQueuedAt),
			h.Get(schema.HeaderCustomID), h.Get(schema.HeaderTrace), h.Get(schema.HeaderTags), m.Data)
	}
	f.Add("pelton.work.default.a.99999999999999999", "1e3", "-1h", "0000-00-00", "", "%zz%", "x\r\nHost: evil", "%00", []byte(nil))
	f.Fuzz(func(t *testing.T, subject, total, timeout, deadline, queued, id, trace, tag string, body []byte) {
		h := nats.Header{schema.HeaderTotal: {total}, schema.HeaderTimeout: {timeout}, schema.HeaderDeadline: {deadline},
			schema.HeaderQueuedAt: {queued}, schema.HeaderCustomID: {id}, schema.HeaderTrace: {trace}, schema.HeaderTags: {tag}}
		it, err := Decode(t.Context(), st, &nats.Msg{Subject: subject, Header: h, Data: body})
		if err != nil {
			return
		}
		if it.Index < 0 || it.Index >= it.Total || it.Index >= 1_000_000_000 || len(it.Trace) > 128 {
			t.Fatalf("%+v", it)
		}
		if _, err := it.Result().AppendJSON(nil); err == nil && it.Key() == "" {
			t.Fatal("a request without a key")
		}
		again, err := Decode(t.Context(), st, encode(st.Names, it))
		if err != nil || again.CustomID != it.CustomID || again.Total != it.Total || again.Timeout != it.Timeout || string(again.Body) != string(it.Body) {
			t.Fatalf("%+v became %+v: %v", it, again, err)
		}
	})
}
