package worker_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// What a paused owner had sent reaches the broker after another has ended the
// job: it is neither called nor stored behind the end.
func TestRequestOfAnEndedJob(t *testing.T) {
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
	h, err := e.Client().Submit(e.Ctx(), schema.Job{ID: "over", Requests: testenv.Chats(2), Concurrency: 1})
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
	fed, err := workers.Next(jetstream.FetchContext(e.Ctx()))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	if state, err := h.Wait(e.Ctx()); err != nil || state.Counts.Cancelled != 1 || state.Counts.NotStarted != 1 {
		t.Fatalf("%+v, %v", state, err)
	}
	owner.Stop()

	late := nats.NewMsg(b.Names().Work("default", "over", 1))
	late.Data = fed.Data()
	for key, values := range fed.Headers() {
		late.Header[key] = values
	}
	late.Header.Set(schema.HeaderIndex, "1")
	late.Header.Set(schema.HeaderFedAt, "1")
	if err := fed.DoubleAck(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(e.Ctx(), late); err != nil {
		t.Fatal(err)
	}
	e.Worker(defaultQueue)
	for left := 1; left > 0; { // until the worker is done with it
		stream, err := js.Stream(e.Ctx(), "PELTON_WORK")
		if err != nil {
			t.Fatal(err)
		}
		left = int(stream.CachedInfo().State.Msgs)
	}
	if _, stored, err := b.StoredOutcome(e.Ctx(), "default", "over", 1); err != nil || stored {
		t.Errorf("a result behind the end: %t, %v", stored, err)
	}
	if n := e.LLM.Stats().Calls; n != 0 {
		t.Errorf("%d calls", n)
	}
}
