package worker_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// A request comes again while the worker that had it still holds its answer, and
// the store takes neither that nor the count of another start. When it has room
// again the answer comes first: then there is nothing left to call.
func TestStoredWhileStartsWereCounted(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	b := e.Broker(defaultQueue)
	cancels, err := b.WatchCancels()
	if err != nil {
		t.Fatal(err)
	}
	defer cancels.Close()
	owner, err := b.StartOwner(e.Ctx(), jobs.OwnerConfig{Queues: defaultQueue, Name: "owner", Cancels: cancels, Log: testenv.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Stop()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{ID: "again", Requests: testenv.Chats(1)})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	workers, err := js.Consumer(e.Ctx(), "PELTON_WORK", "workers-default")
	if err != nil {
		t.Fatal(err)
	}
	m, err := workers.Next(jetstream.FetchContext(e.Ctx())) // the worker that had it
	if err != nil {
		t.Fatal(err)
	}
	work, err := b.ReadWork(e.Ctx(), &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
	if err != nil {
		t.Fatal(err)
	}

	parked, err := js.Stream(e.Ctx(), "PELTON_PARKED")
	if err != nil {
		t.Fatal(err)
	}
	roomy := parked.CachedInfo().Config
	full := roomy
	full.MaxMsgSize = 1
	if _, err := js.UpdateStream(e.Ctx(), full); err != nil {
		t.Fatal(err)
	}
	counts, err := e.Conn().SubscribeSync("pelton.parked.>")
	if err != nil {
		t.Fatal(err)
	}
	e.Worker(defaultQueue)
	if err := m.Nak(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // it has looked for a result, and has tried to count for a while
		if _, err := counts.NextMsgWithContext(e.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	r := work.Result()
	r.Status = schema.StatusSucceeded
	if _, err := b.PutResult(e.Ctx(), work.Queue, r, work.Total); err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(e.Ctx(), roomy); err != nil {
		t.Fatal(err)
	}
	if state, err := h.Wait(e.Ctx()); err != nil || state.Counts.Succeeded != 1 {
		t.Errorf("%+v, %v", state, err)
	}
	e.Settled()
	if n := e.LLM.Stats().Calls; n != 0 {
		t.Errorf("%d calls for what was stored", n)
	}
}
