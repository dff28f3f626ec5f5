package worker_test

import (
	"fmt"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// paid waits for the end of a job whose calls were all answered before its deadline,
// and checks that each answer is stored with its attempt.
func paid(t *testing.T, e *testenv.Env, h *jobs.Handle, total int) {
	t.Helper()
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Succeeded || state.Counts.Succeeded != total {
		t.Errorf("%+v, %v", state, err)
	}
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != schema.StatusSucceeded || len(r.Attempts) != 1 {
			t.Errorf("request %d: %s, %d attempts", r.Index, r.Status, len(r.Attempts))
		}
	}
	if n := e.LLM.Stats().Calls; n != total {
		t.Errorf("%d calls for %d requests", n, total)
	}
}

// The store takes nothing until well after a job's deadline: the answers that had
// come by then are stored once there is room.
func TestFullStoreOverTheDeadline(t *testing.T) {
	t.Parallel()
	const total, deadline = 16, 4 * time.Second
	e := testenv.New(t)
	e.Worker(defaultQueue)
	e.Worker(defaultQueue)
	release := e.LLM.Hold()
	defer release()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: total, Deadline: schema.Deadline{After: deadline}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == total }); err != nil {
		t.Fatal(err)
	}
	limitResults(t, e, 1)
	cancels := e.Listen("pelton.cancel.default." + h.ID())
	progress := e.Listen("pelton.progress.default." + h.ID())
	release()
	if _, err := cancels.NextMsgWithContext(e.Ctx()); err != nil { // the deadline has passed
		t.Fatal(err)
	}
	passed := time.Now()
	for time.Since(passed) < 6*time.Second { // twice what is out has to come back
		if _, err := progress.NextMsgWithContext(e.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	limitResults(t, e, -1)
	paid(t, e, h, total)
}

// The broker is away when a job's deadline passes: the answers that had come by then
// are stored once it is back, whoever is given the requests by then.
func TestBrokerAwayOverTheDeadline(t *testing.T) {
	t.Parallel()
	const total, deadline = 16, 6 * time.Second
	e := testenv.New(t)
	role := testenv.Role{Name: "server", Store: t.TempDir()}
	server := testenv.StartProcess(t, role)
	role.Port = portOf(t, server.URL)
	for _, name := range []string{"one", "two"} {
		testenv.StartProcess(t, testenv.Role{Name: name, NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: total})
	}
	release := e.LLM.Hold()
	defer release()
	client, err := jobs.NewClient(testenv.Dial(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	h, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: total, Deadline: schema.Deadline{After: deadline}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == total }); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	release()
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered == total }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(time.Until(began.Add(deadline + time.Second))):
	case <-e.Ctx().Done():
		t.Fatal(e.Ctx().Err())
	}
	testenv.StartProcess(t, role)
	paid(t, e, h, total)
}

// The broker is killed and comes back, having forgotten to whom it gave what: calls
// go on in the hands that they are in, and nothing is begun beside them.
func TestBoundsOverABrokersDeath(t *testing.T) {
	t.Parallel()
	boundsOver(t, 400, 0, 0)
}

// boundsOver runs a job while the broker is killed, and comes back after each of the
// outages.
func boundsOver(t *testing.T, total int, outages ...time.Duration) {
	const limit = 40
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 1500 * time.Millisecond, Jitter: time.Second}))
	role := testenv.Role{Name: "server", Store: t.TempDir()}
	server := testenv.StartProcess(t, role)
	role.Port = portOf(t, server.URL)
	for n := range 3 {
		testenv.StartProcess(t, testenv.Role{Name: fmt.Sprint("worker-", n), NATS: server.URL, LLM: e.LLM.URL(), Queues: map[string]int{"default": limit}, Slots: limit})
	}
	client, err := jobs.NewClient(testenv.Dial(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	h, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: 2 * limit})
	if err != nil {
		t.Fatal(err)
	}
	for n, outage := range outages {
		answered := (n + 1) * total / (len(outages) + 2)
		if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered >= answered && s.InFlight >= limit/2 }); err != nil {
			t.Fatal(err)
		}
		server.Kill()
		select {
		case <-time.After(outage):
		case <-e.Ctx().Done():
			t.Fatal(e.Ctx().Err())
		}
		server = testenv.StartProcess(t, role)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.Counts.Succeeded != total {
		t.Errorf("%+v, %v", state, err)
	}
	s := e.LLM.Stats()
	if s.Peak > limit || s.DuplicateAnswers > 0 || s.Duplicates != s.Aborted {
		t.Errorf("%d in flight at most, %d answered twice, %d called again, %d aborted", s.Peak, s.DuplicateAnswers, s.Duplicates, s.Aborted)
	}
	t.Logf("%d calls for %d requests, %d of them aborted", s.Calls, total, s.Aborted)
}
