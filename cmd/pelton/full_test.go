package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// A server that is no part of Pelton has a limit of its own (max_file_store), of
// which no client is told. Beyond 90 % of it no job is handed in nor taken, the verbs
// say so, and when there is room again work goes on.
func TestVerbsOnAFullServer(t *testing.T) {
	t.Parallel()
	const most = 24 << 20
	e := testenv.New(t, testenv.Listen(), testenv.MaxStore(most))
	e.Worker(map[string]int{"default": 8})
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(in, []byte("Hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(code int, args []string, texts ...string) {
		t.Helper()
		began := time.Now()
		defer func() { t.Log(args, time.Since(began)) }()
		got, said := command(t, []string{"NATS_URL=" + e.NATS.ClientURL(), "OPENAI_BASE_URL=" + e.LLM.URL(), "OPENAI_API_KEY=k"}, args...)
		if got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, said)
		}
		for _, text := range texts {
			if !strings.Contains(said, text) {
				t.Errorf("%v: does not say %q: %s", args, text, said)
			}
		}
	}
	submit := []string{"submit", "--model", "m", "--prompt", "{{.line}}", in}
	says(exitOK, append(submit, "--job-id", "before", "--wait"))
	says(exitOK, []string{"check"}, "of 24.0 MiB")

	if _, err := js.CreateStream(e.Ctx(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	for range most * 93 / 100 / (256 << 10) {
		if _, err := js.Publish(e.Ctx(), "other", make([]byte, 256<<10)); err != nil {
			t.Fatal(err)
		}
	}
	says(exitSetup, append(submit, "--job-id", "refused"), "store is full")
	says(exitSetup, []string{"check"}, "of 24.0 MiB", "no new job is taken")

	// What is published all the same waits, once the worker has looked again.
	var waits string
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; waits == ""; n++ {
		<-tick.C
		id := fmt.Sprintf("published-%d", n)
		if _, err := js.Publish(e.Ctx(), "pelton.jobs.default", []byte(`{"id":"`+id+`","requests":[{"model":"m","messages":[]}]}`)); err != nil {
			t.Fatal(err)
		}
		patient, cancel := context.WithTimeout(e.Ctx(), 2*time.Second)
		if _, err := e.Client().Job("default", id).Wait(patient); patient.Err() != nil && err != nil {
			waits = id
		}
		cancel()
	}
	says(exitOK, []string{"status", waits}, "queued", "0 of ")
	if err := js.DeleteStream(e.Ctx(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	if state, err := e.Client().Job("default", waits).Wait(e.Ctx()); err != nil || state.State == schema.Queued {
		t.Errorf("%+v, %v", state, err)
	}
	t.Logf("went on %v after there was room", time.Since(freed).Round(time.Millisecond))
	says(exitOK, append(submit, "--job-id", "after", "--wait"))
	says(exitOK, []string{"check"}, "of 24.0 MiB")
}
