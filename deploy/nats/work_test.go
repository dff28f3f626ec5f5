package nats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/fleet"
	"pelton/internal/nats/denied"
	"pelton/internal/nats/natsconn"
	"pelton/jobs"
	"pelton/jobs/owner"
	"pelton/jobs/service"
	"pelton/jobs/store"
	"pelton/schema"
)

// Four users, each with no more than its role's rights, carry jobs through their
// whole life: small ones and large ones, with a reply, over the service, and
// cancelled ones. Nothing that they need on the way is denied.
func TestFourUsers(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf", smallMessages)
	var mu sync.Mutex
	var refusals []string
	hear := nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
		// Pieces of large bodies age out; of jobs that wait workers tell others.
		if e := denied.Parse(err); e == nil || e.Subject != "$JS.API.STREAM.PURGE.OBJ_PELTON_BODIES" && e.Subject != "$JS.API.STREAM.INFO.PELTON_JOBS" {
			mu.Lock()
			defer mu.Unlock()
			refusals = append(refusals, nc.Opts.Name+" "+err.Error())
		}
	})
	admin := setUp(t, s, "a")
	workers := s.Conn("a", "worker", hear)
	work(t, s, workers)
	producing, collecting := s.Conn("a", "producer", hear), s.Conn("a", "collector", hear)
	producer, collector := client(t, producing), client(t, collecting)
	answers, err := producing.SubscribeSync("answers.mine")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("a job", func(t *testing.T) {
		h, err := producer.Submit(ctx(t), schema.Job{ID: "small", Requests: testenv.Chats(20), Reply: "answers.mine"})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r, err := range collector.Job("default", "small").Ordered(ctx(t)) {
			if err != nil {
				t.Fatal(err)
			}
			if testenv.Answer(r) != fmt.Sprintf("You said: %d", n) {
				t.Errorf("result %d: %s", n, testenv.Answer(r))
			}
			n++
		}
		if state, err := h.Wait(ctx(t)); err != nil || state.State != schema.Succeeded || n != 20 {
			t.Errorf("%d results, %+v, %v", n, state, err)
		}
		for range 21 {
			if _, err := answers.NextMsg(30 * time.Second); err != nil {
				t.Fatal("the reply:", err)
			}
		}
	})
	t.Run("bodies above the message limit", func(t *testing.T) {
		large := strings.Repeat("x", 150<<10)
		requests := []schema.Request{testenv.Chat(large, ""), testenv.Chat("small", "")}
		if _, err := producer.Submit(ctx(t), schema.Job{ID: "large", Requests: requests, IncludeRequest: true}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for r, err := range collector.Job("default", "large").Ordered(ctx(t)) {
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 && !strings.Contains(string(r.Request), large) {
				t.Error("the large body did not come back whole")
			}
			n++
		}
		if n != 2 {
			t.Errorf("%d results", n)
		}
	})
	t.Run("the service", func(t *testing.T) {
		m, err := producing.Request("pelton.svc.run.default", []byte(`{"id": "called", "requests": [{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}]}`), 30*time.Second)
		var results []schema.Result
		if err == nil {
			err = json.Unmarshal(m.Data, &results)
		}
		if err != nil || len(results) != 1 || testenv.Answer(&results[0]) != "You said: Hello" {
			t.Errorf("%v, %v", results, err)
		}
	})
	t.Run("a cancel", func(t *testing.T) {
		requests := []schema.Request{testenv.Chat("slow", `{"latency_ms": 60000}`)}
		h, err := producer.Submit(ctx(t), schema.Job{ID: "slow", Requests: requests})
		if err == nil {
			err = h.Cancel(ctx(t), "no need")
		}
		if err != nil {
			t.Fatal(err)
		}
		if state, err := collector.Job("default", "slow").Wait(ctx(t)); err != nil || state.State != schema.Cancelled {
			t.Errorf("%+v, %v", state, err)
		}
	})
	t.Run("lists", func(t *testing.T) {
		for name, c := range map[string]*jobs.Client{"producer": producer, "collector": collector, "admin": client(t, admin)} {
			states, err := c.List(ctx(t))
			if err != nil || len(states) != 4 {
				t.Errorf("%s: %d jobs, %v", name, len(states), err)
			}
		}
	})
	t.Run("a job that waits", func(t *testing.T) {
		// Nobody else could tell: its queue has no worker, and the collector may
		// not look at the jobs.
		_, err := collector.Job("default", "nothing").State(ctx(t))
		if !errors.Is(err, jobs.ErrNotFound) {
			t.Error(err)
		}
	})
	t.Run("the admin", func(t *testing.T) {
		c := client(t, admin)
		if err := c.SetQueueCap(ctx(t), "default", 5); err != nil {
			t.Error(err)
		}
		if list, err := c.Queues(ctx(t)); err != nil || len(list) != 2 || list[1].Cap != 5 {
			t.Errorf("%+v, %v", list, err)
		}
		for _, id := range []string{"small", "large", "slow"} {
			if _, err := c.Job("default", id).Remove(ctx(t)); err != nil {
				t.Errorf("remove %s: %v", id, err)
			}
		}
	})
	for _, nc := range []*nats.Conn{workers, producing, collecting} {
		if err := nc.Flush(); err != nil {
			t.Error(err)
		}
		nc.Close() // its handler is called no more
	}
	mu.Lock()
	defer mu.Unlock()
	if len(refusals) > 0 {
		t.Errorf("denied on the way:\n%s", strings.Join(refusals, "\n"))
	}
}

// A worker whose streams nobody has made says what is missing, who makes it, and
// which right it would need.
func TestNothingThere(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	nc := s.Conn("a", "worker")
	err := broker(t, nc).Setup(ctx(t), queues)
	var missing *store.MissingError
	if !errors.As(err, &missing) || !errors.Is(err, jobs.ErrDenied) {
		t.Fatal(err)
	}
	want := "[stream PELTON_JOBS stream PELTON_WORK stream PELTON_RESULTS stream PELTON_PARKED stream PELTON_CANCELS " +
		"bucket PELTON_STATE object store PELTON_INPUT object store PELTON_BODIES queue bulk queue default]"
	if fmt.Sprint(missing.What) != want {
		t.Errorf("missing: %v", missing.What)
	}
	for _, text := range []string{"pelton check --create", `NATS refused publish to "$JS.API.STREAM.CREATE.PELTON_JOBS"`} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v: does not say %s", err, text)
		}
	}
	if _, err := fleet.Join(ctx(t), nc, schema.Names{}, "w", testenv.Logger(t)); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "KV_PELTON_FLEET") {
		t.Errorf("join the fleet: %v", err)
	}

	setUp(t, s, "a")
	if err := broker(t, nc).Setup(ctx(t), queues); err != nil {
		t.Errorf("all is there: %v", err)
	}
	err = broker(t, nc).Setup(ctx(t), map[string]int{"default": 8, "other": 1})
	if !errors.As(err, &missing) || fmt.Sprint(missing.What) != "[queue other]" {
		t.Errorf("a queue is not there: %v", err)
	}
	err = broker(t, nc, func(s *store.Settings) { s.ResultsMaxAge = time.Hour }).Setup(ctx(t), queues)
	if !errors.Is(err, jobs.ErrDenied) || !strings.Contains(err.Error(), "PELTON_RESULTS_MAX_AGE") {
		t.Errorf("another age: %v", err)
	}
}

// What a role may not do through the client comes back as denied, and says which
// subject it was; before the call's own time is up, which would be an error of
// another kind.
func TestDeniedCalls(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	setUp(t, s, "a")
	collector, producer := client(t, s.Conn("a", "collector")), client(t, s.Conn("a", "producer"))
	bulk, err := jobs.NewClient(s.Conn("a", "producer"), jobs.WithQueue("bulk"))
	if err != nil {
		t.Fatal(err)
	}
	bulkReader, err := jobs.NewClient(s.Conn("a", "collector"), jobs.WithQueue("bulk"))
	if err != nil {
		t.Fatal(err)
	}
	job := schema.Job{Requests: testenv.Chats(1)}
	h, err := producer.Submit(ctx(t), job)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, subject string
		call          func(*testing.T) error
	}{
		{"collector submits", "pelton.jobs.default", func(t *testing.T) error { _, err := collector.Submit(ctx(t), job); return err }},
		{"collector uploads", "$O.PELTON_INPUT.C.", func(t *testing.T) error {
			_, err := collector.Submit(ctx(t), schema.Job{}, jobs.WithInput(strings.NewReader(`{"model":"m","messages":[]}`)))
			return err
		}},
		{"producer submits to another queue", "pelton.jobs.bulk", func(t *testing.T) error { _, err := bulk.Submit(ctx(t), job); return err }},
		{"producer collects", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS.", func(t *testing.T) error {
			for _, err := range h.Results(ctx(t)) {
				return err
			}
			return nil
		}},
		{"state of another queue", "$JS.API.DIRECT.GET.KV_PELTON_STATE.$KV.PELTON_STATE.bulk.j", func(t *testing.T) error {
			_, err := bulkReader.Job("bulk", "j").State(ctx(t))
			return err
		}},
		{"list of another queue", "$JS.API.CONSUMER.CREATE.KV_PELTON_STATE.", func(t *testing.T) error { _, err := bulkReader.List(ctx(t)); return err }},
		{"list of all queues", "$JS.API.CONSUMER.CREATE.KV_PELTON_STATE.", func(t *testing.T) error { _, err := collector.ListAll(ctx(t)); return err }},
		{"a job that waits, without a worker to ask", "$JS.API.STREAM.INFO.PELTON_JOBS", func(t *testing.T) error {
			_, err := collector.Job("default", "j").State(ctx(t))
			return err
		}},
		{"collector cancels", "pelton.cancel.default.", func(t *testing.T) error { return cancelDirectly(t, s) }},
		{"queues", "$JS.API.STREAM.INFO.PELTON_WORK", func(t *testing.T) error { _, err := producer.Queues(ctx(t)); return err }},
		{"a cap", "$JS.API.CONSUMER.INFO.PELTON_WORK.workers-default", func(t *testing.T) error { return producer.SetQueueCap(ctx(t), "default", 3) }},
		{"removal", "$JS.API.STREAM.", func(t *testing.T) error { return removeAs(t, s, "producer") }},
		{"the store's use", "$JS.API.STREAM.INFO.PELTON_JOBS", func(t *testing.T) error { _, err := producer.Storage(ctx(t)); return err }},
		{"a worker's rights", "pelton.cancel.*.*", func(t *testing.T) error { _, err := broker(t, s.Conn("a", "producer")).Cancels.Watch(); return err }},
		{"the service", "pelton.svc.", func(t *testing.T) error {
			_, err := service.Start(broker(t, s.Conn("a", "producer")), queues, testenv.Logger(t))
			return err
		}},
		{"progress of another queue", "pelton.progress.bulk.*", func(t *testing.T) error {
			o, err := owner.Start(ctx(t), owner.Config{Store: broker(t, s.Conn("a", "producer")), Queues: map[string]int{"bulk": 1}, Name: "w", Log: testenv.Logger(t)})
			if o != nil {
				o.Stop()
			}
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.call(t)
			if !errors.Is(err, jobs.ErrDenied) || !errors.Is(err, nats.ErrPermissionViolation) {
				t.Fatalf("not reported as denied: %v", err)
			}
			var refused *denied.Error
			if !errors.As(err, &refused) || !strings.HasPrefix(refused.Subject, test.subject) || !strings.Contains(err.Error(), refused.Subject) {
				t.Errorf("%v: does not name %s", err, test.subject)
			}
		})
	}
}

// finished has an ended job in the state bucket, written by the admin.
func finished(t *testing.T, s *testenv.Tenants, id string, phase schema.Phase) {
	t.Helper()
	js, err := jetstream.New(s.Conn("a", "admin"))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx(t), "PELTON_STATE")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(schema.State{ID: id, Queue: "default", State: phase, CreatedAt: time.Now()})
	if _, err := kv.Put(ctx(t), "default."+id, data); err != nil {
		t.Fatal(err)
	}
}

func cancelDirectly(t *testing.T, s *testenv.Tenants) error {
	finished(t, s, "to-cancel", schema.Running)
	return client(t, s.Conn("a", "collector")).Job("default", "to-cancel").Cancel(ctx(t), "")
}

func removeAs(t *testing.T, s *testenv.Tenants, role string) error {
	finished(t, s, "to-remove", schema.Succeeded)
	_, err := client(t, s.Conn("a", role)).Job("default", "to-remove").Remove(ctx(t))
	return err
}

// Who does not say under which prefix answers may come is told to.
func TestWrongInbox(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	setUp(t, s, "a")
	cfg := s.Config("a", "producer")
	cfg.NATSInboxPrefix = ""
	c := client(t, s.Connect(cfg))
	for range 2 { // the answers of the second call are refused no more loudly than those of the first
		_, err := c.Submit(ctx(t), schema.Job{Requests: testenv.Chats(1)})
		if !errors.Is(err, jobs.ErrDenied) || !strings.Contains(err.Error(), "NATS_INBOX_PREFIX") {
			t.Fatal(err)
		}
	}
}

// An account sees nothing of another.
func TestOtherTenant(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	setUp(t, s, "a")
	work(t, s, s.Conn("a", "worker"))
	admin := s.Conn("b", "admin")
	if _, err := client(t, s.Conn("b", "producer")).Submit(ctx(t), schema.Job{Requests: testenv.Chats(1)}); !errors.Is(err, jobs.ErrNotSetUp) {
		t.Errorf("a job in an account without streams: %v", err)
	}
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	for name := range js.StreamNames(ctx(t)).Name() {
		t.Errorf("sees the stream %s", name)
	}

	setUp(t, s, "b")
	heard, err := admin.SubscribeSync("pelton.results.>")
	if err != nil {
		t.Fatal(err)
	}
	spread, err := admin.SubscribeSync("pelton.progress.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Flush(); err != nil {
		t.Fatal(err)
	}
	results, err := client(t, s.Conn("a", "admin")).List(ctx(t))
	if err != nil || len(results) != 0 {
		t.Fatalf("%v, %v", results, err)
	}
	h, err := client(t, s.Conn("a", "producer")).Submit(ctx(t), schema.Job{ID: "mine", Requests: testenv.Chats(3)})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := h.Wait(ctx(t)); err != nil || state.State != schema.Succeeded {
		t.Fatalf("%+v, %v", state, err)
	}
	if err := admin.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []*nats.Subscription{heard, spread} {
		if n, _, err := sub.Pending(); n != 0 || err != nil {
			t.Errorf("hears %d messages on %s, %v", n, sub.Subject, err)
		}
	}
	if _, err := client(t, s.Conn("b", "collector")).Job("default", "mine").State(ctx(t)); !errors.Is(err, jobs.ErrNotFound) && !errors.Is(err, jobs.ErrDenied) {
		t.Errorf("the job of another: %v", err)
	}
	if states, err := client(t, admin).List(ctx(t)); err != nil || len(states) != 0 {
		t.Errorf("lists %v, %v", states, err)
	}
}

// TLS is not left out, nor the certificate believed that nobody vouches for.
func TestTLS(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	s.Conn("a", "producer") // with the authority it works
	cfg := s.Config("a", "producer")
	cfg.NATSCA = ""
	_, err := natsconn.Connect(ctx(t), cfg, "test", testenv.Logger(t))
	var failed *natsconn.Error
	if !errors.As(err, &failed) || failed.Kind != natsconn.Refused || !strings.Contains(err.Error(), "NATS_CA") {
		t.Errorf("without the authority: %v", err)
	}
	cfg = s.Config("a", "producer")
	cfg.NATSPassword = s.Config("b", "producer").NATSPassword
	_, err = natsconn.Connect(ctx(t), cfg, "test", testenv.Logger(t))
	if !errors.As(err, &failed) || failed.Kind != natsconn.Refused {
		t.Errorf("with another's password: %v", err)
	}
}
