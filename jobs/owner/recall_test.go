package owner_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs/store"
	"pelton/schema"
)

// The broker lost what it knew of the work, and then the owner died: the next
// one cannot know which requests are in a worker's hands. When the job is to end
// it waits for them as for any other, so that no result comes behind the end.
func TestEndAfterTheWorkIsLost(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(12), Concurrency: 4})
	inHand, _ := x.Take()
	x.Finish(x.Take())
	x.Stop()
	if err := x.JS.DeleteStream(x.Ctx(), "PELTON_WORK"); err != nil {
		t.Fatal(err)
	}
	if err := h.Cancel(x.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	if err := x.Store.Setup(x.Ctx(), queues); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	t.Cleanup(x.Own("next"))
	for { // until the next owner renews: it has caught up by then
		state, err := h.State(x.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		if state.UpdatedAt.Sub(began) > store.Heartbeat/2 {
			break
		}
	}
	x.Tell(inHand, x.Put(inHand, schema.StatusSucceeded))
	s := x.Final(h)
	if s.State != schema.Cancelled || s.Counts.Succeeded != 2 || s.Counts.Cancelled != 3 || s.Counts.NotStarted != 7 {
		t.Errorf("%+v", s)
	}
	n := 0
	for _, err := range h.Results(x.Ctx()) {
		if err != nil {
			break // the job was cancelled
		}
		n++
	}
	if n != 5 {
		t.Errorf("%d results before the end", n)
	}
}

// A request that waits to be fed once more when its job ends was begun: it gets
// a result.
func TestReturningWhenTheJobEnds(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(6), Concurrency: 2})
	w, m := x.Take()
	other, held := x.Take()
	park(x, w, m, time.Now(), true)
	for back, _ := x.Take(); back.Index != w.Index; back, _ = x.Take() {
	} // it has come back, and is never heard of again
	if err := h.Cancel(x.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	x.Finish(other, held)
	s := x.Final(h)
	if s.State != schema.Cancelled || s.Counts.Succeeded != 1 || s.Counts.Cancelled != 1 || s.Counts.NotStarted != 4 {
		t.Errorf("%+v", s)
	}
}
