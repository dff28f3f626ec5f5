package jobs_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

func (x *bench) park(w *jobs.Work, m jetstream.Msg, readyAt time.Time, tell bool) {
	x.T.Helper()
	err := x.b.Parked.Put(x.Ctx(), w.Of(), w.Index, &schema.Parked{
		ReadyAt: readyAt, LeftMs: 5000, Reason: "cooling down",
		Attempts: []schema.Attempt{{Deployment: "mock", StatusCode: 429}},
	})
	if err != nil {
		x.T.Fatal(err)
	}
	if tell {
		x.b.Live.PublishStored(w.Of(), jobs.ResultMeta{Index: w.Index, Status: schema.StatusParked, ReadyAt: readyAt})
	}
	if err := m.DoubleAck(x.Ctx()); err != nil {
		x.T.Fatal(err)
	}
}

func (x *bench) finish(w *jobs.Work, m jetstream.Msg) {
	x.T.Helper()
	x.b.Live.PublishStored(w.Of(), x.store(w, schema.StatusSucceeded))
	_ = m.Ack()
}

// back waits for a parked request to be fed again, with what is known of it.
func (x *bench) back(index int, readyAt time.Time) (*jobs.Work, jetstream.Msg) {
	x.T.Helper()
	w, m := x.take()
	if w.Index != index || !w.Again {
		x.T.Fatalf("got request %d, again %v", w.Index, w.Again)
	}
	if now := time.Now(); now.Before(readyAt) {
		x.T.Errorf("it came back %s before its time", readyAt.Sub(now))
	}
	p, err := x.b.Parked.Get(x.Ctx(), w.Queue, w.Job, w.Index)
	if err != nil || p == nil || len(p.Attempts) != 1 || p.LeftMs != 5000 {
		x.T.Fatalf("%+v, %v", p, err)
	}
	return w, m
}

func (x *bench) waitingInWork() int {
	x.T.Helper()
	list, err := x.client.Queues(x.Ctx())
	if err != nil {
		x.T.Fatal(err)
	}
	return list[0].Waiting + list[0].InFlight
}

func TestParkedComesBack(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(3), Concurrency: 1})
	w, m := x.take()
	readyAt := time.Now().Add(300 * time.Millisecond)
	x.park(w, m, readyAt, true)
	// It holds its place in the job, and none in the queue.
	if n := x.waitingInWork(); n != 0 {
		t.Errorf("%d requests in the work stream", n)
	}
	x.finish(x.back(w.Index, readyAt))
	x.finish(x.take())
	x.finish(x.take())
	if s := x.final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// The owner is not told, and finds out.
func TestParkedInSilence(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(1)})
	w, m := x.take()
	x.park(w, m, time.Now(), false)
	x.finish(x.back(w.Index, time.Time{}))
	x.final(h)
}

// The next owner knows what waits, and until when.
func TestParkedSurvivesATakeover(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(2), Concurrency: 1})
	w, m := x.take()
	readyAt := time.Now().Add(time.Second)
	x.park(w, m, readyAt, true)
	x.stop()
	t.Cleanup(x.own("next"))
	x.finish(x.back(w.Index, readyAt))
	x.finish(x.take())
	if s := x.final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// A cancel does not wait for what is in nobody's hands.
func TestParkedIsCancelled(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(5), Concurrency: 2})
	for range 2 {
		w, m := x.take()
		x.park(w, m, time.Now().Add(time.Hour), true)
	}
	if err := h.Cancel(x.Ctx(), ""); err != nil {
		t.Fatal(err)
	}
	s := x.final(h)
	if s.State != schema.Cancelled || s.Counts.Cancelled != 2 || s.Counts.NotStarted != 3 {
		t.Errorf("%+v", s)
	}
	x.stop() // it clears up behind the end
	stream, err := x.js.Stream(x.Ctx(), "PELTON_PARKED")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d parked messages are left", n)
	}
}
