package worker_test

import (
	"bytes"
	"testing"

	"github.com/rs/zerolog"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs/store"
	"pelton/schema"
	"pelton/worker"
)

// told is a log that tells of lines with a word in them.
type told struct {
	word  []byte
	lines chan []byte
}

func (l *told) Write(p []byte) (int, error) {
	if bytes.Contains(p, l.word) {
		select {
		case l.lines <- bytes.Clone(p):
		default:
		}
	}
	return len(p), nil
}

// A worker that stops while it holds answers says so, and for how long it has; it goes
// once they are stored.
func TestStoppingSaysWhatItWaitsFor(t *testing.T) {
	e := testenv.New(t)
	held := &told{[]byte("waiting until the broker takes the answers that are held"), make(chan []byte, 1)}
	stuck := &told{[]byte("cannot store a result yet"), make(chan []byte, 1)}
	w := e.Worker(defaultQueue, func(c *worker.Config) { c.Log = zerolog.New(zerolog.MultiLevelWriter(held, stuck)) })
	limitResults(t, e, 1)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(2), Concurrency: 2})
	if err != nil {
		t.Fatal(err)
	}
	<-stuck.lines
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered == 2 }); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.Drain() }()
	line := <-held.lines
	for _, want := range []string{`"level":"warn"`, `"answers":2`, `"for":`, `"error":"store result`} {
		if !bytes.Contains(line, []byte(want)) {
			t.Errorf("does not say %s: %s", want, line)
		}
	}
	limitResults(t, e, -1)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n, err := e.Store(defaultQueue).Results.Count(e.Ctx(), store.JobKey{Queue: h.Queue(), ID: h.ID()}); err != nil || n != 2 {
		t.Errorf("%d results are stored, %v", n, err)
	}
}

// One that waits for calls says that.
func TestStoppingSaysThatCallsAreInFlight(t *testing.T) {
	e := testenv.New(t)
	calls := &told{[]byte("waiting for the calls in flight"), make(chan []byte, 1)}
	w := e.Worker(defaultQueue, func(c *worker.Config) { c.Log = zerolog.New(calls) })
	if _, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: []schema.Request{testenv.Chat("slow", `{"latency_ms":600000}`)}}); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 1 }); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.Drain() }()
	if line := <-calls.lines; !bytes.Contains(line, []byte(`"calls":1`)) {
		t.Errorf("%s", line)
	}
	_ = w.Kill()
	<-stopped
}
