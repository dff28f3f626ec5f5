package testenv

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs"
	"pelton/jobs/owner"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// ByHand is an owner without workers: the test plays the worker.
type ByHand struct {
	*Env
	Store  *store.Store
	Client *jobs.Client
	JS     jetstream.JetStream
	Stop   func() // hands the jobs in hand back

	queues map[string]int
}

// NewByHand starts an owner of the queue "default" that is stopped with the test. It
// makes the test a parallel one.
func NewByHand(t *testing.T, opts ...Option) *ByHand {
	t.Helper()
	t.Parallel()
	e, queues := New(t, opts...), map[string]int{"default": 64}
	st := e.Store(queues)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	x := &ByHand{Env: e, Store: st, Client: jobs.ClientOn(st, "default"), JS: js, queues: queues}
	x.Stop = x.Own("owner")
	t.Cleanup(x.Stop)
	return x
}

// Own starts another owner. stop may be called twice.
func (x *ByHand) Own(name string, change ...func(*owner.Config)) (stop func()) {
	x.T.Helper()
	_, stop = x.Owner(name, change...)
	return stop
}

// Owner is Own, for tests that tell the owner something.
func (x *ByHand) Owner(name string, change ...func(*owner.Config)) (o *owner.Owner, stop func()) {
	x.T.Helper()
	cancels, err := x.Store.Cancels.Watch()
	if err != nil {
		x.T.Fatal(err)
	}
	cfg := owner.Config{
		Store: x.Store, Feeder: queue.New(x.Store, Logger(x.T)), Queues: x.queues, Name: name, Cancels: cancels, Log: Logger(x.T),
		UnservedAfter: 200 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	hard, kill := context.WithCancel(context.Background())
	if o, err = owner.Start(hard, cfg); err != nil {
		x.T.Fatal(err)
	}
	return o, sync.OnceFunc(func() {
		o.Stop()
		kill()
		cancels.Close()
	})
}

// Take pulls one request as a worker would.
func (x *ByHand) Take() (*queue.Item, jetstream.Msg) {
	x.T.Helper()
	for {
		consumer, err := x.JS.Consumer(x.Ctx(), "PELTON_WORK", "workers-default")
		if err == nil {
			var m jetstream.Msg
			if m, err = consumer.Next(jetstream.FetchContext(x.Ctx())); err == nil {
				return x.Decode(m), m
			}
		}
		if x.Ctx().Err() != nil {
			x.T.Fatal(err)
		}
	}
}

// Decode reads a request from a message of the work stream.
func (x *ByHand) Decode(m jetstream.Msg) *queue.Item {
	x.T.Helper()
	it, err := queue.Decode(x.Ctx(), x.Store, &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
	if err != nil {
		x.T.Fatal(err)
	}
	return it
}

// Put stores a result of that status.
func (x *ByHand) Put(it *queue.Item, status schema.Status) store.ResultMeta {
	x.T.Helper()
	r := it.Result()
	r.Status = status
	if status != schema.StatusSucceeded {
		r.Error = &schema.Error{Class: schema.ClassRequestFatal, Code: "no", Message: "no"}
	}
	meta, err := x.Store.Results.Put(x.Ctx(), it.Queue, r, it.Total)
	if err != nil {
		x.T.Fatal(err)
	}
	return meta
}

// Tell tells the request's owner what is stored.
func (x *ByHand) Tell(it *queue.Item, meta store.ResultMeta) {
	x.Store.Live.PublishStored(it.JobKey(), meta)
}

// Finish stores a success, tells the owner, and acknowledges.
func (x *ByHand) Finish(it *queue.Item, m jetstream.Msg) {
	x.T.Helper()
	x.Tell(it, x.Put(it, schema.StatusSucceeded))
	_ = m.Ack()
}

// Submit submits a job to the queue "default".
func (x *ByHand) Submit(job schema.Job) *jobs.Handle {
	x.T.Helper()
	h, err := x.Client.Submit(x.Ctx(), job)
	if err != nil {
		x.T.Fatal(err)
	}
	return h
}

// Final waits for the end of a job.
func (x *ByHand) Final(h *jobs.Handle) *schema.State {
	x.T.Helper()
	state, err := h.Wait(x.Ctx())
	if err != nil {
		x.T.Fatal(err)
	}
	return state
}
