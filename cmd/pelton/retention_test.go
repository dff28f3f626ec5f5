package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// What the verbs say of a job whose results have aged out, and then of one of
// which nothing is left.
func TestVerbsOfAnAgedJob(t *testing.T) {
	t.Parallel()
	e := testenv.New(t, testenv.Listen(), testenv.Settings(store.Settings{ResultsMaxAge: 5 * time.Second}))
	e.Worker(map[string]int{"default": 8})
	client := e.Client()
	if _, err := client.Run(e.Ctx(), schema.Job{ID: "old", Requests: testenv.Chats(3)}); err != nil {
		t.Fatal(err)
	}
	h, ctx := client.Job("default", "old"), e.Ctx()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	await := func(what string, so func() (bool, error)) {
		t.Helper()
		for {
			if is, err := so(); err != nil {
				t.Fatal(what, err)
			} else if is {
				return
			}
			<-tick.C
		}
	}
	says := func(code int, args []string, texts ...string) {
		t.Helper()
		got, said := command(t, []string{"NATS_URL=" + e.NATS.ClientURL()}, args...)
		if got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, said)
		}
		for _, text := range texts {
			if !strings.Contains(said, text) {
				t.Errorf("%v: does not say %q: %s", args, text, said)
			}
		}
		if strings.Contains(said, "not started") {
			t.Errorf("%v: %s", args, said)
		}
	}
	out := filepath.Join(t.TempDir(), "out.jsonl")

	await("the results do not age out", func() (bool, error) { return h.AgedOut(ctx) })
	says(exitOK, []string{"status", "old"}, "succeeded", "3 of 3", "the results have aged out")
	says(exitSetup, []string{"results", "old", "-o", out}, "aged out")
	says(exitOK, []string{"ls"}, "old", "succeeded", "3/3")

	await("the state does not age out", func() (bool, error) {
		_, err := h.State(ctx)
		if errors.Is(err, jobs.ErrNotFound) {
			return true, nil
		}
		return false, err
	})
	says(exitUsage, []string{"status", "old"}, "no such job")
	says(exitUsage, []string{"results", "old", "-o", out}, "no such job")
	says(exitOK, []string{"ls"}, "JOB")
}
