package worker_test

import (
	"context"
	"sync"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// slowToEnd is a router whose first call returns only when it is let, however
// its context ends.
type slowToEnd struct {
	worker.Router
	first  sync.Once
	inHand chan struct{} // closed when the first call has begun
	let    chan struct{}
}

func (s *slowToEnd) Do(ctx context.Context, req router.Request) router.Outcome {
	first := false
	s.first.Do(func() { first = true })
	if !first {
		return s.Router.Do(ctx, req)
	}
	close(s.inHand)
	<-s.let
	return s.Router.Do(ctx, req)
}

// A job takes the id of one that was cancelled and removed, while a worker still
// has a request of the old one in hand: what ended the old job does not end it.
func TestIDReusedWhileARequestIsInHand(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	slow := &slowToEnd{Router: e.Router(), inHand: make(chan struct{}), let: make(chan struct{})}
	w := e.Worker(defaultQueue, func(c *worker.Config) { c.Router = slow })
	defer func() {
		close(slow.let)
		if err := w.Drain(); err != nil {
			t.Error(err)
		}
	}()
	// The request in hand is the last of its job, which the new job has not.
	bad := schema.Request{Body: []byte(`{}`)}
	old, err := e.Client().Submit(e.Ctx(), schema.Job{ID: "again", SkipInvalid: true, Requests: []schema.Request{bad, bad, bad, testenv.Chat("old", "")}})
	if err != nil {
		t.Fatal(err)
	}
	<-slow.inHand
	if err := old.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	if state, err := old.Wait(e.Ctx()); err != nil || state.State != schema.Cancelled || state.Counts.Cancelled != 1 {
		t.Fatalf("%+v, %v", state, err)
	}
	e.Settled()
	if _, err := old.Remove(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	h, err := e.Client().Submit(e.Ctx(), schema.Job{ID: "again", Requests: testenv.Chats(3)})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Succeeded {
		t.Errorf("%+v, %v", state, err)
	}
}
