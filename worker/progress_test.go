package worker_test

import (
	"slices"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// The progress of a job of 10,000 requests only goes forward, ends exact, and is
// told at most four times a second; who joins at half sees half.
func TestProgressOfALargeJob(t *testing.T) {
	const n, half = 10_000, 5_000
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(n), Concurrency: 64})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	joined := make(chan error, 1)
	go func() { joined <- joinAtRest(e, h, half) }()
	last, snapshots := -1, 0
	var final *schema.State
	for p, err := range h.Progress(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		snapshots++
		stored := p.State.Counts.Stored()
		if p.Event != nil || stored < last || p.State.Total != n {
			t.Fatalf("%d results after %d; %+v", stored, last, p)
		}
		last, final = stored, p.State
	}
	if final == nil || final.State != schema.Succeeded || final.Counts.Succeeded != n || final.Usage == nil {
		t.Fatalf("the last snapshot is %+v", final)
	}
	if most := 4*int(time.Since(began).Seconds()+1) + 1; snapshots > most {
		t.Errorf("%d snapshots in %v", snapshots, time.Since(began))
	}
	if err := <-joined; err != nil {
		t.Error(err)
	}
}

// joinAtRest reads the progress of a job whose upstream rests once it has given
// so many answers: the first snapshots tell what is stored.
func joinAtRest(e *testenv.Env, h *jobs.Handle, atLeast int) error {
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered >= atLeast }); err != nil {
		return err
	}
	release := e.LLM.Hold()
	defer release()
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 64 }); err != nil {
		return err
	}
	want := e.LLM.Stats().Answered
	for p, err := range h.Progress(e.Ctx()) {
		if err != nil {
			return err
		}
		if p.State.Counts.Stored() >= atLeast && p.State.Counts.Stored() == want {
			return nil
		}
	}
	return jobs.ErrNotFound
}

// Each request's events come in their order while somebody listens, and tell
// what happened.
func TestEvents(t *testing.T) {
	e := testenv.New(t)
	b := e.Router(func(cfg *router.Config) {
		cfg.Deployments = []router.Deployment{
			{ID: "first", Group: "m", Model: "m", BaseURL: e.LLM.URL()},
			{ID: "second", Group: "n", Model: "n", BaseURL: e.LLM.URL()},
		}
		cfg.NumRetries, cfg.Fallbacks = new(int), map[string][]string{"m": {"n"}}
	})
	e.Worker(defaultQueue, func(c *worker.Config) { c.Router = b })
	c := e.Client()
	// The first request is to give the workers time to hear that we listen.
	job := schema.Job{ID: "told", Concurrency: 1, Requests: append(streamed(2, 3, ""), testenv.Chat("falls", `{"status":500,"times":1,"key":"falls"}`))}
	h := c.Expect("told")
	got := map[int][]schema.EventKind{}
	asked := awaitListen(t, e, h)
	done := make(chan error, 1)
	go func() {
		for p, err := range h.Progress(e.Ctx(), jobs.WithEvents()) {
			if err != nil {
				done <- err
				return
			}
			if ev := p.Event; ev != nil {
				got[ev.Index] = append(got[ev.Index], ev.Kind)
				switch {
				case ev.At.IsZero(),
					ev.Kind == schema.EventAttemptFailed && (ev.Error == nil || ev.Deployment != "first" || ev.Attempt != 1),
					ev.Kind == schema.EventFallback && ev.Model != "n",
					ev.Kind == schema.EventFinished && (ev.Status != schema.StatusSucceeded || ev.Usage == nil):
					t.Errorf("%+v", ev)
				}
			}
		}
		done <- nil
	}()
	asked()
	release := e.LLM.Hold()
	defer release()
	if _, err := c.Submit(e.Ctx(), job); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 1 }); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for index, want := range [][]schema.EventKind{
		got[0],
		{schema.EventQueued, schema.EventStarted, schema.EventFirstToken, schema.EventFinished},
		{schema.EventQueued, schema.EventStarted, schema.EventAttemptFailed, schema.EventFallback, schema.EventFinished},
	} {
		if !slices.Equal(got[index], want) {
			t.Errorf("index %d: %v, want %v", index, got[index], want)
		}
	}
}

// A wait that is told of is an event.
func TestEventOfARetry(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	c := e.Client()
	h := c.Expect("waits")
	asked := awaitListen(t, e, h)
	kinds := make(chan []schema.EventKind, 1)
	go func() {
		var list []schema.EventKind
		_, err := h.Wait(e.Ctx(), jobs.OnEvent(func(ev schema.Event) {
			if ev.Kind != schema.EventQueued && ev.Kind != schema.EventStarted { // they may come before the worker hears of us
				list = append(list, ev.Kind)
			}
			if ev.Kind == schema.EventRetryAt && (ev.RetryAt == nil || ev.RetryAt.Before(ev.At.Add(-time.Second))) {
				t.Errorf("%+v", ev)
			}
		}))
		if err != nil {
			t.Error(err)
		}
		kinds <- list
	}()
	asked()
	release := e.LLM.Hold()
	defer release()
	if _, err := c.Submit(e.Ctx(), schema.Job{ID: "waits", Requests: []schema.Request{testenv.Chat("x", `{"status":429,"retry_after":0.2,"times":1}`)}}); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 1 }); err != nil {
		t.Fatal(err)
	}
	release()
	want := []schema.EventKind{schema.EventAttemptFailed, schema.EventRetryAt, schema.EventFinished}
	if got := <-kinds; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Nobody asked: nothing is sent.
func TestNoEventsUnasked(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	nc := e.Conn()
	sub, err := nc.SubscribeSync("pelton.events.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(20)}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := sub.Pending(); n != 0 {
		t.Errorf("%d events that nobody asked for", n)
	}
}

func awaitListeners(t *testing.T, e *testenv.Env, subject string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := e.Ctx(); e.NATS.Listeners(subject) == 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("nobody listens to " + subject)
		}
	}
}

// awaitListen returns a function that returns once somebody has asked for the
// job's events: who publishes after that is heard after it.
func awaitListen(t *testing.T, e *testenv.Env, h *jobs.Handle) func() {
	t.Helper()
	sub := e.Listen(e.Set.Names.Listen(h.Queue(), h.ID()))
	return func() {
		if _, err := sub.NextMsgWithContext(e.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
}
