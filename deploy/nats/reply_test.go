package nats_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/dev/testenv"
	"pelton/jobs/store"
	"pelton/schema"
)

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	wake chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) has(all ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		n := 0
		for _, s := range all {
			if strings.Contains(line, s) {
				n++
			}
		}
		if n == len(all) {
			return true
		}
	}
	return false
}

// A job's reply is published with the worker's rights. None of these subjects,
// to which the producer may not publish, gets a message by it.
func TestReplyReachesNothingMore(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	admin := setUp(t, s, "a")
	work(t, s, s.Conn("a", "worker"))
	producing := s.Conn("a", "producer")
	results, err := admin.SubscribeSync("pelton.results.other.>")
	if err != nil {
		t.Fatal(err)
	}
	progress, err := admin.SubscribeSync("pelton.progress.other.>")
	if err != nil {
		t.Fatal(err)
	}
	collecting := s.Conn("a", "collector")
	inbox, err := collecting.SubscribeSync("_INBOX_collector.victim")
	if err != nil {
		t.Fatal(err)
	}
	first, err := client(t, producing).Submit(ctx(t), schema.Job{ID: "precious", Requests: testenv.Chats(3)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Wait(ctx(t)); err != nil {
		t.Fatal(err)
	}
	for i, reply := range []string{
		"$JS.API.STREAM.PURGE.PELTON_RESULTS", "$JS.API.STREAM.DELETE.PELTON_JOBS", "$KV.PELTON_STATE.default.precious",
		"$JS.ACK.PELTON_WORK.workers-default.1.1.1.1.0", "$SYS.REQ.SERVER.PING",
		"pelton.jobs.bulk", "pelton.results.other.j.0", "pelton.progress.other.j", "pelton.cancel.default.precious", "pelton",
		"_INBOX_collector.victim", "_INBOX_producer.victim", "_INBOX_worker.victim", "_INBOX.victim",
		"other.subject", "answers", "answersmore.x", "answers.*", "answers.>", "answers..x",
	} {
		// As any client would: the Go client refuses most of these by itself.
		id := fmt.Sprintf("bad-%d", i)
		m := []byte(fmt.Sprintf(`{"id": %q, "reply": %q, "requests": [{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}]}`, id, reply))
		if _, err := producing.Request("pelton.jobs.default", m, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		state, err := client(t, producing).Job("default", id).Wait(ctx(t))
		if err != nil || state.Reason == nil || state.Reason.Code != schema.ReasonInvalidJob || !strings.Contains(state.Reason.Message, "reply") {
			t.Errorf("%s: %+v, %v", reply, state, err)
		}
	}
	for _, sub := range []*nats.Subscription{results, progress, inbox} {
		if n, _, err := sub.Pending(); n != 0 || err != nil {
			t.Errorf("%d messages on %s, %v", n, sub.Subject, err)
		}
	}
	precious(t, admin)
}

// precious makes sure that nothing was done to the job of that name.
func precious(t *testing.T, admin *nats.Conn) {
	t.Helper()
	state, err := client(t, admin).Job("default", "precious").State(ctx(t))
	if err != nil || state.State != schema.Succeeded {
		t.Errorf("%+v, %v", state, err)
	}
	n := 0
	for _, err := range client(t, admin).Job("default", "precious").Results(ctx(t)) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d results are left", n)
	}
}

// Without PELTON_REPLY_ALLOW the worker's own rights are the wall: the relay is
// denied and said to be, the job goes on, and its results are stored.
func TestReplyDeniedByTheServer(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	setUp(t, s, "a")
	log := &lines{wake: make(chan struct{}, 1)}
	work(t, s, s.Conn("a", "worker"), func(set *store.Settings) { set.ReplyAllow, set.Log = nil, zerolog.New(log) })
	producing := s.Conn("a", "producer")
	h, err := client(t, producing).Submit(ctx(t), schema.Job{ID: "astray", Requests: testenv.Chats(50), Reply: "other.subject"})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := h.Wait(ctx(t)); err != nil || state.State != schema.Succeeded {
		t.Fatalf("%+v, %v", state, err)
	}
	end := ctx(t)
	for !log.has(`"job":"astray"`, `NATS refused publish to \"other.subject\"`) {
		select {
		case <-log.wake:
		case <-end.Done():
			t.Fatalf("the log does not say that the reply was denied:\n%s", log.text.String())
		}
	}
	n := 0
	for _, err := range client(t, s.Conn("a", "collector")).Job("default", "astray").Results(ctx(t)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 50 {
		t.Errorf("%d results", n)
	}
}

// Calls of the service are answered with the worker's rights as well.
func TestServiceAnswersNothingMore(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	admin := setUp(t, s, "a")
	work(t, s, s.Conn("a", "worker"))
	producing := s.Conn("a", "producer")
	h, err := client(t, producing).Submit(ctx(t), schema.Job{ID: "precious", Requests: testenv.Chats(3)})
	if err == nil {
		_, err = h.Wait(ctx(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range []string{"$JS.API.STREAM.PURGE.PELTON_RESULTS", "$KV.PELTON_STATE.default.precious", "pelton.results.default.fake.0", "pelton.cancel.default.precious"} {
		for verb, data := range map[string]string{
			"status": "precious", "list": "", "cancel": "nothing",
			"submit": fmt.Sprintf(`{"id": "sub-%d", "requests": [{"model": "m", "messages": []}]}`, i),
		} {
			if err := producing.PublishRequest("pelton.svc."+verb+".default", reply, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The service takes the calls of a verb in their order: this answer comes last.
	for _, verb := range []string{"status", "list", "cancel", "submit"} {
		if _, err := producing.Request("pelton.svc."+verb+".default", []byte("{}"), 30*time.Second); err != nil {
			t.Fatal(verb, err)
		}
	}
	precious(t, admin)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	for stream, subject := range map[string]string{"PELTON_RESULTS": "pelton.results.default.fake.0", "PELTON_CANCELS": "pelton.cancel.default.precious"} {
		st, err := js.Stream(ctx(t), stream)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := st.GetLastMsgForSubject(ctx(t), subject); err == nil {
			t.Errorf("%s holds %s", subject, m.Data)
		}
	}
	states, err := client(t, admin).List(ctx(t))
	if err != nil || len(states) != 1 {
		t.Errorf("%d jobs, %v: a call that may not be answered was carried out", len(states), err)
	}
}

// What docs/security.md says an account is for: within one, the server's own
// answers go where the caller says. When this fails, the page is to be changed.
func TestServersOwnAnswers(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	admin := setUp(t, s, "a")
	setUp(t, s, "b")
	heard, err := admin.SubscribeSync("pelton.results.default.fake.0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Conn("b", "admin").SubscribeSync("pelton.results.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Conn("a", "producer").PublishRequest("pelton.jobs.default", "pelton.results.default.fake.0", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if m, err := heard.NextMsg(30 * time.Second); err != nil || !strings.Contains(string(m.Data), `"stream":"PELTON_JOBS"`) {
		t.Errorf("%v, %v", m, err)
	}
	if n, _, err := other.Pending(); n != 0 || err != nil {
		t.Errorf("another account hears %d messages, %v", n, err)
	}
}
