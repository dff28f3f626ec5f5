package worker_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

var updateSamples = flag.Bool("update", false, "store a sample of each message kind that has none yet")

// samplesDir holds one message of every kind as version 1 wrote it. What lies
// there is never written again: newer code has to read it as it is.
const samplesDir = "../schema/testdata/v1"

// wireSample is a message as it went over the broker.
type wireSample struct {
	Subject string          `json:"subject"`
	Headers nats.Header     `json:"headers,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// sampleKinds says which kind of message a message is.
func sampleKind(m *nats.Msg) string {
	switch token := strings.Split(m.Subject, "."); {
	case strings.HasPrefix(m.Subject, "$KV.PELTON_STATE."):
		if strings.Contains(string(m.Data), `"finished_at"`) {
			return "record-final"
		}
		return "record"
	case len(token) < 3:
		return ""
	case token[1] == "results" && token[len(token)-1] == schema.EndToken:
		return "end"
	case token[1] == "results":
		return "result-" + m.Header.Get(schema.HeaderStatus)
	case token[1] == "svc" || token[1] == "fleet":
		return ""
	default:
		return token[1] // jobs, work, parked, cancel, progress, stored
	}
}

// endless is a request that is not answered before its job is cancelled.
var endless = testenv.Chat("endless", `{"latency_ms":600000}`)

// sampleJobs give, between them, every kind of message.
func sampleJobs(n int) []schema.Job {
	fail := testenv.Chat("refused", `{"status":400}`)
	wait := testenv.Chat("later", `{"status":429,"retry_after":3,"times":1}`)
	named := testenv.Chat("named", "")
	named.CustomID = "first"
	requests := append([]schema.Request{named, fail, wait}, testenv.Chats(n)...)
	return []schema.Job{{
		ID: "samples", Requests: requests, Concurrency: 16, IncludeRequest: true,
		Timeout: time.Minute, Metadata: json.RawMessage(`{"team":"search"}`),
	}, {ID: "cancelled", Requests: []schema.Request{endless}}}
}

// Every message of a run is of a kind of which there is a sample. With -update
// the missing ones are stored, and none that is there is changed.
func TestSamplesOfEveryMessage(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	e.Worker(defaultQueue)
	var mu sync.Mutex
	seen := map[string]wireSample{}
	hear := func(m *nats.Msg) {
		kind := sampleKind(m)
		mu.Lock()
		defer mu.Unlock()
		if _, known := seen[kind]; known || kind == "" {
			return
		}
		delete(m.Header, nats.ExpectedLastSubjSeqHdr)
		seen[kind] = wireSample{m.Subject, m.Header, m.Data}
	}
	nc := e.Conn()
	for _, subject := range []string{"pelton.>", "$KV.PELTON_STATE.>"} {
		if _, err := nc.Subscribe(subject, hear); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	client := e.Client()
	var handles []*jobs.Handle
	for _, job := range sampleJobs(100) {
		h, err := client.Submit(e.Ctx(), job)
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, h)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight > 0 && s.Answered > 100 }); err != nil {
		t.Fatal(err)
	}
	if err := handles[1].Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	for _, h := range handles {
		if _, err := h.Wait(e.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, kind := range []string{"jobs", "work", "parked", "cancel", "progress", "stored", "record", "record-final", "end",
		"result-succeeded", "result-failed", "result-cancelled"} {
		if _, ok := seen[kind]; !ok {
			t.Errorf("the run had no message of the kind %s", kind)
		}
	}
	for kind, sample := range seen {
		keepSample(t, kind, sample)
	}
}

// keepSample stores a sample where there is none of its kind and -update is given.
func keepSample(t *testing.T, kind string, sample wireSample) {
	t.Helper()
	path := filepath.Join(samplesDir, kind+".json")
	if !*updateSamples {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a message of the kind %s has no sample: go test ./worker -run Samples -update", kind)
		}
		return
	}
	data, err := json.MarshalIndent(sample, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(append(data, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}
