package worker_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// kept counts the messages of every stream of the installation. All of them are
// the one job's.
func kept(t *testing.T, e *testenv.Env, js jetstream.JetStream) map[string]uint64 {
	t.Helper()
	n := map[string]uint64{}
	for _, name := range []string{
		"PELTON_JOBS", "PELTON_WORK", "PELTON_PARKED", "PELTON_CANCELS",
		"KV_PELTON_STATE", "OBJ_PELTON_INPUT", "OBJ_PELTON_BODIES",
		"PELTON_RESULTS", // last: whatever is seen to be gone before it went before it
	} {
		stream, err := js.Stream(e.Ctx(), name)
		if err != nil {
			t.Fatal(err)
		}
		n[name] = stream.CachedInfo().State.Msgs
	}
	return n
}

// until looks every few milliseconds until it is so.
func until(t *testing.T, e *testenv.Env, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := e.Ctx(); !so(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

// Everything of a job ages out by itself: its message, input, cancel marker and
// state, its bodies and parked requests, and its results, which go first. In
// between it is known that there were results; then the id is free again.
func TestAgesOutTogether(t *testing.T) {
	const limit = 64 << 10
	const age = 4 * time.Second // of results; the job's deadline is half of it
	e := testenv.New(t, testenv.MaxPayload(limit), testenv.Settings(store.Settings{ResultsMaxAge: age}),
		testenv.LLM(faultyllm.Config{}))
	e.Worker(defaultQueue)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	client := e.Client()
	// A job with one of everything: an input and a request above the message
	// limit, answers above and below it, one that runs when the cancel comes.
	large := strings.Repeat("large ", limit/4)
	job := schema.Job{ID: "old", Requests: []schema.Request{
		testenv.Chat("small", ""),
		testenv.Chat(large, ""),
		testenv.Chat("slow", `{"latency_ms":600000}`),
	}, Concurrency: 4, IncludeRequest: true, Reply: "my.answers"}
	h, err := client.Submit(e.Ctx(), job)
	if err != nil {
		t.Fatal(err)
	}
	until(t, e, "there are no two results", func() bool { return kept(t, e, js)["PELTON_RESULTS"] == 2 })
	if err := h.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	final, err := h.Wait(e.Ctx())
	if err != nil || final.State != schema.Cancelled || final.Counts.Succeeded != 2 {
		t.Fatalf("%+v, %v", final, err)
	}
	e.Settled()
	// What an owner that dies at the end leaves behind.
	if _, err := js.Publish(e.Ctx(), "pelton.parked.default.old.2", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	whole := kept(t, e, js)
	for name, n := range whole {
		if n == 0 && name != "PELTON_WORK" || n > 0 && name == "PELTON_WORK" {
			t.Fatalf("%d messages in %s: this shows nothing", n, name)
		}
	}
	t.Log("messages:", whole)

	until(t, e, "the results do not age out", func() bool {
		now := kept(t, e, js)
		for name, n := range now {
			if name != "PELTON_RESULTS" && n < whole[name] && now["PELTON_RESULTS"] > 0 {
				t.Fatalf("of %s only %d of %d are left, while there are %d results", name, n, whole[name], now["PELTON_RESULTS"])
			}
		}
		return now["PELTON_RESULTS"] == 0
	})
	t.Run("the results have gone", func(t *testing.T) { gone(t, e, job, final) })

	until(t, e, "not all has aged out", func() bool {
		now := kept(t, e, js)
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if now[name] > 0 {
				return false
			}
		}
		return true
	})
	t.Run("all has gone", func(t *testing.T) { forgotten(t, e) })
}

// gone is what readers are told of a job whose results have aged out.
func gone(t *testing.T, e *testenv.Env, job schema.Job, final *schema.State) {
	client := e.Client()
	h := client.Job("default", "old")
	for _, order := range []schema.Order{schema.OrderInput, schema.OrderCompletion} {
		for r, err := range h.Collect(e.Ctx(), order) {
			if r != nil || !errors.Is(err, store.ErrAgedOut) {
				t.Errorf("%s: %v, %v", order, r, err)
			}
		}
	}
	for _, err := range h.Stored(e.Ctx(), schema.OrderInput) {
		if !errors.Is(err, store.ErrAgedOut) {
			t.Errorf("stored: %v", err)
		}
	}
	state, err := h.State(e.Ctx())
	if err != nil || state.State != schema.Cancelled || state.Counts != final.Counts {
		t.Errorf("its state: %+v, %v", state, err)
	}
	if state, err := h.Wait(e.Ctx()); err != nil || state.State != schema.Cancelled {
		t.Errorf("wait: %+v, %v", state, err)
	}
	if states, err := client.List(e.Ctx()); err != nil || len(states) != 1 || states[0].Counts != final.Counts {
		t.Errorf("list: %+v, %v", states, err)
	}
	if _, err := h.Retry(e.Ctx()); !errors.Is(err, store.ErrAgedOut) {
		t.Errorf("retry: %v", err)
	}
	// Published again it is the same job still, and nothing runs. Who listens at
	// the reply that it has now is told how it ended.
	calls := e.LLM.Stats().Calls
	answers := e.Listen("my.answers")
	again, err := client.Submit(e.Ctx(), job)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range again.Results(e.Ctx()) {
		if r != nil || !errors.Is(err, store.ErrAgedOut) {
			t.Errorf("submitted again: %v, %v", r, err)
		}
	}
	m, err := answers.NextMsgWithContext(e.Ctx())
	if err != nil || m.Header.Get(schema.HeaderIndex) != schema.EndToken || m.Header.Get(schema.HeaderStatus) != string(schema.Cancelled) {
		t.Errorf("at its reply: %+v, %v", m, err)
	}
	if n := e.LLM.Stats().Calls; n != calls {
		t.Errorf("submitted again, %d calls were made", n-calls)
	}
	input, _, err := h.OpenInput(e.Ctx())
	if err == nil {
		_, err = io.Copy(io.Discard, input)
		_ = input.Close()
	}
	if err != nil {
		t.Errorf("its input is kept: %v", err)
	}
}

// forgotten is what is known of a job that has aged out: nothing. Its id is free.
func forgotten(t *testing.T, e *testenv.Env) {
	client := e.Client()
	h := client.Job("default", "old")
	if _, err := h.State(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("state: %v", err)
	}
	for r, err := range h.Results(e.Ctx()) {
		if r != nil || !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("results: %v, %v", r, err)
		}
	}
	if states, err := client.List(e.Ctx()); err != nil || len(states) != 0 {
		t.Errorf("list: %+v, %v", states, err)
	}
	results, err := client.Run(e.Ctx(), schema.Job{ID: "old", Requests: testenv.Chats(3)})
	if err != nil || len(results) != 3 {
		t.Fatalf("under the same id: %d results, %v", len(results), err)
	}
	for i, r := range results {
		if want := fmt.Sprintf("You said: %d", i); testenv.Answer(&r) != want {
			t.Errorf("result %d: %q, want %q", i, testenv.Answer(&r), want)
		}
	}
}

// A job that was cancelled and removed is not the next one of that name, which
// the same workers are given.
func TestNextOfTheName(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	e.Worker(defaultQueue)
	client := e.Client()
	for range 2 {
		h, err := client.Submit(e.Ctx(), schema.Job{ID: "nightly", Requests: slices.Repeat([]schema.Request{testenv.Chat("slow", `{"latency_ms":600000}`)}, 8)})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 8 }); err != nil {
			t.Fatal(err)
		}
		if err := h.Cancel(e.Ctx(), "a mistake"); err != nil {
			t.Fatal(err)
		}
		if s, err := h.Wait(e.Ctx()); err != nil || s.State != schema.Cancelled || s.Counts.Cancelled != 8 {
			t.Fatalf("%+v, %v", s, err)
		}
		e.Settled()
		if _, err := h.Remove(e.Ctx()); err != nil {
			t.Fatal(err)
		}
		results, err := client.Run(e.Ctx(), schema.Job{ID: "nightly", Requests: testenv.Chats(20)})
		if err != nil || len(results) != 20 {
			t.Fatalf("%d results, %v", len(results), err)
		}
		e.Settled()
		if _, err := client.Job("default", "nightly").Remove(e.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
}
