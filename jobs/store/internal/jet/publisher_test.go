package jet

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"pelton/internal/nats/denied"
)

// A slot is used again once its acknowledgement is here, and never after it has
// been waited for in vain: what comes late on it is nobody's.
func TestPublisherSlots(t *testing.T) {
	c := testConn(t)
	p := newPublisher(c.nc, denied.Watch(c.nc))
	stream, err := c.nc.SubscribeSync("by.hand") // a stream whose answers the test gives
	if err != nil {
		t.Fatal(err)
	}
	type answered struct {
		seq uint64
		err error
	}
	send := func() (ask *nats.Msg, answer chan answered) {
		t.Helper()
		answer = make(chan answered, 1)
		if err := p.send(nats.NewMsg("by.hand"), func(seq uint64, err error) { answer <- answered{seq, err} }); err != nil {
			t.Fatal(err)
		}
		if ask, err = stream.NextMsgWithContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return ask, answer
	}
	respond := func(ask *nats.Msg, text string) {
		t.Helper()
		if err := ask.Respond([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	first, answer := send()
	respond(first, `{"stream":"S","seq":7}`)
	if got := <-answer; got != (answered{7, nil}) {
		t.Errorf("answered %+v", got)
	}
	second, answer := send()
	if second.Reply != first.Reply {
		t.Errorf("the slots are %s and %s", first.Reply, second.Reply)
	}
	p.fail(nats.ErrTimeout, func(waitingAck) bool { return true })
	if got := <-answer; !errors.Is(got.err, nats.ErrTimeout) {
		t.Errorf("answered %+v", got)
	}
	third, answer := send()
	if third.Reply == second.Reply {
		t.Error("a slot whose answer is late was used again")
	}
	respond(second, `{"stream":"S","seq":8}`)
	respond(third, `{"stream":"S","seq":9}`)
	if got := <-answer; got != (answered{9, nil}) {
		t.Errorf("answered %+v", got)
	}
}
