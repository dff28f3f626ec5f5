package owner_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/jobs/queue"
	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

// The word of a stored result is lost: the owner looks for itself.
func TestOwnerIsNotTold(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(3)})
	for range 3 {
		w, m := x.Take()
		x.Put(w, schema.StatusSucceeded)
		_ = m.Ack()
	}
	if s := x.Final(h); s.State != schema.Succeeded || s.Counts.Succeeded != 3 {
		t.Errorf("%+v", s)
	}
}

// The work stream is lost with the broker's memory: it is made again, and what
// is unstored is fed again.
func TestWorkStreamIsLost(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(4), Concurrency: 2})
	w, _ := x.Take()
	x.Put(w, schema.StatusSucceeded)
	if err := x.JS.DeleteStream(x.Ctx(), "PELTON_WORK"); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{w.Index: true}
	for len(seen) < 4 {
		w, m := x.Take()
		if seen[w.Index] {
			t.Errorf("request %d, which is stored, was fed again", w.Index)
		}
		seen[w.Index] = true
		x.Tell(w, x.Put(w, schema.StatusSucceeded))
		_ = m.Ack()
	}
	if s := x.Final(h); s.State != schema.Succeeded {
		t.Errorf("%+v", s)
	}
}

// A worker that was given a request dies after the job was cancelled: after a
// grace the owner stores what the worker cannot.
func TestLeftovers(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(10), Concurrency: 4})
	x.Take()
	if err := h.Cancel(x.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	s := x.Final(h)
	if s.State != schema.Cancelled || s.Counts.Cancelled != 4 || s.Counts.NotStarted != 6 {
		t.Errorf("%+v", s)
	}
}

// All results are there when the cancel arrives: the counts decide.
func TestCancelAfterTheLast(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(2)})
	first, m1 := x.Take()
	second, m2 := x.Take()
	x.Put(first, schema.StatusSucceeded)
	x.Put(second, schema.StatusFailed)
	if err := h.Cancel(x.Ctx(), "too late"); err != nil {
		t.Fatal(err)
	}
	_, _ = m1.Ack(), m2.Ack()
	if s := x.Final(h); s.State != schema.CompletedWithErrors {
		t.Errorf("%+v", s)
	}
}

// The owner stops between two results; the next one goes on from what is stored.
func TestNextOwnerGoesOn(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{Requests: testenv.Chats(6), Concurrency: 2, FailFast: schema.FailFast{Failures: 2}})
	w, m := x.Take()
	x.Tell(w, x.Put(w, schema.StatusFailed))
	_ = m.Ack()
	x.Stop()
	t.Cleanup(x.Own("next"))
	for {
		w, m := x.Take()
		x.Tell(w, x.Put(w, schema.StatusFailed))
		_ = m.Ack()
		break // the second failure, counted with the one before the takeover
	}
	s := x.Final(h)
	if s.State != schema.Failed || s.Reason.Code != schema.ReasonFailFast || s.Counts.Failed != 2 {
		t.Errorf("%+v %+v", s, s.Reason)
	}
}

// A relay goes on behind its checkpoint.
func TestRelayGoesOn(t *testing.T) {
	x := testenv.NewByHand(t)
	answers := x.Listen("my.answers")
	next := func() string {
		t.Helper()
		m, err := answers.NextMsgWithContext(x.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		return m.Header.Get(schema.HeaderIndex)
	}
	h := x.Submit(schema.Job{Requests: testenv.Chats(4), Concurrency: 1, Reply: "my.answers", Order: schema.OrderInput})
	finish := func() {
		w, m := x.Take()
		x.Tell(w, x.Put(w, schema.StatusSucceeded))
		_ = m.Ack()
	}
	finish()
	finish()
	if a, b := next(), next(); a != "0" || b != "1" {
		t.Errorf("%s, %s", a, b)
	}
	x.Stop() // writes down how far it came
	t.Cleanup(x.Own("next"))
	finish()
	finish()
	x.Final(h)
	a := next()
	if a == "1" { // it had gone out when the place was written down, but was not counted yet
		a = next()
	}
	if b, end := next(), next(); a != "2" || b != "3" || end != "end" {
		t.Errorf("%s, %s, %s", a, b, end)
	}
}

func TestUnservedQueue(t *testing.T) {
	x := testenv.NewByHand(t)
	m := nats.NewMsg("pelton.jobs.typo")
	m.Data = []byte(`{"id":"lost","requests":[{"model":"m","messages":[]}]}`)
	if _, err := x.JS.PublishMsg(x.Ctx(), m); err != nil {
		t.Fatal(err)
	}
	h := x.Client.Job("typo", "lost")
	if s, err := h.State(x.Ctx()); err != nil || s.State != schema.Queued {
		t.Fatalf("%+v, %v", s, err)
	}
	s := x.Final(h) // ended by the owner's housekeeping
	if s.State != schema.Failed || s.Reason.Code != schema.ReasonUnknownQueue || !strings.Contains(s.Reason.Message, "typo") {
		t.Errorf("%+v %+v", s, s.Reason)
	}
}

// No deployment is left for one of two models: the job goes on with the other,
// and ends when that is gone as well.
func TestNoDeployment(t *testing.T) {
	x := testenv.NewByHand(t)
	requests := testenv.Chats(40)
	for i := 20; i < 40; i++ {
		requests[i].Body = []byte(strings.Replace(string(requests[i].Body), `"m"`, `"other"`, 1))
	}
	h := x.Submit(schema.Job{Requests: requests, Concurrency: 1})
	die := func(w *queue.Item, m jetstream.Msg, model string) {
		t.Helper()
		r := w.Result()
		r.Status, r.Model = schema.StatusFailed, model
		r.Error = &schema.Error{Class: schema.ClassUpstreamFatal, Code: schema.CodeNoDeployment, Message: "bad key"}
		out, err := x.Store.Results.Put(x.Ctx(), w.Queue, r, w.Total)
		if err != nil {
			t.Fatal(err)
		}
		x.Tell(w, out)
		_ = m.Ack()
	}
	for range 20 {
		w, m := x.Take()
		die(w, m, "m")
	}
	x.Finish(x.Take())
	w, m := x.Take()
	die(w, m, "other")
	s := x.Final(h)
	if s.State != schema.Failed || s.Reason.Code != schema.ReasonNoDeployment || s.Counts.NotStarted != 18 || s.Counts.Succeeded != 1 {
		t.Errorf("%+v %+v", s, s.Reason)
	}
}
