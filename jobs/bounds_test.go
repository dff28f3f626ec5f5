package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/queue"
	"pelton/schema"
)

// An index that no job can have makes nobody hold a bit for each below it.
func TestAbsurdIndexCostsNothing(t *testing.T) {
	e := testenv.New(t)
	e.Store(queues)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []string{"900000000", "4611686018427387904"} {
		m := nats.NewMsg("pelton.results.default.absurd." + index)
		m.Header = nats.Header{schema.HeaderJob: {"absurd"}, schema.HeaderIndex: {index}, schema.HeaderTotal: {"1"}, schema.HeaderStatus: {"succeeded"}}
		m.Data = []byte(`{"id":"absurd.0","job":"absurd","index":0,"status":"succeeded","response":null,"error":null}`)
		if _, err := js.PublishMsg(e.Ctx(), m); err != nil {
			t.Fatal(err)
		}
	}
	end := nats.NewMsg("pelton.results.default.absurd.end")
	end.Data = []byte(`{"id":"absurd","queue":"default","state":"succeeded","total":0,"counts":{}}`)
	end.Header = nats.Header{schema.HeaderIndex: {"end"}, schema.HeaderTotal: {"0"}}
	if _, err := js.PublishMsg(e.Ctx(), end); err != nil {
		t.Fatal(err)
	}
	states, err := js.KeyValue(e.Ctx(), "PELTON_STATE")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := states.Put(e.Ctx(), "default.absurd", end.Data); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for r, err := range e.Client().Job("default", "absurd").Ordered(e.Ctx()) {
		if r != nil || err != nil {
			t.Errorf("%+v, %v", r, err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d MiB for two messages", grown>>20)
	}
}

// A name that is no job's reaches no other job's messages.
func TestNamesReachNothingElse(t *testing.T) {
	e := testenv.New(t, testenv.MaxPayload(64<<10))
	b := e.Store(queues)
	big := &schema.Result{ID: "a.0", Job: "a", Status: schema.StatusSucceeded,
		Response: &schema.Response{StatusCode: 200, Body: []byte(`"` + strings.Repeat("x", 128<<10) + `"`)}}
	if _, err := b.Results.Put(e.Ctx(), "default", big, 1); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"*", ">", "a.0", "a.*", "", "a b", strings.Repeat("a", 65), "ä", "../a"} {
		for _, h := range []*jobs.Handle{e.Client().Job("default", id), e.Client().Job(id, "a")} {
			if _, err := h.State(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("State of %q: %v", id, err)
			}
			if err := h.Cancel(e.Ctx(), ""); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("Cancel of %q: %v", id, err)
			}
			if _, err := h.Remove(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("Remove of %q: %v", id, err)
			}
		}
	}
	if r, err := b.Results.Get(e.Ctx(), "default", "a", 0); err != nil || r == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// A message that points to an object of any size does not have it read whole.
func TestObjectsAreBounded(t *testing.T) {
	e := testenv.New(t)
	b := e.Store(queues)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := js.ObjectStore(e.Ctx(), "PELTON_BODIES")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bodies.PutBytes(e.Ctx(), "default.big.0.x", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	// It says of itself that it is larger than any memory.
	stream, err := js.Stream(e.Ctx(), "OBJ_PELTON_BODIES")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := stream.GetLastMsgForSubject(e.Ctx(), "$O.PELTON_BODIES.M.>")
	if err != nil {
		t.Fatal(err)
	}
	lie := nats.NewMsg(meta.Subject)
	lie.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	lie.Data = bytes.Replace(meta.Data, []byte(`"size":2`), []byte(`"size":1099511627776`), 1)
	if bytes.Equal(lie.Data, meta.Data) {
		t.Fatalf("%s", meta.Data)
	}
	if _, err := js.PublishMsg(e.Ctx(), lie); err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg("pelton.work.default.big.0")
	m.Header = nats.Header{schema.HeaderTotal: {"1"}, schema.HeaderTimeout: {"1m"}, schema.HeaderObject: {"default.big.0.x"},
		schema.HeaderDeadline: {time.Now().Format(time.RFC3339Nano)}, schema.HeaderQueuedAt: {time.Now().Format(time.RFC3339Nano)}}
	ctx, cancel := context.WithTimeout(e.Ctx(), 20*time.Second)
	defer cancel()
	if _, err := queue.Decode(ctx, b, m); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
}
