package owner_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

func park(x *testenv.ByHand, w *queue.Item, m jetstream.Msg, readyAt time.Time, tell bool) {
	x.T.Helper()
	err := x.Store.Parked.Put(x.Ctx(), w.JobKey(), w.Index, &schema.Parked{
		ReadyAt: readyAt, LeftMs: 5000, Reason: "cooling down",
		Attempts: []schema.Attempt{{Deployment: "mock", StatusCode: 429}},
	})
	if err != nil {
		x.T.Fatal(err)
	}
	if tell {
		x.Tell(w, store.ResultMeta{Index: w.Index, Status: schema.StatusParked, ReadyAt: readyAt})
	}
	if err := m.DoubleAck(x.Ctx()); err != nil {
		x.T.Fatal(err)
	}
}

// back waits for a parked request to be fed again, with what is known of it.
func back(x *testenv.ByHand, index int, readyAt time.Time) (*queue.Item, jetstream.Msg) {
	x.T.Helper()
	w, m := x.Take()
	if w.Index != index || !w.MaybeBegun {
		x.T.Fatalf("got request %d, again %v", w.Index, w.MaybeBegun)
	}
	if now := time.Now(); now.Before(readyAt) {
		x.T.Errorf("it came back %s before its time", readyAt.Sub(now))
	}
	p, err := x.Store.Parked.Get(x.Ctx(), w.Queue, w.Job, w.Index)
	if err != nil || p == nil || len(p.Attempts) != 1 || p.LeftMs != 5000 {
		x.T.Fatalf("%+v, %v", p, err)
	}
	return w, m
}

func waitingInWork(x *testenv.ByHand) int {
	x.T.Helper()
	list, err := x.Client.Queues(x.Ctx())
	if err != nil {
		x.T.Fatal(err)
	}
	return list[0].Waiting + list[0].InFlight
}

func TestParkedComesBack(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(3), Concurrency: 1})
	w, m := x.Take()
	readyAt := time.Now().Add(300 * time.Millisecond)
	park(x, w, m, readyAt, true)
	// It holds its place in the job, and none in the queue.
	if n := waitingInWork(x); n != 0 {
		t.Errorf("%d requests in the work stream", n)
	}
	x.Finish(back(x, w.Index, readyAt))
	x.Finish(x.Take())
	x.Finish(x.Take())
	if s := x.Final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// The owner is not told, and finds out.
func TestParkedInSilence(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(1)})
	w, m := x.Take()
	park(x, w, m, time.Now(), false)
	x.Finish(back(x, w.Index, time.Time{}))
	x.Final(h)
}

// The next owner knows what waits, and until when.
func TestParkedSurvivesATakeover(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(2), Concurrency: 1})
	w, m := x.Take()
	readyAt := time.Now().Add(time.Second)
	park(x, w, m, readyAt, true)
	x.Stop()
	t.Cleanup(x.Own("next"))
	x.Finish(back(x, w.Index, readyAt))
	x.Finish(x.Take())
	if s := x.Final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// A cancel does not wait for what is in nobody's hands.
func TestParkedIsCancelled(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(5), Concurrency: 2})
	for range 2 {
		w, m := x.Take()
		park(x, w, m, time.Now().Add(time.Hour), true)
	}
	if err := h.Cancel(x.Ctx(), ""); err != nil {
		t.Fatal(err)
	}
	s := x.Final(h)
	if s.State != schema.Cancelled || s.Counts.Cancelled != 2 || s.Counts.NotStarted != 3 {
		t.Errorf("%+v", s)
	}
	x.Stop() // it clears up behind the end
	stream, err := x.JS.Stream(x.Ctx(), "PELTON_PARKED")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d parked messages are left", n)
	}
}
