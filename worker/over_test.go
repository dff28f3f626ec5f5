package worker_test

import (
	"maps"
	"testing"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// What a paused owner had sent reaches the broker after another has ended the
// job: it is neither called nor stored behind the end.
func TestRequestOfAnEndedJob(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	x := takeByHand(e, schema.Job{ID: "over", Requests: testenv.Chats(2), Concurrency: 1})
	if err := x.h.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	if state, err := x.h.Wait(e.Ctx()); err != nil || state.Counts.Cancelled != 1 || state.Counts.NotStarted != 1 {
		t.Fatalf("%+v, %v", state, err)
	}
	x.stop()

	late := nats.NewMsg(x.b.Names.Work("default", "over", 1))
	late.Data = x.m.Data()
	maps.Copy(late.Header, x.m.Headers())
	late.Header.Set(schema.HeaderIndex, "1")
	late.Header.Set(schema.HeaderFedAt, "1")
	if err := x.m.DoubleAck(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	if _, err := x.js.PublishMsg(e.Ctx(), late); err != nil {
		t.Fatal(err)
	}
	e.Worker(defaultQueue)
	for left := 1; left > 0; { // until the worker is done with it
		stream, err := x.js.Stream(e.Ctx(), "PELTON_WORK")
		if err != nil {
			t.Fatal(err)
		}
		left = int(stream.CachedInfo().State.Msgs)
	}
	if _, stored, err := x.b.Results.Meta(e.Ctx(), "default", "over", 1); err != nil || stored {
		t.Errorf("a result behind the end: %t, %v", stored, err)
	}
	if n := e.LLM.Stats().Calls; n != 0 {
		t.Errorf("%d calls", n)
	}
}
