package worker_test

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
	"pelton/worker"
)

// Where the installation is one process, requests and results are handed on in
// memory. A reader that falls behind by more than is kept for it finds the rest
// in the stream; one that comes late finds everything there.
func TestAlone(t *testing.T) {
	t.Parallel()
	const total = 9000 // more than a tap holds
	e := testenv.New(t, testenv.Settings(store.Settings{Alone: true}))
	var b *store.Store
	e.Worker(defaultQueue, func(c *worker.Config) { b = c.Store })
	h, err := jobs.ClientOn(b, "default").Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: 64})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Index != n || r.Status != schema.StatusSucceeded || testenv.Answer(r) != "You said: "+strconv.Itoa(n) || r.Seq == 0 {
			t.Fatalf("result %d: index %d, %s, %q", n, r.Index, r.Status, testenv.Answer(r))
		}
		if n == 0 { // the reader rests until all is stored
			if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered == total }); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Wait(e.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		n++
	}
	if n != total {
		t.Errorf("%d results", n)
	}
	late := map[int]bool{}
	for r, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		late[r.Index] = true
	}
	if s := e.LLM.Stats(); len(late) != total || s.Calls != total || s.Peak > 64 {
		t.Errorf("%d results for a late reader, %d calls, %d at once", len(late), s.Calls, s.Peak)
	}
}

// A cancel aborts what is in hand, and what waits for a slot never starts.
func TestAloneCancel(t *testing.T) {
	t.Parallel()
	if s := cancelAlone(t, 2, 2); s.Calls != 2 {
		t.Errorf("%d calls", s.Calls)
	}
}

// What was fed ahead of the bound has not been begun when the job ends.
func TestAloneEndsWithoutWhatIsAhead(t *testing.T) {
	t.Parallel()
	if s := cancelAlone(t, 0, 8); s.Calls != 8 || s.Peak != 8 {
		t.Errorf("%d calls, %d at once", s.Calls, s.Peak)
	}
}

// cancelAlone cancels a job of 50 at 8 once so many calls are in flight, and
// returns what the upstream has seen. slots 0 are the usual ones.
func cancelAlone(t *testing.T, slots, inFlight int) faultyllm.Stats {
	t.Helper()
	e := testenv.New(t, testenv.Settings(store.Settings{Alone: true}))
	var b *store.Store
	e.Worker(defaultQueue, func(c *worker.Config) {
		b = c.Store
		if slots > 0 {
			c.Slots = slots
		}
	})
	release := e.LLM.Hold()
	defer release()
	h, err := jobs.ClientOn(b, "default").Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(50), Concurrency: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == inFlight }); err != nil {
		t.Fatal(err)
	}
	if err := h.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Cancelled || state.Counts.Cancelled != 8 || state.Counts.NotStarted != 42 {
		t.Errorf("%+v, %v", state, err)
	}
	return e.LLM.Stats()
}

// An answer that the store does not take at first is kept, and stored later.
func TestAloneStoresAgain(t *testing.T) {
	t.Parallel()
	e := testenv.New(t, testenv.Settings(store.Settings{Alone: true}))
	var b *store.Store
	e.Worker(defaultQueue, func(c *worker.Config) { b = c.Store })
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	results, err := js.Stream(e.Ctx(), "PELTON_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	roomy := results.CachedInfo().Config
	full := roomy
	full.MaxMsgSize = 1
	if _, err := js.UpdateStream(e.Ctx(), full); err != nil {
		t.Fatal(err)
	}
	const total = 200
	h, err := jobs.ClientOn(b, "default").Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: 8})
	if err != nil {
		t.Fatal(err)
	}
	// Eight in flight, and 64 ahead: more is not begun while nothing is stored.
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered == 8+64 }); err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(e.Ctx(), roomy); err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.Counts.Succeeded != total {
		t.Errorf("%+v, %v", state, err)
	}
	if s := e.LLM.Stats(); s.Calls != total || s.Peak > 8 {
		t.Errorf("%d calls, %d at once", s.Calls, s.Peak)
	}
}
