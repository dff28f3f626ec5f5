package worker_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/jobs/queue"
	"pelton/schema"
)

// A request comes again while the worker that had it still holds its answer, and
// the store takes neither that nor the count of another start. When it has room
// again the answer comes first: then there is nothing left to call.
func TestStoredWhileStartsWereCounted(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	x := takeByHand(e, schema.Job{ID: "again", Requests: testenv.Chats(1)})
	work, err := queue.Decode(e.Ctx(), x.b, &nats.Msg{Subject: x.m.Subject(), Header: x.m.Headers(), Data: x.m.Data()})
	if err != nil {
		t.Fatal(err)
	}

	parked, err := x.js.Stream(e.Ctx(), "PELTON_PARKED")
	if err != nil {
		t.Fatal(err)
	}
	roomy := parked.CachedInfo().Config
	full := roomy
	full.MaxMsgSize = 1
	if _, err := x.js.UpdateStream(e.Ctx(), full); err != nil {
		t.Fatal(err)
	}
	counts := e.Listen("pelton.parked.>")
	e.Worker(defaultQueue)
	if err := x.m.Nak(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // it has looked for a result, and has tried to count for a while
		if _, err := counts.NextMsgWithContext(e.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	r := work.Result()
	r.Status = schema.StatusSucceeded
	if _, err := x.b.Results.Put(e.Ctx(), work.Queue, r, work.Total); err != nil {
		t.Fatal(err)
	}
	if _, err := x.js.UpdateStream(e.Ctx(), roomy); err != nil {
		t.Fatal(err)
	}
	if state, err := x.h.Wait(e.Ctx()); err != nil || state.Counts.Succeeded != 1 {
		t.Errorf("%+v, %v", state, err)
	}
	e.Settled()
	if n := e.LLM.Stats().Calls; n != 0 {
		t.Errorf("%d calls for what was stored", n)
	}
}
