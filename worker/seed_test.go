package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// One test for each aspect of the feature that the project started from:
// LiteLLM's parallel_acompletions.

var defaultQueue = map[string]int{"default": 256}

func TestSeedRequest(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	// A model given twice is told, with its index, and nothing runs.
	twice := schema.Request{Body: json.RawMessage(`{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}`)}
	_, err := e.Client().Run(e.Ctx(), schema.Job{Requests: []schema.Request{testenv.Chat("a", ""), twice}})
	var problems *schema.Problems
	if !errors.As(err, &problems) || problems.List[0].Index != 1 || !problems.Has(schema.ProblemDuplicateField) {
		t.Fatalf("want a problem with request 1, got %v", err)
	}
	if n := e.LLM.Stats().Calls; n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestSeedResult(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	request := testenv.Chat("hello", "")
	request.CustomID = "greeting"
	results, err := e.Client().Run(e.Ctx(), schema.Job{ID: "seed", Requests: []schema.Request{request}, IncludeRequest: true})
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	switch {
	case r.ID != "seed.0", r.Job != "seed", r.Index != 0, r.CustomID != "greeting":
		t.Errorf("identity: %+v", r)
	case string(r.Request) != string(request.Body):
		t.Errorf("request: %s", r.Request)
	case r.Response == nil || r.Response.StatusCode != 200 || testenv.Answer(&r) != "You said: hello":
		t.Errorf("response: %+v", r.Response)
	case r.Usage == nil || r.Usage.TotalTokens == 0:
		t.Errorf("usage: %+v", r.Usage)
	case r.QueuedAt == nil || r.StartedAt == nil || r.FinishedAt == nil || r.FinishedAt.Before(*r.StartedAt):
		t.Errorf("times: %v %v %v", r.QueuedAt, r.StartedAt, r.FinishedAt)
	case len(r.Attempts) != 1 || r.Attempts[0].Deployment != "mock" || r.Attempts[0].StatusCode != 200:
		t.Errorf("attempts: %+v", r.Attempts)
	}
}

func TestSeedDuplicates(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	same := testenv.Chat("again", "")
	results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: []schema.Request{same, same, same}})
	if err != nil || len(results) != 3 || results[2].Index != 2 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	if n := e.LLM.Stats().Calls; n != 3 {
		t.Errorf("three equal requests made %d calls", n)
	}
	same.CustomID = "a"
	_, err = e.Client().Run(e.Ctx(), schema.Job{Requests: []schema.Request{same, same}})
	if err == nil || !strings.Contains(err.Error(), "custom_id") {
		t.Errorf("a repeated custom_id: %v", err)
	}
}

func TestSeedConcurrency(t *testing.T) {
	// fills runs a job whose calls are held until so many are in flight, and
	// from then on there are never more.
	fills := func(t *testing.T, e *testenv.Env, client *jobs.Client, job schema.Job, want int) {
		t.Helper()
		release := e.LLM.Hold()
		defer release()
		h, err := client.Submit(e.Ctx(), job)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == want }); err != nil {
			t.Fatalf("%d calls in flight, want %d", e.LLM.Stats().InFlight, want)
		}
		release()
		if state, err := h.Wait(e.Ctx()); err != nil || state.Counts.Succeeded != len(job.Requests) {
			t.Fatalf("%+v, %v", state, err)
		}
		if s := e.LLM.Stats(); s.Peak != want || s.Calls != len(job.Requests) {
			t.Errorf("peak %d, want exactly %d; %d calls for %d requests", s.Peak, want, s.Calls, len(job.Requests))
		}
	}
	t.Run("default of 8", func(t *testing.T) {
		e := testenv.New(t)
		e.Worker(defaultQueue)
		fills(t, e, e.Client(), schema.Job{Requests: testenv.Chats(200)}, 8)
	})
	t.Run("three processes", func(t *testing.T) {
		e := testenv.New(t)
		server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
		for i := range 3 {
			testenv.StartProcess(t, testenv.Role{Name: fmt.Sprint("worker-", i), NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 10})
		}
		client, err := jobs.NewClient(testenv.Dial(t, server.URL))
		if err != nil {
			t.Fatal(err)
		}
		fills(t, e, client, schema.Job{Requests: testenv.Chats(600), Concurrency: 24}, 24)
	})
	t.Run("the queue's cap", func(t *testing.T) {
		e := testenv.New(t)
		e.Worker(map[string]int{"default": 5})
		e.Worker(map[string]int{"default": 5})
		fills(t, e, e.Client(), schema.Job{Requests: testenv.Chats(200), Concurrency: 30}, 5)
	})
	t.Run("held to the last byte of a stream", func(t *testing.T) {
		e := testenv.New(t, testenv.LLM(faultyllm.Config{Answer: strings.Repeat("word ", 20), TokensPerSecond: 500}))
		e.Worker(defaultQueue)
		requests := testenv.Chats(40)
		for i := range requests {
			requests[i].Body = json.RawMessage(strings.Replace(string(requests[i].Body), "{", `{"stream":true,`, 1))
		}
		fills(t, e, e.Client(), schema.Job{Requests: requests, Concurrency: 4}, 4)
	})
	t.Run("held through retries", func(t *testing.T) {
		e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 10 * time.Millisecond}))
		e.Worker(defaultQueue, func(c *worker.Config) {
			c.Router = e.Router(func(rc *router.Config) { rc.CooldownTime = new(time.Duration) }) // or they would be served one by one
		})
		requests := testenv.Chats(30)
		for i := range requests {
			requests[i] = testenv.Chat(fmt.Sprint(i), `{"status":500,"times":1}`)
		}
		results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests, Concurrency: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err() != nil || len(r.Attempts) != 2 {
				t.Errorf("result %d: %v after %d attempts", r.Index, r.Err(), len(r.Attempts))
			}
		}
		if s := e.LLM.Stats(); s.Peak != 3 || s.Calls != 60 {
			t.Errorf("peak %d, want exactly 3; %d calls", s.Peak, s.Calls)
		}
	})
	// A request that waits out a long pause holds neither slot nor cap, though
	// there is one of each: another job is done meanwhile.
	t.Run("given back in a long pause", func(t *testing.T) {
		e := testenv.New(t)
		one := map[string]int{"default": 1}
		e.Worker(one, func(c *worker.Config) {
			c.Slots = 1
			c.Router = e.Router(func(rc *router.Config) {
				rc.Deployments = append(rc.Deployments, router.Deployment{ID: "other", Group: "other", Model: "other", BaseURL: e.LLM.URL()})
			})
		})
		client := e.Client()
		h, err := client.Submit(e.Ctx(), schema.Job{Requests: []schema.Request{testenv.Chat("x", `{"status":429,"retry_after":5,"times":1}`)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Calls == 1 && s.InFlight == 0 }); err != nil {
			t.Fatal(err)
		}
		requests := testenv.Chats(5)
		for i := range requests {
			requests[i].Body = json.RawMessage(strings.Replace(string(requests[i].Body), `"model":"m"`, `"model":"other"`, 1))
		}
		results, err := client.Run(e.Ctx(), schema.Job{Requests: requests})
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range h.Ordered(e.Ctx()) {
			if err != nil || r.Err() != nil || len(r.Attempts) != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			if last := results[4].FinishedAt; !last.Before(r.Attempts[1].StartedAt) {
				t.Errorf("the other job ended at %s, after the pause, which ended at %s", last, r.Attempts[1].StartedAt)
			}
		}
	})
}

func TestSeedScheduling(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	release := e.LLM.Hold()
	defer release()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(5000), Concurrency: 16})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 16 }); err != nil {
		t.Fatal(err)
	}
	// The work stream holds the window and nothing else of the 5,000.
	queues, err := e.Client().Queues(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	if q := queues[0]; q.InFlight+q.Waiting != 16 {
		t.Errorf("%d in flight and %d waiting, want 16 together", q.InFlight, q.Waiting)
	}
	release()
	if state, err := h.Wait(e.Ctx()); err != nil || state.State != schema.Succeeded {
		t.Fatalf("%+v, %v", state, err)
	}
}

// return_exceptions=True: errors are captured per result.
func TestSeedReturnExceptionsTrue(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	requests := testenv.Chats(20)
	requests[3] = testenv.Chat("bad", `{"status":400}`)
	requests[7] = testenv.Chat("bad", `{"fault":"content_filter"}`)
	results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests})
	if err != nil || len(results) != 20 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for i, r := range results {
		failed := i == 3 || i == 7
		if (r.Err() != nil) != failed || (r.Status == schema.StatusFailed) != failed {
			t.Errorf("result %d: %s, %v", i, r.Status, r.Err())
		}
	}
	if c := results[7].Error.Class; c != schema.ClassContentPolicy {
		t.Errorf("class %s", c)
	}
	if results[3].Response == nil || results[3].Response.StatusCode != 400 {
		t.Errorf("a failed answer keeps its body: %+v", results[3].Response)
	}
}

// return_exceptions=False: the first failure ends the job.
func TestSeedReturnExceptionsFalse(t *testing.T) {
	// Of the first window only request 0 is answered; the place it leaves is
	// that of the one that fails.
	const total, concurrency, bad = 200, 10, 10
	e := testenv.New(t)
	e.Worker(defaultQueue)
	requests := testenv.Chats(total)
	for i := 1; i < total; i++ {
		requests[i] = testenv.Chat(fmt.Sprint(i), `{"fault":"hang"}`)
	}
	requests[bad] = testenv.Chat("bad", `{"status":400}`)
	results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests, Concurrency: concurrency, FailFast: schema.FailFast{Failures: 1}})
	var failed *jobs.ResultError
	if !errors.As(err, &failed) || failed.Index != bad || failed.Result.Error.StatusCode != 400 {
		t.Fatalf("want the error of result %d, got %v", bad, err)
	}
	// Nothing was fed after the failure was stored.
	if n := e.LLM.Stats().Calls; n > concurrency+1 {
		t.Errorf("%d calls, %d had been fed", n, concurrency+1)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 0 }); err != nil {
		t.Error("calls in flight were not aborted")
	}
	want := schema.Counts{Succeeded: 1, Failed: 1, Cancelled: concurrency - 1, NotStarted: total - concurrency - 1}
	if failed.State.Counts != want {
		t.Errorf("counts %+v, want %+v", failed.State.Counts, want)
	}
	if len(results) != concurrency+1 || results[0].Status != schema.StatusSucceeded {
		t.Errorf("what finished is kept: %d results, the first %s", len(results), results[0].Status)
	}
	if failed.State.State != schema.Failed || failed.State.Reason.Code != schema.ReasonFailFast {
		t.Errorf("state %s %+v", failed.State.State, failed.State.Reason)
	}
}

func TestSeedPreserveOrder(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	// The first is answered last.
	requests := testenv.Chats(50)
	requests[0] = testenv.Chat("0", `{"latency_ms":300}`)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	var ordered, completed []int
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		ordered = append(ordered, r.Index)
	}
	for r, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		completed = append(completed, r.Index)
	}
	if len(ordered) != 50 || !slices.IsSorted(ordered) {
		t.Errorf("input order: %v", ordered)
	}
	if len(completed) != 50 || completed[0] == 0 {
		t.Errorf("completion order: %v", completed)
	}
}

func TestSeedIterator(t *testing.T) {
	const total = 2000
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: 64})
	if err != nil {
		t.Fatal(err)
	}
	// A reader that stops after the first result slows nobody.
	n := 0
	for _, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered == total }); err != nil {
				t.Fatal(err)
			}
		}
		if n == 10 {
			break // stops reading, not the job
		}
	}
	if state, err := h.Wait(e.Ctx()); err != nil || state.Counts.Succeeded != total {
		t.Fatalf("%+v, %v", state, err)
	}
	// It goes on where it was.
	var last uint64
	seen := map[int]bool{}
	for r, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Index], last = true, r.Seq
		if len(seen) == 10 {
			break
		}
	}
	for r, err := range h.Collect(e.Ctx(), schema.OrderCompletion, jobs.After(last)) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.Index] {
			t.Fatalf("result %d came again", r.Index)
		}
		seen[r.Index] = true
	}
	if len(seen) != total {
		t.Errorf("%d results in two parts", len(seen))
	}
}

func TestSeedFlag(t *testing.T) {
	// What is finished needs no flag.
	e := testenv.New(t)
	e.Worker(defaultQueue)
	client := e.Client()
	if results, err := client.Run(e.Ctx(), schema.Job{Requests: testenv.Chats(3)}); err != nil || len(results) != 3 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	// What is experimental says so when it is off, and nothing runs.
	_, err := client.Run(e.Ctx(), schema.Job{Requests: testenv.Chats(3), Concurrency: schema.AutoConcurrency})
	var ended *jobs.StateError
	if !errors.As(err, &ended) || ended.State.Reason.Code != schema.ReasonInvalidJob || !strings.Contains(ended.State.Reason.Message, "experimental") {
		t.Errorf("the feature is off: %v", err)
	}
	// An empty list is told as such, whatever is on or off.
	_, err = client.Run(e.Ctx(), schema.Job{Requests: []schema.Request{}})
	var problems *schema.Problems
	if !errors.As(err, &problems) || problems.Has(schema.ProblemExperimentalOff) || problems.List[0].Field != "requests" {
		t.Errorf("an empty list: %v", err)
	}
	if n := e.LLM.Stats().Calls; n != 3 {
		t.Errorf("%d calls", n)
	}
	// Switched on, it is there.
	on := testenv.New(t, testenv.Settings(store.Settings{AutoConcurrency: true}))
	on.Worker(defaultQueue)
	if results, err := on.Client().Run(on.Ctx(), schema.Job{Requests: testenv.Chats(3), Concurrency: schema.AutoConcurrency}); err != nil || len(results) != 3 {
		t.Errorf("the feature is on: %d results, %v", len(results), err)
	}
}

func TestSeedRoadmap(t *testing.T) {
	t.Run("a timeout per request", func(t *testing.T) {
		e := testenv.New(t)
		e.Worker(defaultQueue)
		requests := []schema.Request{testenv.Chat("0", `{"fault":"hang"}`), testenv.Chat("1", "")}
		requests[0].Timeout = 100 * time.Millisecond
		results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests})
		if err != nil {
			t.Fatal(err)
		}
		// Its attempts took too long, each of them; its own time, which is the job's, is not over.
		if e := results[0].Error; e == nil || e.Class != schema.ClassTransient || e.Code != schema.CodeTimeout || len(results[0].Attempts) != 3 || results[1].Err() != nil {
			t.Errorf("%v, %v", results[0].Err(), results[1].Err())
		}
	})
	t.Run("a timeout per request with its retries", func(t *testing.T) {
		e := testenv.New(t)
		e.Worker(defaultQueue)
		requests := []schema.Request{testenv.Chat("0", `{"fault":"hang"}`), testenv.Chat("1", "")}
		results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests, RequestTimeout: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Error == nil || results[0].Error.Class != schema.ClassTimeout || results[1].Err() != nil {
			t.Errorf("%v, %v", results[0].Err(), results[1].Err())
		}
	})
	t.Run("progress", func(t *testing.T) {
		e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 20 * time.Millisecond}))
		e.Worker(defaultQueue)
		h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(300)})
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		last := -1
		state, err := h.Wait(e.Ctx(), jobs.OnProgress(func(s schema.State) {
			calls.Add(1)
			if s.Counts.Stored() < last {
				t.Errorf("progress went back from %d to %d", last, s.Counts.Stored())
			}
			last = s.Counts.Stored()
		}))
		if err != nil || state.State != schema.Succeeded || last != 300 || calls.Load() < 3 {
			t.Errorf("%+v, %v, last %d, %d calls", state, err, last, calls.Load())
		}
	})
	// Limits are found by the upstream's answers; the run ends well, and after the
	// first refusals few more follow.
	t.Run("adaptive concurrency", func(t *testing.T) {
		const capacity, total = 16, 1500
		e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 20 * time.Millisecond, MaxParallel: capacity}))
		e.Worker(defaultQueue, func(c *worker.Config) {
			c.Router = e.Router(func(rc *router.Config) { rc.Adaptive = true })
		})
		results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: 128})
		if err != nil || len(results) != total {
			t.Fatalf("%d results, %v", len(results), err)
		}
		s := e.LLM.Stats()
		t.Logf("%d of %d calls were refused by an upstream that takes %d at once", s.Refused, s.Calls, capacity)
		if s.Refused == 0 || s.Refused > total/10 {
			t.Errorf("%d of %d calls were refused", s.Refused, s.Calls)
		}
	})
	t.Run("streams are merged, their usage summed", func(t *testing.T) {
		e := testenv.New(t)
		e.Worker(defaultQueue)
		requests := append(testenv.Chats(10), testenv.Chats(10)...)
		for i := range 10 {
			requests[i].Body = json.RawMessage(strings.Replace(string(requests[i].Body), "{", `{"stream":true,`, 1))
		}
		h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: requests})
		if err != nil {
			t.Fatal(err)
		}
		var usages []*schema.Usage
		var sum schema.Usage
		for r, err := range h.Ordered(e.Ctx()) {
			if err != nil || r.Err() != nil || r.Usage == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			if want := fmt.Sprintf("You said: %d", r.Index%10); testenv.Answer(r) != want {
				t.Errorf("result %d: %q, want %q", r.Index, testenv.Answer(r), want)
			}
			if streamed := r.Index < 10; (r.Attempts[0].TTFTMs != nil) != streamed {
				t.Errorf("result %d: time to first token %v", r.Index, r.Attempts[0].TTFTMs)
			}
			usages, sum = append(usages, r.Usage), sum.Add(*r.Usage)
		}
		for i := range 10 {
			if *usages[i] != *usages[i+10] {
				t.Errorf("request %d: streamed %+v, plain %+v", i, usages[i], usages[i+10])
			}
		}
		state, err := h.Wait(e.Ctx())
		if err != nil || state.Usage == nil || *state.Usage != sum || sum.TotalTokens == 0 {
			t.Errorf("usage of the job %+v, of its results %+v, %v", state.Usage, sum, err)
		}
	})
}
