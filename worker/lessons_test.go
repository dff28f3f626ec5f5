package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// Lessons from LiteLLM's issue tracker that a queue answers, by number; those of
// its router are tested beside ours.
func TestLessons(t *testing.T) {
	// A queue of its own is a priority that holds: what fills another takes
	// nothing from it, though one process serves both.
	t.Run("7144, 6867, 36774, 31830: a queue of its own is not held up", func(t *testing.T) {
		t.Parallel()
		e := testenv.New(t)
		e.Worker(map[string]int{"default": 8, "urgent": 4})
		release := e.LLM.Hold()
		defer release()
		bulk, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(500), Concurrency: 32})
		if err != nil {
			t.Fatal(err)
		}
		inFlight := func(n int) {
			t.Helper()
			if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == n }); err != nil {
				t.Fatalf("%d calls in flight, want %d", e.LLM.Stats().InFlight, n)
			}
		}
		inFlight(8)
		urgent, err := e.Client(jobs.WithQueue("urgent")).Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(4)})
		if err != nil {
			t.Fatal(err)
		}
		inFlight(12) // all four at once, beside a queue that is full
		release()
		for _, h := range []*jobs.Handle{urgent, bulk} {
			if state, err := h.Wait(e.Ctx()); err != nil || state.State != schema.Succeeded {
				t.Errorf("%+v, %v", state, err)
			}
		}
	})
	// What is bad in one job is that job's affair: those behind it run, and what
	// was paid for is counted once, retries and replays of results included.
	t.Run("35357, 37217: a bad job blocks nobody, spend is counted once", func(t *testing.T) {
		t.Parallel()
		e := testenv.New(t)
		e.Worker(map[string]int{"default": 2})
		for _, bad := range []string{`no json`, `{"requests":7}`, `{"requests":[{"model":"m","messages":[]}],"input":{"object":"nowhere"}}`, `{"input":{"object":"nowhere"}}`} {
			publish(t, e, jobMsg(bad))
		}
		failing := testenv.Chats(20)
		for i := range failing {
			failing[i] = testenv.Chat(fmt.Sprint("bad ", i), `{"status":400}`)
		}
		client := e.Client()
		behind, err := client.Submit(e.Ctx(), schema.Job{Requests: failing})
		if err != nil {
			t.Fatal(err)
		}
		retried := testenv.Chats(10)
		retried[3] = testenv.Chat("3", `{"status":503,"times":1}`)
		job := schema.Job{ID: "good", Requests: retried}
		var first schema.Usage
		for n := range 2 { // the second time its results are read again
			results, err := client.Run(e.Ctx(), job)
			if err != nil || len(results) != 10 {
				t.Fatalf("%d results, %v", len(results), err)
			}
			var sum schema.Usage
			for _, r := range results {
				sum = sum.Add(*r.Usage)
			}
			state, err := client.Job("default", "good").State(e.Ctx())
			if err != nil || state.Usage == nil || *state.Usage != sum {
				t.Errorf("the job's usage is %+v, its results' %+v, %v", state.Usage, sum, err)
			}
			if n == 1 && sum != first {
				t.Errorf("usage %+v, then %+v", first, sum)
			}
			first = sum
		}
		if state, err := behind.Wait(e.Ctx()); err != nil || state.Counts.Failed != 20 {
			t.Errorf("%+v, %v", state, err)
		}
		if n := e.LLM.Stats().Calls; n != 20+11 {
			t.Errorf("%d calls, want 31", n)
		}
	})
	// A reader that has gone ends no work; a caller that has gone ends its calls.
	t.Run("37140, 30223: a job that is cancelled ends its calls", func(t *testing.T) {
		t.Parallel()
		e := testenv.New(t)
		e.Worker(defaultQueue)
		requests := testenv.Chats(6)
		for i := range requests {
			requests[i] = testenv.Chat(fmt.Sprint(i), `{"fault":"hang"}`)
			if i%2 == 0 {
				requests[i].Body = json.RawMessage(strings.Replace(string(requests[i].Body), "{", `{"stream":true,`, 1))
			}
		}
		h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: requests})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 6 }); err != nil {
			t.Fatal(err)
		}
		cancelled := time.Now()
		if err := h.Cancel(e.Ctx(), "gone"); err != nil {
			t.Fatal(err)
		}
		if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 0 && s.Aborted == 6 }); err != nil {
			t.Fatalf("%+v", e.LLM.Stats())
		}
		t.Logf("all calls had ended %s after the cancel", time.Since(cancelled).Round(time.Microsecond))
	})
}
