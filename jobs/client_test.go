package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

var queues = map[string]int{"default": 64}

func TestResultExistsOnce(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(1)})
	w, m := x.Take()
	var stored, refused atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			r := w.Result()
			r.Status = schema.StatusSucceeded
			switch _, err := x.Store.Results.Put(context.Background(), w.Queue, r, w.Total); {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, store.ErrStored):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if stored.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d stored, %d refused", stored.Load(), refused.Load())
	}
	_ = m.Ack()
	if s := x.Final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

func TestAgedOut(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{ID: "old", Requests: testenv.Chats(3)})
	for range 3 {
		w, m := x.Take()
		x.Tell(w, x.Put(w, schema.StatusSucceeded))
		_ = m.Ack()
	}
	x.Final(h)
	stream, err := x.JS.Stream(x.Ctx(), "PELTON_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(x.Ctx(), jetstream.WithPurgeSubject("pelton.results.default.old.1")); err != nil {
		t.Fatal(err)
	}
	for _, order := range []schema.Order{schema.OrderInput, schema.OrderCompletion} {
		n, last := 0, error(nil)
		for _, err := range x.Client.Job("default", "old").Collect(x.Ctx(), order) {
			if err == nil {
				n++
			}
			last = err
		}
		if n != 2 || !errors.Is(last, jobs.ErrAgedOut) {
			t.Errorf("%s: %d results, then %v", order, n, last)
		}
	}
}

func TestQueueCapLive(t *testing.T) {
	x := testenv.NewByHand(t)
	if err := x.Client.SetQueueCap(x.Ctx(), "default", 7); err != nil {
		t.Fatal(err)
	}
	list, err := x.Client.Queues(x.Ctx())
	if err != nil || len(list) != 1 || list[0].Cap != 7 || list[0].Name != "default" {
		t.Errorf("%+v, %v", list, err)
	}
	// A worker that starts with another number keeps it.
	if err := x.Store.Setup(x.Ctx(), queues); err != nil {
		t.Fatal(err)
	}
	if n, err := x.Store.QueueCap(x.Ctx(), "default"); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	if err := x.Client.SetQueueCap(x.Ctx(), "nobody", 7); !errors.Is(err, jobs.ErrNoQueue) {
		t.Errorf("%v", err)
	}
	if err := x.Client.SetQueueCap(x.Ctx(), "default", 0); err == nil {
		t.Error("a cap of 0 was taken")
	}
}

// The state says no less than what is stored, also where its owner could not write it.
func TestCountedState(t *testing.T) {
	x := testenv.NewByHand(t)
	x.Submit(schema.Job{ID: "one", Requests: testenv.Chats(3)})
	x.Take() // so it has its record
	x.Stop()
	cost := 0.5
	for i, status := range []schema.Status{schema.StatusSucceeded, schema.StatusFailed} {
		r := &schema.Result{ID: fmt.Sprintf("one.%d", i), Job: "one", Index: i, Status: status, Cost: &cost, UnknownAttempts: 1}
		if status == schema.StatusFailed {
			r.Error = &schema.Error{Class: schema.ClassInternal, Message: "m"}
		}
		if _, err := x.Store.Results.Put(x.Ctx(), "default", r, 3); err != nil {
			t.Fatal(err)
		}
	}
	h := x.Client.Job("default", "one")
	written, err := h.State(x.Ctx())
	if err != nil || written.Counts.Stored() != 0 {
		t.Fatalf("%+v, %v: the owner has written what it did not see", written, err)
	}
	state, stored, err := h.Counted(x.Ctx())
	want := schema.Counts{Succeeded: 1, Failed: 1}
	if err != nil || stored != 2 || state.Counts != want || *state.Cost != 1 || state.UnknownAttempts != 2 {
		t.Errorf("%+v, %d, %v", state, stored, err)
	}
	if _, _, err := x.Client.Job("default", "none").Counted(x.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestListNewestFirst(t *testing.T) {
	x := testenv.NewByHand(t)
	x.Submit(schema.Job{ID: "one", Requests: testenv.Chats(1)})
	x.Take() // so it has its record
	x.Stop()
	x.Submit(schema.Job{ID: "two", Requests: testenv.Chats(2)})
	states, err := x.Client.List(x.Ctx())
	if err != nil || len(states) != 2 || states[0].ID != "two" || states[1].ID != "one" {
		t.Fatalf("%+v, %v", states, err)
	}
	if states[0].State != schema.Queued || states[1].State != schema.Running {
		t.Errorf("%s, %s", states[0].State, states[1].State)
	}
}

func TestNotSetUp(t *testing.T) {
	e := testenv.New(t)
	client := e.Client()
	_, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1)})
	if !errors.Is(err, jobs.ErrNotSetUp) {
		t.Errorf("%v", err)
	}
}

func TestStoreFull(t *testing.T) {
	e := testenv.New(t, testenv.Settings(store.Settings{StoreUsage: func() (int64, int64) { return 95, 100 }}))
	b := e.Store(queues)
	_, err := jobs.ClientOn(b, "default").Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1)})
	if !errors.Is(err, jobs.ErrStoreFull) {
		t.Errorf("%v", err)
	}
	if s, err := jobs.ClientOn(b, "default").Storage(e.Ctx()); err != nil || !s.Full() || s.Bytes != 95 || len(s.Streams) != 8 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What each stream takes, and what is not there.
func TestStorage(t *testing.T) {
	e := testenv.New(t)
	client := e.Client()
	if _, err := client.Storage(e.Ctx()); !errors.Is(err, jobs.ErrNotSetUp) {
		t.Errorf("%v", err)
	}
	e.Store(queues)
	if _, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(9)}); err != nil {
		t.Fatal(err)
	}
	js, _ := jetstream.New(e.Conn())
	if err := js.DeleteStream(e.Ctx(), "PELTON_WORK"); err != nil {
		t.Fatal(err)
	}
	s, err := client.Storage(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range s.Streams {
		if is := stream.Name == "PELTON_JOBS"; is != (stream.Bytes > 0 && stream.Messages == 1) {
			t.Errorf("%+v", stream)
		}
		if stream.Missing != (stream.Name == "PELTON_WORK") {
			t.Errorf("%+v", stream)
		}
	}
	if s.Bytes == 0 || s.Full() {
		t.Errorf("%+v", s)
	}
}
