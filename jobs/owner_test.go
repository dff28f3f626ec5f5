package jobs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

var queues = map[string]int{"default": 64}

// bench is an owner without workers: the test plays the worker by hand.
type bench struct {
	*testenv.Env
	b      *jobs.Store
	client *jobs.Client
	js     jetstream.JetStream
	stop   func()
}

func newBench(t *testing.T, opts ...testenv.Option) *bench {
	t.Helper()
	t.Parallel()
	e := testenv.New(t, opts...)
	b := e.Broker(queues)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	x := &bench{Env: e, b: b, client: jobs.ClientOn(b, "default"), js: js}
	x.stop = x.own("owner")
	t.Cleanup(x.stop)
	return x
}

func (x *bench) own(name string) (stop func()) {
	x.T.Helper()
	cancels, err := x.b.Cancels.Watch()
	if err != nil {
		x.T.Fatal(err)
	}
	hard, kill := context.WithCancel(context.Background())
	o, err := jobs.StartOwner(hard, x.b, jobs.OwnerConfig{Queues: queues, Name: name, Cancels: cancels, Log: testenv.Logger(x.T), UnservedAfter: 200 * time.Millisecond})
	if err != nil {
		x.T.Fatal(err)
	}
	return sync.OnceFunc(func() {
		o.Stop()
		kill()
		cancels.Close()
	})
}

// take pulls one request as a worker would.
func (x *bench) take() (*jobs.Work, jetstream.Msg) {
	x.T.Helper()
	for {
		consumer, err := x.js.Consumer(x.Ctx(), "PELTON_WORK", "workers-default")
		if err == nil {
			var m jetstream.Msg
			if m, err = consumer.Next(jetstream.FetchContext(x.Ctx())); err == nil {
				w, err := jobs.ReadWork(x.Ctx(), x.b, &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
				if err != nil {
					x.T.Fatal(err)
				}
				return w, m
			}
		}
		if x.Ctx().Err() != nil {
			x.T.Fatal(err)
		}
	}
}

func (x *bench) store(w *jobs.Work, status schema.Status) jobs.ResultMeta {
	x.T.Helper()
	r := w.Result()
	r.Status = status
	if status != schema.StatusSucceeded {
		r.Error = &schema.Error{Class: schema.ClassRequestFatal, Code: "no", Message: "no"}
	}
	out, err := x.b.Results.Put(x.Ctx(), w.Queue, r, w.Total)
	if err != nil {
		x.T.Fatal(err)
	}
	return out
}

func (x *bench) submit(job schema.Job) *jobs.Handle {
	x.T.Helper()
	h, err := x.client.Submit(x.Ctx(), job)
	if err != nil {
		x.T.Fatal(err)
	}
	return h
}

func (x *bench) final(h *jobs.Handle) *schema.State {
	x.T.Helper()
	state, err := h.Wait(x.Ctx())
	if err != nil {
		x.T.Fatal(err)
	}
	return state
}

func TestResultExistsOnce(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(1)})
	w, m := x.take()
	var stored, refused atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			r := w.Result()
			r.Status = schema.StatusSucceeded
			switch _, err := x.b.Results.Put(context.Background(), w.Queue, r, w.Total); {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, jobs.ErrStored):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if stored.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d stored, %d refused", stored.Load(), refused.Load())
	}
	_ = m.Ack()
	if s := x.final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// The word of a stored result is lost: the owner looks for itself.
func TestOwnerIsNotTold(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(3)})
	for range 3 {
		w, m := x.take()
		x.store(w, schema.StatusSucceeded)
		_ = m.Ack()
	}
	if s := x.final(h); s.State != schema.Succeeded || s.Counts.Succeeded != 3 {
		t.Errorf("%+v", s)
	}
}

// The work stream is lost with the broker's memory: it is made again, and what
// is unstored is fed again.
func TestWorkStreamIsLost(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(4), Concurrency: 2})
	w, _ := x.take()
	x.store(w, schema.StatusSucceeded)
	if err := x.js.DeleteStream(x.Ctx(), "PELTON_WORK"); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{w.Index: true}
	for len(seen) < 4 {
		w, m := x.take()
		if seen[w.Index] {
			t.Errorf("request %d, which is stored, was fed again", w.Index)
		}
		seen[w.Index] = true
		x.b.Live.PublishStored(w.Of(), x.store(w, schema.StatusSucceeded))
		_ = m.Ack()
	}
	if s := x.final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// A worker that was given a request dies after the job was cancelled: after a
// grace the owner stores what the worker cannot.
func TestLeftovers(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(10), Concurrency: 4})
	x.take()
	if err := h.Cancel(x.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	s := x.final(h)
	if s.State != schema.Cancelled || s.Counts.Cancelled != 4 || s.Counts.NotStarted != 6 {
		t.Errorf("%+v", s)
	}
}

// All results are there when the cancel arrives: the counts decide.
func TestCancelAfterTheLast(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(2)})
	first, m1 := x.take()
	second, m2 := x.take()
	x.store(first, schema.StatusSucceeded)
	x.store(second, schema.StatusFailed)
	if err := h.Cancel(x.Ctx(), "too late"); err != nil {
		t.Fatal(err)
	}
	_, _ = m1.Ack(), m2.Ack()
	if s := x.final(h); s.State != schema.CompletedWithErrors {
		t.Errorf("%+v", s)
	}
}

// The owner stops between two results; the next one goes on from what is stored.
func TestNextOwnerGoesOn(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{Requests: testenv.Chats(6), Concurrency: 2, FailFast: schema.FailFast{Failures: 2}})
	w, m := x.take()
	x.b.Live.PublishStored(w.Of(), x.store(w, schema.StatusFailed))
	_ = m.Ack()
	x.stop()
	t.Cleanup(x.own("next"))
	for {
		w, m := x.take()
		x.b.Live.PublishStored(w.Of(), x.store(w, schema.StatusFailed))
		_ = m.Ack()
		break // the second failure, counted with the one before the takeover
	}
	s := x.final(h)
	if s.State != schema.Failed || s.Reason.Code != schema.ReasonFailFast || s.Counts.Failed != 2 {
		t.Errorf("%+v %+v", s, s.Reason)
	}
}

// A relay goes on behind its checkpoint.
func TestRelayGoesOn(t *testing.T) {
	x := newBench(t)
	answers, err := x.Conn().SubscribeSync("my.answers")
	if err != nil {
		t.Fatal(err)
	}
	next := func() string {
		t.Helper()
		m, err := answers.NextMsgWithContext(x.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		return m.Header.Get(schema.HeaderIndex)
	}
	h := x.submit(schema.Job{Requests: testenv.Chats(4), Concurrency: 1, Reply: "my.answers", Order: schema.OrderInput})
	finish := func() {
		w, m := x.take()
		x.b.Live.PublishStored(w.Of(), x.store(w, schema.StatusSucceeded))
		_ = m.Ack()
	}
	finish()
	finish()
	if a, b := next(), next(); a != "0" || b != "1" {
		t.Errorf("%s, %s", a, b)
	}
	x.stop() // writes down how far it came
	t.Cleanup(x.own("next"))
	finish()
	finish()
	x.final(h)
	a := next()
	if a == "1" { // it had gone out when the place was written down, but was not counted yet
		a = next()
	}
	if b, end := next(), next(); a != "2" || b != "3" || end != "end" {
		t.Errorf("%s, %s, %s", a, b, end)
	}
}

func TestUnservedQueue(t *testing.T) {
	x := newBench(t)
	m := nats.NewMsg("pelton.jobs.typo")
	m.Data = []byte(`{"id":"lost","requests":[{"model":"m","messages":[]}]}`)
	if _, err := x.js.PublishMsg(x.Ctx(), m); err != nil {
		t.Fatal(err)
	}
	h := x.client.Job("typo", "lost")
	if s, err := h.State(x.Ctx()); err != nil || s.State != schema.Queued {
		t.Fatalf("%+v, %v", s, err)
	}
	s := x.final(h) // ended by the owner's housekeeping
	if s.State != schema.Failed || s.Reason.Code != schema.ReasonUnknownQueue || !strings.Contains(s.Reason.Message, "typo") {
		t.Errorf("%+v %+v", s, s.Reason)
	}
}

func TestAgedOut(t *testing.T) {
	x := newBench(t)
	h := x.submit(schema.Job{ID: "old", Requests: testenv.Chats(3)})
	for range 3 {
		w, m := x.take()
		x.b.Live.PublishStored(w.Of(), x.store(w, schema.StatusSucceeded))
		_ = m.Ack()
	}
	x.final(h)
	stream, err := x.js.Stream(x.Ctx(), "PELTON_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(x.Ctx(), jetstream.WithPurgeSubject("pelton.results.default.old.1")); err != nil {
		t.Fatal(err)
	}
	for _, order := range []schema.Order{schema.OrderInput, schema.OrderCompletion} {
		n, last := 0, error(nil)
		for _, err := range x.client.Job("default", "old").Collect(x.Ctx(), order) {
			if err == nil {
				n++
			}
			last = err
		}
		if n != 2 || !errors.Is(last, jobs.ErrAgedOut) {
			t.Errorf("%s: %d results, then %v", order, n, last)
		}
	}
}

func TestQueueCapLive(t *testing.T) {
	x := newBench(t)
	if err := x.client.SetQueueCap(x.Ctx(), "default", 7); err != nil {
		t.Fatal(err)
	}
	list, err := x.client.Queues(x.Ctx())
	if err != nil || len(list) != 1 || list[0].Cap != 7 || list[0].Name != "default" {
		t.Errorf("%+v, %v", list, err)
	}
	// A worker that starts with another number keeps it.
	if err := x.b.Setup(x.Ctx(), queues); err != nil {
		t.Fatal(err)
	}
	if n, err := x.b.QueueCap(x.Ctx(), "default"); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	if err := x.client.SetQueueCap(x.Ctx(), "nobody", 7); !errors.Is(err, jobs.ErrNoQueue) {
		t.Errorf("%v", err)
	}
	if err := x.client.SetQueueCap(x.Ctx(), "default", 0); err == nil {
		t.Error("a cap of 0 was taken")
	}
}

func TestListNewestFirst(t *testing.T) {
	x := newBench(t)
	x.submit(schema.Job{ID: "one", Requests: testenv.Chats(1)})
	x.take() // so it has its record
	x.stop()
	x.submit(schema.Job{ID: "two", Requests: testenv.Chats(2)})
	states, err := x.client.List(x.Ctx())
	if err != nil || len(states) != 2 || states[0].ID != "two" || states[1].ID != "one" {
		t.Fatalf("%+v, %v", states, err)
	}
	if states[0].State != schema.Queued || states[1].State != schema.Running {
		t.Errorf("%s, %s", states[0].State, states[1].State)
	}
}

func TestNotSetUp(t *testing.T) {
	e := testenv.New(t)
	client := e.Client()
	_, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1)})
	if !errors.Is(err, jobs.ErrNotSetUp) {
		t.Errorf("%v", err)
	}
}

func TestStoreFull(t *testing.T) {
	e := testenv.New(t, testenv.Settings(jobs.Settings{StoreUsage: func() (int64, int64) { return 95, 100 }}))
	b := e.Broker(queues)
	_, err := jobs.ClientOn(b, "default").Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1)})
	if !errors.Is(err, jobs.ErrStoreFull) {
		t.Errorf("%v", err)
	}
	if s, err := jobs.ClientOn(b, "default").Storage(e.Ctx()); err != nil || !s.Full() || s.Bytes != 95 || len(s.Streams) != 8 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What each stream takes, and what is not there.
func TestStorage(t *testing.T) {
	e := testenv.New(t)
	client := e.Client()
	if _, err := client.Storage(e.Ctx()); !errors.Is(err, jobs.ErrNotSetUp) {
		t.Errorf("%v", err)
	}
	e.Broker(queues)
	if _, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(9)}); err != nil {
		t.Fatal(err)
	}
	js, _ := jetstream.New(e.Conn())
	if err := js.DeleteStream(e.Ctx(), "PELTON_WORK"); err != nil {
		t.Fatal(err)
	}
	s, err := client.Storage(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range s.Streams {
		if is := stream.Name == "PELTON_JOBS"; is != (stream.Bytes > 0 && stream.Messages == 1) {
			t.Errorf("%+v", stream)
		}
		if stream.Missing != (stream.Name == "PELTON_WORK") {
			t.Errorf("%+v", stream)
		}
	}
	if s.Bytes == 0 || s.Full() {
		t.Errorf("%+v", s)
	}
}

// No deployment is left for one of two models: the job goes on with the other,
// and ends when that is gone as well.
func TestNoDeployment(t *testing.T) {
	x := newBench(t)
	requests := testenv.Chats(40)
	for i := 20; i < 40; i++ {
		requests[i].Body = []byte(strings.Replace(string(requests[i].Body), `"m"`, `"other"`, 1))
	}
	h := x.submit(schema.Job{Requests: requests, Concurrency: 1})
	die := func(w *jobs.Work, m jetstream.Msg, model string) {
		t.Helper()
		r := w.Result()
		r.Status, r.Model = schema.StatusFailed, model
		r.Error = &schema.Error{Class: schema.ClassUpstreamFatal, Code: schema.CodeNoDeployment, Message: "bad key"}
		out, err := x.b.Results.Put(x.Ctx(), w.Queue, r, w.Total)
		if err != nil {
			t.Fatal(err)
		}
		x.b.Live.PublishStored(w.Of(), out)
		_ = m.Ack()
	}
	for range 20 {
		w, m := x.take()
		die(w, m, "m")
	}
	x.finish(x.take())
	w, m := x.take()
	die(w, m, "other")
	s := x.final(h)
	if s.State != schema.Failed || s.Reason.Code != schema.ReasonNoDeployment || s.Counts.NotStarted != 18 || s.Counts.Succeeded != 1 {
		t.Errorf("%+v %+v", s, s.Reason)
	}
}
