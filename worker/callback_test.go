package worker_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pelton/internal/dev/testenv"
	"pelton/internal/webhook"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// receiver is somebody's webhook: it answers as its script says, then 204.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	script []http.HandlerFunc
	ids    []string
	bodies []string
}

func newReceiver(t *testing.T, script ...http.HandlerFunc) *receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{script: script}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if err := verifier.Verify(body, req.Header); err != nil {
			t.Errorf("the reference library says %v", err)
		}
		r.mu.Lock()
		n := len(r.ids)
		r.ids, r.bodies = append(r.ids, req.Header.Get("Webhook-Id")), append(r.bodies, string(body))
		r.mu.Unlock()
		if n < len(r.script) {
			r.script[n](w, req)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(r.Close)
	return r
}

var hookSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))

func hooked(t *testing.T, r *receiver, pauses ...time.Duration) *testenv.Env {
	t.Helper()
	hooks, err := webhook.New("done="+r.URL, "done="+hookSecret, webhook.WithTimeout(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return testenv.New(t, testenv.Settings(store.Settings{Callbacks: hooks, CallbackPauses: pauses}))
}

// called waits until a job's callback is over.
func called(t *testing.T, e *testenv.Env, h *jobs.Handle) *schema.State {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := e.Ctx(); ; {
		state, err := h.State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c := state.Callback; state.State.Final() && c != nil && c.Status != schema.CallbackPending {
			return state
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the callback stands at %+v", state.Callback)
		}
	}
}

// A receiver that fails, hangs, redirects and closes is tried again, with the
// same message each time; the job has long ended as it did.
func TestCallbackIsTriedAgain(t *testing.T) {
	r := newReceiver(t,
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() },
		func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/", http.StatusFound) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	)
	pause := 20 * time.Millisecond
	e := hooked(t, r, pause, pause, pause, pause, pause)
	e.Worker(defaultQueue)
	told := e.Listen("app.ended")
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(3), Callback: "done", Notify: "app.ended"})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Succeeded {
		t.Fatal(state, err)
	}
	m, err := told.NextMsgWithContext(e.Ctx())
	if err != nil || m.Header.Get(schema.HeaderIndex) != schema.EndToken || !strings.Contains(string(m.Data), `"state":"succeeded"`) {
		t.Fatalf("%v, %v", m, err)
	}
	state = called(t, e, h)
	if c := state.Callback; state.State != schema.Succeeded || c.Status != schema.CallbackDelivered || c.Attempts != 5 || c.Error != "" {
		t.Errorf("%+v, callback %+v", state, c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ids {
		if r.ids[i] != r.ids[0] || r.bodies[i] != r.bodies[0] {
			t.Errorf("try %d brought another message: %s %s", i, r.ids[i], r.bodies[i])
		}
	}
	var message struct {
		Type string
		Data schema.State
	}
	if err := json.Unmarshal([]byte(r.bodies[0]), &message); err != nil || message.Type != "job.ended" || message.Data.ID != h.ID() || message.Data.Counts.Succeeded != 3 {
		t.Errorf("%s: %v", r.bodies[0], err)
	}
	if n, _, _ := told.Pending(); n != 0 {
		t.Errorf("the end was told %d times more on the subject", n)
	}
}

// A receiver that never takes it is given up; that is seen, and changes nothing
// else. One that says that it is gone is not asked again.
func TestCallbackIsGivenUp(t *testing.T) {
	fail := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	gone := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }
	for name, c := range map[string]struct {
		script   []http.HandlerFunc
		attempts int
		says     string
	}{
		"fails": {[]http.HandlerFunc{fail, fail, fail, fail}, 3, "answered 503"},
		"gone":  {[]http.HandlerFunc{gone, gone}, 1, "answered 410"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, c.script...)
			e := hooked(t, r, time.Millisecond, time.Millisecond)
			e.Worker(defaultQueue)
			h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: []schema.Request{testenv.Chat("x", `{"status":400}`)}, Callback: "done"})
			if err != nil {
				t.Fatal(err)
			}
			state := called(t, e, h)
			if cb := state.Callback; state.State != schema.Failed || cb.Status != schema.CallbackFailed || cb.Attempts != c.attempts || !strings.Contains(cb.Error, c.says) {
				t.Errorf("%+v, callback %+v", state, cb)
			}
			e.Settled()
		})
	}
}

// An owner that goes away between two tries leaves them to the next.
func TestCallbackSurvivesItsOwner(t *testing.T) {
	first := make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		close(first)
	})
	e := hooked(t, r, 2*time.Second)
	one := e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1), Callback: "done"})
	if err != nil {
		t.Fatal(err)
	}
	<-first
	_ = one.Kill()
	e.Worker(defaultQueue)
	if c := called(t, e, h).Callback; c.Status != schema.CallbackDelivered {
		t.Errorf("%+v", c)
	}
}

// A job can name a webhook that is configured, and nothing else.
func TestCallbackMustBeConfigured(t *testing.T) {
	e := hooked(t, newReceiver(t))
	e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1), Callback: "other"})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.Reason == nil || state.Reason.Code != schema.ReasonInvalidJob || !strings.Contains(state.Reason.Message, "there are done") {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1), Callback: "https://x"}); err == nil {
		t.Error("an address was taken")
	}
	if e.LLM.Stats().Calls != 0 {
		t.Error("it ran")
	}
}
