package worker_test

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/owner"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// byHand is a job with an owner and no worker, whose first request the test has
// taken as a worker would.
type byHand struct {
	b    *store.Store
	js   jetstream.JetStream
	h    *jobs.Handle
	m    jetstream.Msg
	stop func() // ends the owner
}

func takeByHand(e *testenv.Env, job schema.Job) *byHand {
	t := e.T
	t.Helper()
	x := &byHand{b: e.Store(defaultQueue)}
	cancels, err := x.b.Cancels.Watch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancels.Close)
	o, err := owner.Start(e.Ctx(), owner.Config{
		Store: x.b, Feeder: queue.New(x.b, testenv.Logger(t)), Queues: defaultQueue, Name: "owner", Cancels: cancels, Log: testenv.Logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	x.stop = sync.OnceFunc(o.Stop)
	t.Cleanup(x.stop)
	if x.h, err = e.Client().Submit(e.Ctx(), job); err != nil {
		t.Fatal(err)
	}
	if x.js, err = jetstream.New(e.Conn()); err != nil {
		t.Fatal(err)
	}
	workers, err := x.js.Consumer(e.Ctx(), "PELTON_WORK", "workers-default")
	if err != nil {
		t.Fatal(err)
	}
	if x.m, err = workers.Next(jetstream.FetchContext(e.Ctx())); err != nil {
		t.Fatal(err)
	}
	return x
}
