package owner_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// A request whose delivery the broker has forgotten, message and all but for the
// message itself, is fed again and has its result.
func TestForgottenByTheBroker(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(3), Concurrency: 3})
	lost, _ := x.Take()
	for range 2 {
		x.Finish(x.Take())
	}
	// As if all that was delivered had been acknowledged.
	if _, err := x.Conn().Request("$JS.API.CONSUMER.RESET.PELTON_WORK.workers-default", []byte(`{"seq":4}`), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	w, m := x.Take()
	if w.Index != lost.Index || !w.MaybeBegun {
		t.Errorf("fed again was request %d (again: %t), and not %d", w.Index, w.MaybeBegun, lost.Index)
	}
	x.Finish(w, m)
	if s := x.Final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}
