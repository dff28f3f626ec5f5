package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/jobs/store"
	"pelton/schema"
)

// wireKind is how messages of one kind are read.
type wireKind struct {
	document string // the JSON Schema that says which fields may be absent
	headers  string // the part of it that says so of headers; empty: none
	read     func(b *store.Store, m *nats.Msg) error
}

func readAsResult(b *store.Store, m *nats.Msg) error {
	if _, ok := store.ParseMeta(m.Header); !ok {
		return errors.New("its headers are no outcome")
	}
	r, err := b.Results.Decode(context.Background(), store.Entry{Header: m.Header, Data: m.Data, Seq: 1})
	if err == nil && (r.ID == "" || r.Status == "") {
		return errors.New("empty")
	}
	return err
}

func readAsState(_ *store.Store, m *nats.Msg) error {
	s, err := schema.ParseState(m.Data)
	if err == nil && (s.ID == "" || s.State == "") {
		return errors.New("empty")
	}
	return err
}

func readAsRecord(_ *store.Store, m *nats.Msg) error {
	r, err := store.DecodeRecord(m.Subject, m.Data, 1)
	if err == nil && (r.ID == "" || r.Seq == 0 || r.Hash == "") {
		return errors.New("empty")
	}
	return err
}

var wireKinds = map[string]wireKind{
	"result-succeeded": {"result", "#/$defs/headers", readAsResult},
	"result-failed":    {"result", "#/$defs/headers", readAsResult},
	"result-cancelled": {"result", "#/$defs/headers", readAsResult},
	"end":              {"state", "#/$defs/headers", readAsState},
	"progress":         {"progress", "", readAsState},
	"record":           {"state", "", readAsRecord},
	"record-final":     {"state", "", readAsRecord},
	"stored": {"stored", "#", func(_ *store.Store, m *nats.Msg) error {
		if _, ok := store.ParseMeta(m.Header); !ok {
			return errors.New("its headers are no outcome")
		}
		return nil
	}},
	"parked": {"parked", "", func(_ *store.Store, m *nats.Msg) error {
		p, err := schema.ParseParked(m.Data)
		if err == nil && p.ReadyAt.IsZero() {
			return errors.New("empty")
		}
		return err
	}},
	"cancel": {"cancel", "", func(_ *store.Store, m *nats.Msg) error {
		schema.ParseCancel(m.Data)
		return nil
	}},
	"jobs": {"job", "", func(b *store.Store, m *nats.Msg) error {
		_, _, err := b.Jobs.Parse(store.MessageOf("default", 1, time.Now(), m))
		return err
	}},
}

// sampleMsg reads a stored sample.
func sampleMsg(t *testing.T, path string) *nats.Msg {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Subject string
		Headers nats.Header
		Data    json.RawMessage
	}
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if s.Headers == nil {
		s.Headers = nats.Header{}
	}
	return &nats.Msg{Subject: s.Subject, Header: s.Headers, Data: s.Data}
}

// What every version so far has written is read: as it is; as a newer version
// may write it, with fields and headers that are not known here; and without
// each of those that may be absent, as an older one wrote it.
func TestReadsEveryVersion(t *testing.T) {
	paths, err := filepath.Glob("../../schema/testdata/v*/*.json")
	if err != nil || len(paths) < len(wireKinds) {
		t.Fatalf("%d samples, %v", len(paths), err)
	}
	b := store.Offline(t)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if name == "work" { // read by jobs/queue, and tested there
			continue
		}
		kind, ok := wireKinds[name]
		if !ok {
			t.Errorf("%s: nobody knows how to read it", path)
			continue
		}
		m := sampleMsg(t, path)
		if err := kind.read(b, m); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for what, variant := range olderVariants(t, kind, m) {
			if err := kind.read(b, variant); err != nil {
				t.Errorf("%s without %s: %v", path, what, err)
			}
		}
		err := kind.read(b, newerVariant(t, m))
		if name != "jobs" {
			if err != nil {
				t.Errorf("%s as a newer version writes it: %v", path, err)
			}
			continue
		}
		// A job that asks for what this version cannot do is refused, and told why.
		if problems := (*schema.Problems)(nil); !errors.As(err, &problems) || !strings.Contains(err.Error(), newerField) {
			t.Errorf("a job with an unknown field: %v", err)
		}
	}
}

const newerField = "x_of_a_newer_version"

// newerVariant adds a header, and a field to every object but a body.
func newerVariant(t *testing.T, m *nats.Msg) *nats.Msg {
	t.Helper()
	out := &nats.Msg{Subject: m.Subject, Header: maps.Clone(m.Header)}
	out.Header.Set("Pelton-X-Of-A-Newer-Version", "1")
	if len(m.Data) == 0 {
		return out
	}
	var value any
	if err := json.Unmarshal(m.Data, &value); err != nil {
		t.Fatal(err)
	}
	var err error
	if out.Data, err = json.Marshal(withField(value)); err != nil {
		t.Fatal(err)
	}
	return out
}

func withField(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = withField(v[key])
		}
		v[newerField] = map[string]any{"deep": []any{1}}
	case []any:
		for i := range v {
			v[i] = withField(v[i])
		}
	}
	return value
}

// olderVariants are the message without each of the fields and headers that its
// schema does not require.
func olderVariants(t *testing.T, kind wireKind, m *nats.Msg) map[string]*nats.Msg {
	t.Helper()
	data, ok := schema.DocumentNamed(kind.document)
	if !ok {
		t.Fatalf("no schema %s", kind.document)
	}
	type required struct {
		Required []string
		Defs     map[string]struct{ Required []string } `json:"$defs"`
	}
	var doc required
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	variants := map[string]*nats.Msg{}
	needed := doc.Required
	if kind.headers == "#/$defs/headers" {
		needed = doc.Defs["headers"].Required
	}
	for name := range m.Header {
		if kind.headers != "" && !slices.Contains(needed, name) {
			header := maps.Clone(m.Header)
			header.Del(name)
			delete(header, name)
			variants[name] = &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
		}
	}
	var fields map[string]json.RawMessage
	if kind.headers == "#" || json.Unmarshal(m.Data, &fields) != nil {
		return variants // a body is the producer's
	}
	keep := slices.Concat(doc.Required, []string{"job_seq", "job_hash", "requests"})
	for name := range fields {
		if slices.Contains(keep, name) {
			continue
		}
		rest := maps.Clone(fields)
		delete(rest, name)
		data, err := json.Marshal(rest)
		if err != nil {
			t.Fatal(err)
		}
		variants[name] = &nats.Msg{Subject: m.Subject, Header: m.Header, Data: data}
	}
	return variants
}
