package worker_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// An upstream asks for a pause that is too long to hold a slot for: the request
// is parked, holds neither slot nor cap, and comes back at its time.
func TestLongWaitIsParked(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	client := e.Client()
	h, err := client.Submit(e.Ctx(), schema.Job{Requests: []schema.Request{testenv.Chat("x", `{"status":429,"retry_after":4,"times":1}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Calls == 1 && s.InFlight == 0 }); err != nil {
		t.Fatal(err)
	}
	b := e.Store(defaultQueue)
	var p *schema.Parked
	for p == nil { // until the worker has stored it
		if p, err = b.Parked.Get(e.Ctx(), "default", h.ID(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.Attempts) != 1 || p.LeftMs <= 0 || time.Until(p.ReadyAt) <= 0 {
		t.Errorf("%+v", p)
	}
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil || r.Err() != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if len(r.Attempts) != 2 || r.Attempts[0].StatusCode != 429 || r.Attempts[1].StatusCode != 200 {
			t.Errorf("attempts %+v", r.Attempts)
		}
		if r.Attempts[1].StartedAt.Before(p.ReadyAt) {
			t.Errorf("called %s before its time", p.ReadyAt.Sub(r.Attempts[1].StartedAt))
		}
	}
}

// A request that is parked when its job is cancelled keeps the calls that were made.
func TestCancelKeepsAttempts(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: []schema.Request{
		testenv.Chat("x", `{"status":429,"retry_after":600}`), testenv.Chat("y", `{"latency_ms":600000}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := e.Store(defaultQueue)
	for { // until the one is parked, and the other under way
		p, err := b.Parked.Get(e.Ctx(), "default", h.ID(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if p != nil && e.LLM.Stats().InFlight == 1 {
			break
		}
	}
	if err := h.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil && n == 2 { // the job's end
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; r.Status != schema.StatusCancelled || len(r.Attempts) != 1 || r.StartedAt == nil {
			t.Errorf("%+v", r)
		}
	}
	if n != 2 {
		t.Errorf("%d results", n)
	}
}

// Why a job waits is told: how many requests for which model, until when, and the
// upstream's own words. A worker that is started anew does not wait for what its
// predecessor was told: it asks once, and goes on.
func TestWaitingIsToldAndAskedAnew(t *testing.T) {
	const limited, total = 6, 8
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Faults: faultyllm.Rates{faultyllm.FaultRateLimit: 1}, RetryAfter: time.Hour}))
	one := e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: limited})
	if err != nil {
		t.Fatal(err)
	}
	var told schema.State
	for told.Waiting == nil || told.Waiting[0].Count < limited {
		s, err := h.State(e.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		told = *s
	}
	w := told.Waiting[0]
	if len(told.Waiting) != 1 || w.Model != "m" || w.Count != limited || w.Cause != "429" || !strings.Contains(w.Reason, "Please slow down.") || time.Until(w.Until) < time.Minute {
		t.Errorf("%+v", told.Waiting)
	}
	if err := one.Drain(); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Update(func(c *faultyllm.Config) { c.Faults = nil }); err != nil {
		t.Fatal(err)
	}
	e.Worker(defaultQueue)
	state, err := h.Wait(e.Ctx())
	if err != nil || state.Counts.Succeeded != total || state.Waiting != nil {
		t.Errorf("%+v, %v", state, err)
	}
}

// Where the upstream still says so, asking anew is one call for each model, however
// many wait.
func TestAskingAnewIsOneCall(t *testing.T) {
	const total = 6
	e := testenv.New(t)
	one := e.Worker(defaultQueue)
	requests := testenv.Chats(total)
	for i := range requests {
		requests[i] = testenv.Chat(strconv.Itoa(i), `{"status":429,"retry_after":3600}`)
	}
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: requests, Concurrency: total})
	if err != nil {
		t.Fatal(err)
	}
	waits := func(least time.Time) {
		t.Helper()
		for {
			s, err := h.State(e.Ctx())
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Waiting) == 1 && s.Waiting[0].Count == total && s.UpdatedAt.After(least) {
				return
			}
		}
	}
	waits(time.Time{})
	before := e.LLM.Stats().Calls
	if err := one.Drain(); err != nil {
		t.Fatal(err)
	}
	e.Worker(defaultQueue)
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Calls > before && s.InFlight == 0 }); err != nil {
		t.Fatal(err)
	}
	waits(time.Now())
	if n := e.LLM.Stats().Calls - before; n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	if err := h.Cancel(e.Ctx(), ""); err != nil {
		t.Fatal(err)
	}
}

// An answer that is cut is a success with a word: of JSON that was asked for, and by a filter.
func TestIncompleteAnswersAreMarked(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	requests := []schema.Request{
		testenv.Chat("a", `{"raw":"{\"choices\":[{\"message\":{\"content\":\"{\"},\"finish_reason\":\"length\"}]}"}`),
		testenv.Chat("b", `{"raw":"{\"choices\":[{\"message\":{\"content\":\"so far\"},\"finish_reason\":\"content_filter\"}]}"}`),
		testenv.Chat("c", ""),
	}
	requests[0].Body = []byte(strings.Replace(string(requests[0].Body), "{", `{"response_format":{"type":"json_object"},`, 1))
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.Incomplete != 2 || state.Counts.Succeeded != 3 {
		t.Fatalf("%+v, %v", state, err)
	}
	want := []string{schema.IncompleteLength, schema.IncompleteFilter, ""}
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			break // the job's end
		}
		if r.Err() != nil || r.Incomplete != want[r.Index] {
			t.Errorf("result %d: %v, %q", r.Index, r.Err(), r.Incomplete)
		}
	}
}

// An upstream is away for a while: nothing is lost, and it sees probes rather
// than a storm.
func TestOutage(t *testing.T) {
	const total = 300
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 10 * time.Millisecond}))
	e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: 16})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered > total/4 }); err != nil {
		t.Fatal(err)
	}
	e.LLM.SetOutage(true)
	before := e.LLM.Stats()
	time.AfterFunc(6*time.Second, func() { e.LLM.SetOutage(false) })
	n := 0
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Err() != nil {
			t.Fatalf("result %d: %v after %d attempts", r.Index, r.Err(), len(r.Attempts))
		}
		n++
	}
	if n != total {
		t.Errorf("%d results", n)
	}
	// Each request may find out once; what follows are probes.
	if failed := e.LLM.Stats().Statuses[503] - before.Statuses[503]; failed > 16+40 {
		t.Errorf("the upstream was called %d times while it was away", failed)
	}
}

// A wrong key: the job ends, instead of failing what is left one by one.
func TestNoDeploymentEndsTheJob(t *testing.T) {
	e := testenv.New(t, testenv.LLM(faultyllm.Config{APIKey: "right"}))
	e.Worker(defaultQueue)
	_, err := e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(1000), Concurrency: 4})
	var ended *jobs.StateError
	if !errors.As(err, &ended) || ended.State.Reason.Code != schema.ReasonNoDeployment {
		t.Fatalf("%v", err)
	}
	if c := ended.State.Counts; c.NotStarted < 900 {
		t.Errorf("%+v", c)
	}
	if n := e.LLM.Stats().Calls; n > 8 {
		t.Errorf("%d calls with a key that is wrong", n)
	}
}

func TestMaxCost(t *testing.T) {
	e := testenv.New(t)
	price := 0.01
	e.Worker(defaultQueue, func(c *worker.Config) {
		c.Router = e.Router(func(rc *router.Config) {
			rc.Deployments[0].Prices = router.Prices{Input: &price, Output: &price}
		})
	})
	results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(500), Concurrency: 2, MaxCost: 2})
	var ended *jobs.StateError
	if !errors.As(err, &ended) || ended.State.Reason.Code != schema.ReasonMaxCost {
		t.Fatalf("%v", err)
	}
	sum := 0.0
	for _, r := range results {
		if r.Err() != nil || r.Cost == nil || r.Attempts[0].Cost == nil {
			t.Fatalf("result %d: %v, cost %v", r.Index, r.Err(), r.Cost)
		}
		sum += *r.Cost
	}
	if s := ended.State; s.Cost == nil || *s.Cost < 2 || *s.Cost > 2.5 || sum < *s.Cost-1e-9 || sum > *s.Cost+1e-9 {
		t.Errorf("cost %v, results together %v", *s.Cost, sum)
	}
}

// A limit that could not be kept is refused.
func TestMaxCostNeedsPrices(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	_, err := e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(3), MaxCost: 2})
	var ended *jobs.StateError
	if !errors.As(err, &ended) || ended.State.Reason.Code != schema.ReasonInvalidJob || e.LLM.Stats().Calls != 0 {
		t.Errorf("%v, %d calls", err, e.LLM.Stats().Calls)
	}
}

// A job that finds its own bound: it grows past where it begins, and stays near
// what the upstream takes.
func TestAutoConcurrency(t *testing.T) {
	const capacity, total = 40, 3000
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 20 * time.Millisecond}), testenv.Settings(store.Settings{AutoConcurrency: true}))
	e.Worker(defaultQueue, func(c *worker.Config) {
		c.Router = e.Router(func(rc *router.Config) { rc.Deployments[0].MaxParallel = capacity })
	})
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: schema.AutoConcurrency})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	state, err := h.Wait(e.Ctx(), jobs.OnProgress(func(s schema.State) { most = max(most, s.InFlight) }))
	if err != nil || state.Counts.Succeeded != total {
		t.Fatalf("%+v, %v", state, err)
	}
	if peak := e.LLM.Stats().Peak; peak != capacity {
		t.Errorf("peak %d, the upstream takes %d", peak, capacity)
	}
	if most > 3*capacity {
		t.Errorf("%d requests were out, %d can be served", most, capacity)
	}
	// Where the feature is off, the job is refused.
	off := testenv.New(t)
	off.Worker(defaultQueue)
	_, err = off.Client().Run(off.Ctx(), schema.Job{Requests: testenv.Chats(1), Concurrency: schema.AutoConcurrency})
	var ended *jobs.StateError
	if !errors.As(err, &ended) || ended.State.Reason.Code != schema.ReasonInvalidJob {
		t.Errorf("%v", err)
	}
}
