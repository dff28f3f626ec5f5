package owner_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/owner"
	"pelton/jobs/store"
	"pelton/schema"
)

// A worker was told of a cancel that is not stored and that the owner has not
// heard. The job does not wait for its deadline: it is cancelled, and its marker
// is stored for whoever joins later.
func TestCancelledWithoutAMarker(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(6), Concurrency: 2})
	other, held := x.Take()
	w, m := x.Take()
	x.Tell(w, x.Put(w, schema.StatusCancelled))
	_ = m.Ack()
	x.Finish(other, held)
	s := x.Final(h)
	if s.State != schema.Cancelled || s.Reason.Message != "a worker was told to cancel this job" {
		t.Errorf("%+v %+v", s, s.Reason)
	}
	if want := (schema.Counts{Succeeded: 1, Cancelled: 1, NotStarted: 4}); s.Counts != want {
		t.Errorf("%+v", s.Counts)
	}
	cancels, err := x.JS.Stream(x.Ctx(), "PELTON_CANCELS")
	if err != nil {
		t.Fatal(err)
	}
	marker, err := cancels.GetLastMsgForSubject(x.Ctx(), "pelton.cancel.default."+h.ID())
	if err != nil || schema.ParseCancel(marker.Data).Reason != s.Reason.Message {
		t.Errorf("%+v, %v", marker, err)
	}
}

// gate is an observer that holds the owner's loop at the first result that the
// owner stores by itself.
type gate struct {
	held, let chan struct{}
	once      sync.Once
}

func (g *gate) Stored(string, *schema.Result) {
	g.once.Do(func() {
		close(g.held)
		<-g.let
	})
}

func (g *gate) TookOver(string) {}

// abortNext takes the next request and stores it as aborted, unless its job ends
// before.
func abortNext(x *testenv.ByHand, h *jobs.Handle, o *owner.Owner) {
	x.T.Helper()
	consumer, err := x.JS.Consumer(x.Ctx(), "PELTON_WORK", "workers-default")
	if err != nil {
		x.T.Fatal(err)
	}
	for {
		m, err := consumer.Next(jetstream.FetchMaxWait(200 * time.Millisecond))
		if err == nil {
			w := x.Decode(m)
			r := w.Result()
			r.Status, r.Error = schema.StatusCancelled, &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "no"}
			out, err := x.Store.Results.Put(x.Ctx(), w.Queue, r, w.Total)
			if err == nil {
				o.Stored(w.JobKey(), out, true)
			} else if !errors.Is(err, store.ErrStored) {
				x.T.Fatal(err)
			}
			_ = m.Ack()
			return
		}
		if state, err := h.State(x.Ctx()); err != nil || state.State.Final() {
			return
		}
	}
}

// An owner counts a result that ends its job by a policy together with an aborted
// one, for which there is no cancel: the policy holds.
func TestPoliciesBesideAnAbort(t *testing.T) {
	cost := 3.0
	for name, c := range map[string]struct {
		job  schema.Job
		fill func(*schema.Result)
		want string
	}{
		"fail-fast":     {schema.Job{FailFast: schema.FailFast{Failures: 2}}, func(*schema.Result) {}, schema.ReasonFailFast},
		"max cost":      {schema.Job{MaxCost: 2}, func(r *schema.Result) { r.Cost = &cost }, schema.ReasonMaxCost},
		"no deployment": {schema.Job{}, func(r *schema.Result) { r.Model, r.Error.Code = "m", schema.CodeNoDeployment }, schema.ReasonNoDeployment},
	} {
		t.Run(name, func(t *testing.T) {
			x := testenv.NewByHand(t)
			x.Stop()
			g := &gate{held: make(chan struct{}), let: make(chan struct{})}
			o, stop := x.Owner("held", func(c *owner.Config) { c.Observer = g })
			t.Cleanup(stop)
			let := sync.OnceFunc(func() { close(g.let) })
			t.Cleanup(let)

			// The request that is not valid gets its result from the owner.
			job := c.job
			job.SkipInvalid, job.Concurrency = true, 3
			job.Requests = append(testenv.Chats(2), schema.Request{Body: []byte(`{}`)})
			job.Requests = append(job.Requests, testenv.Chats(5)...)
			h := x.Submit(job)
			<-g.held
			aborted, m := x.Take()
			failed, n := x.Take()
			r := failed.Result()
			r.Status, r.Error = schema.StatusFailed, &schema.Error{Class: schema.ClassRequestFatal, Code: "no", Message: "no"}
			c.fill(r)
			out, err := x.Store.Results.Put(x.Ctx(), failed.Queue, r, failed.Total)
			if err != nil {
				t.Fatal(err)
			}
			o.Stored(failed.JobKey(), out, true)
			o.Stored(aborted.JobKey(), x.Put(aborted, schema.StatusCancelled), true)
			for _, m := range []jetstream.Msg{m, n} {
				if err := m.DoubleAck(x.Ctx()); err != nil {
					t.Fatal(err)
				}
			}
			let()
			abortNext(x, h, o) // the one that has been fed meanwhile
			s := x.Final(h)
			if s.State != schema.Failed || s.Reason.Code != c.want {
				t.Errorf("%+v %+v", s, s.Reason)
			}
		})
	}
}
