package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

const plainJob = `{"requests":[{"model":"m","messages":[{"role":"user","content":"one"}]},{"model":"m","messages":[{"role":"user","content":"two"}]}]}`

// publish publishes a job as any NATS client would, and returns its sequence.
func publish(t *testing.T, e *testenv.Env, m *nats.Msg) uint64 {
	t.Helper()
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.PublishMsg(e.Ctx(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func jobMsg(data string, headers ...string) *nats.Msg {
	m := nats.NewMsg("pelton.jobs.default")
	m.Data = []byte(data)
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	return m
}

// readAll reads a job with a plain ordered consumer up to its end.
func readAll(t *testing.T, e *testenv.Env, job string) (results []jetstream.Msg, end schema.State) {
	t.Helper()
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(e.Ctx(), "PELTON_RESULTS", jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"pelton.results.default." + job + ".>"},
	})
	if err != nil {
		t.Fatal(err)
	}
	it, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(e.Ctx()))
		if err != nil {
			t.Fatal(err)
		}
		if m.Headers().Get("Pelton-Index") != "end" {
			results = append(results, m)
			continue
		}
		if err := json.Unmarshal(m.Data(), &end); err != nil {
			t.Fatal(err)
		}
		return results, end
	}
}

func TestPlainClient(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	seq := publish(t, e, jobMsg(plainJob))
	results, end := readAll(t, e, fmt.Sprint("j", seq))
	if len(results) != 2 || end.State != schema.Succeeded || end.Counts.Succeeded != 2 {
		t.Fatalf("%d results, end %+v", len(results), end)
	}
	for _, m := range results {
		h := m.Headers()
		if h.Get("Pelton-Job") != end.ID || h.Get("Pelton-Status") != "succeeded" || h.Get("Pelton-Total") != "2" {
			t.Errorf("headers %v", h)
		}
		if !strings.HasSuffix(m.Subject(), "."+h.Get("Pelton-Index")) {
			t.Errorf("subject %s, index %s", m.Subject(), h.Get("Pelton-Index"))
		}
	}
}

func TestMessageIDAndCloudEvents(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	for name, c := range map[string]struct{ m *nats.Msg }{
		"id-of-header": {jobMsg(plainJob, "Nats-Msg-Id", "id-of-header")},
		"ce-binary":    {jobMsg(plainJob, "ce-id", "ce-binary", "ce-specversion", "1.0", "ce-type", "batch", "ce-source", "/x")},
		"ce-structured": {jobMsg(`{"specversion":"1.0","id":"ce-structured","type":"batch","source":"/x","data":`+plainJob+`}`,
			"Content-Type", "application/cloudevents+json")},
	} {
		publish(t, e, c.m)
		if results, end := readAll(t, e, name); len(results) != 2 || end.State != schema.Succeeded {
			t.Errorf("%s: %d results, %+v", name, len(results), end)
		}
	}
	// An id that cannot stand in a subject is hashed, and kept.
	publish(t, e, jobMsg(plainJob, "Nats-Msg-Id", "orders/2026 #7"))
	id, external := schema.NormalizeID("orders/2026 #7")
	if _, end := readAll(t, e, id); end.ExternalID != external || external == "" {
		t.Errorf("external id %q", end.ExternalID)
	}
}

func TestMicroService(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	nc := e.Conn()
	// What `nats micro ls` does.
	subject, err := micro.ControlSubject(micro.InfoVerb, "pelton", "")
	if err != nil {
		t.Fatal(err)
	}
	reply, err := nc.RequestWithContext(e.Ctx(), subject, nil)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(reply.Data, &info); err != nil || info.Name != "pelton" || len(info.Endpoints) != 5 {
		t.Fatalf("%+v, %v", info, err)
	}
	call := func(verb, data string, headers ...string) *nats.Msg {
		t.Helper()
		m := jobMsg(data, headers...)
		m.Subject = "pelton.svc." + verb + ".default"
		reply, err := nc.RequestMsgWithContext(e.Ctx(), m)
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		return reply
	}
	var results []schema.Result
	if err := json.Unmarshal(call("run", plainJob).Data, &results); err != nil || len(results) != 2 || results[1].Index != 1 {
		t.Errorf("run: %+v, %v", results, err)
	}
	var submitted struct {
		ID        string
		Duplicate bool
	}
	named := strings.Replace(plainJob, "{", `{"id":"svc",`, 1)
	for _, duplicate := range []bool{false, true} {
		if err := json.Unmarshal(call("submit", named).Data, &submitted); err != nil || submitted.ID != "svc" || submitted.Duplicate != duplicate {
			t.Errorf("submit: %+v, %v", submitted, err)
		}
	}
	readAll(t, e, "svc")
	var state schema.State
	if err := json.Unmarshal(call("status", `{"id":"svc"}`).Data, &state); err != nil || state.State != schema.Succeeded {
		t.Errorf("status: %+v, %v", state, err)
	}
	var states []schema.State
	if err := json.Unmarshal(call("list", "").Data, &states); err != nil || len(states) != 2 {
		t.Errorf("list: %d states, %v", len(states), err)
	}
	other := strings.Replace(named, "one", "other", 1)
	if reply := call("submit", other); reply.Header.Get(micro.ErrorCodeHeader) != "409" {
		t.Errorf("another job under the same id: %v", reply.Header)
	}
	for verb, bad := range map[string]struct{ data, code string }{
		"submit": {`{"requests":[]}`, "400"},
		"run":    {`{"requests":[{}]}`, "400"},
		"status": {`{"id":"nobody"}`, "404"},
		"cancel": {``, "400"},
		"list":   {``, ""},
	} {
		reply := call(verb, bad.data)
		if code := reply.Header.Get(micro.ErrorCodeHeader); code != bad.code {
			t.Errorf("%s %s: error %q: %s", verb, bad.data, code, reply.Header.Get(micro.ErrorHeader))
		}
	}
}

func TestMicroServiceStream(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	nc := e.Conn()
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	m := jobMsg(plainJob, "Pelton-Reply", "stream")
	m.Subject, m.Reply = "pelton.svc.run.default", inbox.Subject
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	for _, index := range []string{"0", "1", "end"} {
		got, err := inbox.NextMsgWithContext(e.Ctx())
		if err != nil || got.Header.Get("Pelton-Index") != index {
			t.Fatalf("want %s, got %+v, %v", index, got, err)
		}
	}
}

func TestReply(t *testing.T) {
	for _, order := range []string{"input", "completion"} {
		t.Run(order, func(t *testing.T) {
			e := testenv.New(t)
			e.Worker(defaultQueue)
			answers := e.Listen("my.app.answers")
			requests := testenv.Chats(20)
			requests[0] = testenv.Chat("0", `{"latency_ms":200}`)
			job := schema.Job{ID: "relayed", Requests: requests, Reply: "my.app.answers", Order: schema.Order(order)}
			client := e.Client()
			var got []string
			for range 2 { // published again, the results are replayed
				if _, err := client.Submit(e.Ctx(), job); err != nil {
					t.Fatal(err)
				}
				got = nil
				for len(got) < 21 {
					m, err := answers.NextMsgWithContext(e.Ctx())
					if err != nil {
						t.Fatalf("after %v: %v", got, err)
					}
					got = append(got, m.Header.Get("Pelton-Index"))
				}
				e.Settled()
				if n, _, _ := answers.Pending(); n != 0 {
					t.Errorf("%d messages more", n)
				}
				if first := got[0] == "0"; first != (order == "input") || got[20] != "end" {
					t.Errorf("%v", got)
				}
			}
			if n := e.LLM.Stats().Calls; n != 20 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

func TestIdentityConflict(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	client := e.Client()
	job := schema.Job{ID: "same", Requests: testenv.Chats(3)}
	if _, err := client.Run(e.Ctx(), job); err != nil {
		t.Fatal(err)
	}
	job.Requests = testenv.Chats(4)
	if _, err := client.Run(e.Ctx(), job); !errors.Is(err, jobs.ErrIDConflict) {
		t.Errorf("through the client: %v", err)
	}
	seq := publish(t, e, jobMsg(strings.Replace(plainJob, "{", `{"id":"same",`, 1)))
	_, end := readAll(t, e, fmt.Sprint("j", seq))
	if end.State != schema.Failed || end.Reason.Code != schema.ReasonIDConflict || end.ExternalID != "same" {
		t.Errorf("through a plain client: %+v %+v", end, end.Reason)
	}
}

func TestInvalidJobEndsFailed(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	for _, data := range []string{`no json`, `{"requests":[]}`, `{"requests":[{"model":"m","messages":[]}],"surprise":1}`, `{"input":{"object":"nowhere"}}`} {
		seq := publish(t, e, jobMsg(data))
		_, end := readAll(t, e, fmt.Sprint("j", seq))
		if end.State != schema.Failed || end.Reason.Code != schema.ReasonInvalidJob || end.Reason.Message == "" {
			t.Errorf("%s: %+v %+v", data, end, end.Reason)
		}
		// The bytes are kept.
		js, _ := jetstream.New(e.Conn())
		stream, err := js.Stream(e.Ctx(), "PELTON_JOBS")
		if err != nil {
			t.Fatal(err)
		}
		if m, err := stream.GetMsg(e.Ctx(), seq); err != nil || string(m.Data) != data {
			t.Errorf("%s: %v", data, err)
		}
	}
	if n := e.LLM.Stats().Calls; n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestSkipInvalid(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	seq := publish(t, e, jobMsg(`{"invalid":"skip","requests":[{"model":"m"},{"model":"m","messages":[{"role":"user","content":"x"}]}]}`))
	results, end := readAll(t, e, fmt.Sprint("j", seq))
	if len(results) != 2 || end.State != schema.CompletedWithErrors || end.Counts.Failed != 1 || end.Errors[0].Code != schema.CodeInvalidRequest {
		t.Errorf("%d results, %+v", len(results), end)
	}
}

func TestBytesBothWays(t *testing.T) {
	e := testenv.New(t, testenv.LLM(faultyllm.Config{KeepBodies: 10}))
	e.Worker(defaultQueue)
	answer := `{"id":"x","zzz_unknown":{"b":1,"a":[1.0,1e400,18446744073709551617]},  "choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"\u00e9é\/<>&"}}]}`
	quoted, _ := json.Marshal(answer)
	body := `{"temperature": 0,"top_k":40 , "stop":"END","seed":18446744073709551616,"messages":[{"role":"user","content":"\u00e9é <>& \/ \ud83d\ude00"}],"logit_bias":{"1":0.5},"mock":{"raw":` + string(quoted) + `},"model":"m"}`
	for name, limit := range map[string]int{"in the message": 0, "in the object store": 600} {
		t.Run(name, func(t *testing.T) {
			requests := []schema.Request{{Body: json.RawMessage(body)}}
			if limit > 0 { // as one of a job above the message limit
				requests[0].Body = json.RawMessage(strings.Replace(body, `"top_k":40`, `"top_k":41`, 1))
				requests = append(requests, testenv.Chat(strings.Repeat("x", 9<<20), ""))
			}
			results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(results[0].Response.Body); got != answer {
				t.Errorf("the answer came back as\n%s\nnot\n%s", got, answer)
			}
			found := false
			for _, sent := range e.LLM.Bodies() {
				found = found || bytes.Equal(sent, requests[0].Body)
			}
			if !found {
				t.Errorf("the body did not reach the upstream as it is")
			}
		})
	}
}

func TestDefaultsAreSplicedIn(t *testing.T) {
	e := testenv.New(t, testenv.LLM(faultyllm.Config{KeepBodies: 1}))
	e.Worker(defaultQueue)
	request := schema.Request{Body: json.RawMessage(`{"messages" : [],"model":"own"}`)}
	job := schema.Job{Requests: []schema.Request{request}, Defaults: json.RawMessage(`{"temperature":0, "model":"default"}`)}
	if _, err := e.Client().Run(e.Ctx(), job); err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.LLM.Bodies()[0]), `{"messages" : [],"model":"own","temperature":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCancel(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	release := e.LLM.Hold()
	defer release()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1000), Concurrency: 32})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 32 }); err != nil {
		t.Fatal(err)
	}
	if err := h.Cancel(e.Ctx(), "changed my mind"); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 0 }); err != nil {
		t.Fatal("calls in flight were not aborted")
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Cancelled || state.Reason.Message != "changed my mind" {
		t.Fatalf("%+v, %v", state, err)
	}
	if c := state.Counts; c.Cancelled != 32 || c.NotStarted != 968 {
		t.Errorf("%+v", c)
	}
	n := 0
	var ended *jobs.StateError
	for r, err := range h.Ordered(e.Ctx()) {
		if errors.As(err, &ended) {
			break
		}
		if err != nil || r.Status != schema.StatusCancelled || r.Error.Class != schema.ClassCancelled {
			t.Fatalf("%+v, %v", r, err)
		}
		n++
	}
	if n != 32 || ended == nil {
		t.Errorf("%d results, then %v", n, ended)
	}
}

func TestCancelReachesLateWorkers(t *testing.T) {
	e := testenv.New(t)
	e.Store(defaultQueue)
	client := e.Client()
	h, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(10)})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := h.State(e.Ctx()); err != nil || state.State != schema.Queued || state.Total != 10 {
		t.Fatalf("%+v, %v", state, err)
	}
	if err := h.Cancel(e.Ctx(), ""); err != nil {
		t.Fatal(err)
	}
	e.Worker(defaultQueue)
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Cancelled || state.Counts.NotStarted != 10 || e.LLM.Stats().Calls != 0 {
		t.Errorf("%+v, %v, %d calls", state, err, e.LLM.Stats().Calls)
	}
}

func TestDeadline(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	release := e.LLM.Hold()
	defer release()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(100), Deadline: schema.Deadline{After: 300 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Expired || state.Reason.Code != schema.ReasonDeadline {
		t.Fatalf("%+v, %v", state, err)
	}
	if c := state.Counts; c.Expired != 8 || c.NotStarted != 92 {
		t.Errorf("%+v", c)
	}
	// Half of what results are kept for is the most there can be.
	_, err = e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(1), Deadline: schema.Deadline{After: 48 * time.Hour}})
	var ended *jobs.StateError
	if !errors.As(err, &ended) || ended.State.Reason.Code != schema.ReasonInvalidJob {
		t.Errorf("a deadline beyond the results' age: %v", err)
	}
}

func TestRunCancelsWithItsContext(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	release := e.LLM.Hold()
	defer release()
	ctx, cancel := context.WithCancel(e.Ctx())
	go func() {
		_ = e.LLM.Wait(ctx, func(s faultyllm.Stats) bool { return s.InFlight == 8 })
		cancel()
	}()
	client := e.Client()
	if _, err := client.Run(ctx, schema.Job{ID: "gone", Requests: testenv.Chats(50)}); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if state, err := client.Job("default", "gone").Wait(e.Ctx()); err != nil || state.State != schema.Cancelled {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestUnknownJob(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h := e.Client().Job("default", "nobody")
	if _, err := h.State(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("State: %v", err)
	}
	if err := h.Cancel(e.Ctx(), ""); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Cancel: %v", err)
	}
	for _, err := range h.Ordered(e.Ctx()) {
		if !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("Ordered: %v", err)
		}
	}
}

func TestRemove(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	client := e.Client()
	requests := append(testenv.Chats(5), testenv.Chat(strings.Repeat("x", 9<<20), `{"answer":"`+strings.Repeat("y", 9<<20)+`"}`))
	if _, err := client.Run(e.Ctx(), schema.Job{ID: "gone", Requests: requests}); err != nil {
		t.Fatal(err)
	}
	h := client.Job("default", "gone")
	if _, err := h.Remove(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.State(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("%v", err)
	}
	js, _ := jetstream.New(e.Conn())
	for _, name := range []string{"PELTON_JOBS", "PELTON_RESULTS", "PELTON_WORK", "PELTON_CANCELS"} {
		stream, err := js.Stream(e.Ctx(), name)
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Msgs; n != 0 {
			t.Errorf("%s holds %d messages", name, n)
		}
	}
	for _, bucket := range []string{"PELTON_INPUT", "PELTON_BODIES"} {
		store, err := js.ObjectStore(e.Ctx(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := store.List(e.Ctx()); !errors.Is(err, jetstream.ErrNoObjectsFound) {
			t.Errorf("%s holds %d objects, %v", bucket, len(list), err)
		}
	}
}

// A body and an answer above the broker's message limit, without the caller
// noticing.
func TestLarge(t *testing.T) {
	e := testenv.New(t, testenv.MaxPayload(64<<10))
	e.Worker(defaultQueue)
	big := strings.Repeat("0123456789", 20_000)
	requests := testenv.Chats(2000) // above the limit together
	requests[10] = testenv.Chat(big, "")
	requests[20] = testenv.Chat("20", `{"answer":"`+big+`"}`)
	client := e.Client()
	h, err := client.Submit(e.Ctx(), schema.Job{ID: "large", Requests: requests, Concurrency: 64})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Index != n || r.Err() != nil {
			t.Fatalf("result %d: index %d, %v", n, r.Index, r.Err())
		}
		if n == 20 && testenv.Answer(r) != big {
			t.Errorf("the large answer has %d bytes", len(testenv.Answer(r)))
		}
		n++
	}
	if n != 2000 || e.LLM.Stats().Calls != 2000 {
		t.Errorf("%d results, %d calls", n, e.LLM.Stats().Calls)
	}
	// The same again is the same job.
	if _, err := client.Run(e.Ctx(), schema.Job{ID: "large", Requests: requests, Concurrency: 64}); err != nil {
		t.Errorf("again: %v", err)
	}
	if n := e.LLM.Stats().Calls; n != 2000 {
		t.Errorf("run twice: %d calls", n)
	}
}

// A job of 10 requests behind one of 5,000 in the same queue, whose concurrency
// is four times the queue's cap, ends while the large one has done under a tenth.
func TestSmallJobBehindLarge(t *testing.T) {
	const small, large, queueCap = 10, 5000, 64
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 100 * time.Millisecond}))
	e.Worker(map[string]int{"default": queueCap})
	client := e.Client()
	behind, err := client.Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(large), Concurrency: 4 * queueCap})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == queueCap }); err != nil {
		t.Fatal(err)
	}
	results, err := client.Run(e.Ctx(), schema.Job{Requests: testenv.Chats(small)})
	done := e.LLM.Stats().Answered - small
	if err != nil || len(results) != small {
		t.Fatalf("%d results, %v", len(results), err)
	}
	state, err := behind.State(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the large job had %d answers when the small one had all", done)
	if done >= large/10 || state.State != schema.Running {
		t.Errorf("the large job has done %d of %d (%s)", done, large, state.State)
	}
	if err := behind.Cancel(e.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	if _, err := behind.Wait(e.Ctx()); err != nil {
		t.Fatal(err)
	}
}
