//go:build slow

package worker_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// A request that kills its worker each time fails after a bounded number of
// starts; those that were beside it in the dying workers do not. It is the same
// with a server that remembers the deliveries and with one that dies as well.
func TestPoison(t *testing.T) {
	const total, bad = 60, 7
	t.Run("separate server", func(t *testing.T) {
		t.Parallel()
		e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 300 * time.Millisecond}))
		server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
		poison(t, e, total, bad, server.URL, testenv.Role{NATS: server.URL})
	})
	t.Run("embedded server", func(t *testing.T) {
		t.Parallel()
		e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 300 * time.Millisecond}))
		poison(t, e, total, bad, "", testenv.Role{Store: t.TempDir()})
	})
}

// poison runs a worker anew each time it dies, until the job has ended.
func poison(t *testing.T, e *testenv.Env, total, bad int, url string, role testenv.Role) {
	role.Name, role.LLM, role.Queues, role.Slots, role.DieOf = "worker", e.LLM.URL(), map[string]int{"default": 256}, 16, "deadly"
	w := testenv.StartProcess(t, role)
	if url == "" {
		url = w.URL
		role.Port = portOf(t, url)
	}
	client, err := jobs.NewClient(testenv.Dial(t, url))
	if err != nil {
		t.Fatal(err)
	}
	requests := testenv.Chats(total)
	requests[bad].Body = []byte(`{"model":"m","messages":[{"role":"user","content":"deadly"}]}`)
	h, err := client.Submit(e.Ctx(), schema.Job{ID: "poison", Requests: requests, Concurrency: 16})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan *schema.State, 1)
	go func() {
		state, err := h.Wait(e.Ctx())
		if err != nil {
			t.Error(err)
		}
		ended <- state
	}()
	deaths := 0
	for {
		select {
		case <-w.Gone():
			if deaths++; deaths > 6 {
				t.Fatalf("%d workers died", deaths)
			}
			w = testenv.StartProcess(t, role)
			continue
		case state := <-ended:
			if state.State != schema.CompletedWithErrors || state.Counts.Failed != 1 || state.Counts.Succeeded != total-1 {
				t.Errorf("after %d deaths: %+v", deaths, state)
			}
		}
		break
	}
	if deaths < 2 {
		t.Errorf("only %d workers died", deaths)
	}
	for r, err := range h.Ordered(e.Ctx()) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Index == bad && (r.Status != schema.StatusFailed || r.Error.Code != schema.CodeWorkerDied):
			t.Errorf("the deadly request: %s, %v", r.Status, r.Err())
		case r.Index == bad && len(r.Attempts) < 4:
			t.Errorf("its starts are not listed: %+v", r.Attempts)
		case r.Index != bad && r.Status != schema.StatusSucceeded:
			t.Errorf("request %d beside it: %s, %v", r.Index, r.Status, r.Err())
		}
	}
	t.Logf("%d workers died of it; %d calls for %d requests", deaths, e.LLM.Stats().Calls, total)
}

// The same as [TestBoundsOverABrokersDeath] with a broker that stays away, also for
// longer than calls can be kept alive without it.
func TestBoundsOverOutages(t *testing.T) {
	boundsOver(t, 400, time.Second, 5*time.Second, 9*time.Second)
}
