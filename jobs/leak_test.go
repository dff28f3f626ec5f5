package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// A reader that has read to the end, or gone away, leaves no consumer behind:
// the server bounds them, and thousands of small jobs would meet that bound.
func TestReadersLeaveNoConsumers(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	e.Worker(queues)
	client := e.Client()
	for range 5 {
		if _, err := client.Run(e.Ctx(), schema.Job{Requests: testenv.Chats(3)}); err != nil {
			t.Fatal(err)
		}
	}
	h, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(3)})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		break // has seen enough
	}
	if _, err := h.Wait(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	b := e.Store(queues)
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(e.Ctx(), 20*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, b.Names.ResultsStream())
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := stream.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Consumers == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d consumers are left on the results", info.State.Consumers)
		}
	}
}
