package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// crash is a job that is being run by processes that the test then kills.
type crash struct {
	t      *testing.T
	e      *testenv.Env
	client *jobs.Client
	handle *jobs.Handle
	nc     *nats.Conn
}

const (
	crashTotal  = 400
	crashWindow = 32
)

// submitTo submits a job of crashTotal requests to the server at url.
func submitTo(t *testing.T, e *testenv.Env, url string) *crash {
	t.Helper()
	nc := testenv.Dial(t, url)
	client, err := jobs.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	h, err := client.Submit(e.Ctx(), schema.Job{ID: "crash", Requests: testenv.Chats(crashTotal), Concurrency: crashWindow})
	if err != nil {
		t.Fatal(err)
	}
	return &crash{t, e, client, h, nc}
}

// answered waits until the upstream has answered n calls.
func (c *crash) answered(n int) {
	c.t.Helper()
	if err := c.e.LLM.Wait(c.e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered >= n }); err != nil {
		c.t.Fatalf("waiting for %d answers: %v (%+v)", n, err, c.e.LLM.Stats())
	}
}

// check reads the job to its end and holds the upstream's record against it:
// one result per index, one end, and no call for a request that had a result
// when the fault came.
func (c *crash) check(fault time.Time) {
	c.t.Helper()
	ctx := c.e.Ctx()
	bodies := testenv.Chats(crashTotal)
	n := 0
	for r, err := range c.handle.Ordered(ctx) {
		if err != nil {
			c.t.Fatal(err)
		}
		if r.Index != n || r.Status != schema.StatusSucceeded || testenv.Answer(r) != "You said: "+strconv.Itoa(n) {
			c.t.Fatalf("result %d: index %d, %s, %q, %v", n, r.Index, r.Status, testenv.Answer(r), r.Err())
		}
		calls := c.e.LLM.CallsOf(faultyllm.IdentityOf(bodies[n].Body))
		if r.FinishedAt.Before(fault) && calls != 1 {
			c.t.Errorf("request %d had a result before the fault, and was called %d times", n, calls)
		}
		if calls > 2 {
			c.t.Errorf("request %d was called %d times", n, calls)
		}
		n++
	}
	if n != crashTotal {
		c.t.Fatalf("%d results, want %d", n, crashTotal)
	}
	s := c.e.LLM.Stats()
	c.t.Logf("%d calls for %d requests", s.Calls, crashTotal)
	if s.Duplicates > crashWindow {
		c.t.Errorf("%d calls more than requests; at most the %d in flight can be lost", s.Duplicates, crashWindow)
	}
	c.checkStored(ctx)
}

// checkStored counts what lies in the results stream.
func (c *crash) checkStored(ctx context.Context) {
	c.t.Helper()
	js, err := jetstream.New(c.nc)
	if err != nil {
		c.t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "PELTON_RESULTS")
	if err != nil {
		c.t.Fatal(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("pelton.results.default.crash.>"))
	if err != nil {
		c.t.Fatal(err)
	}
	ends := 0
	for subject, n := range info.State.Subjects {
		if n != 1 {
			c.t.Errorf("%d messages on %s", n, subject)
		}
		if subject == "pelton.results.default.crash.end" {
			ends++
		}
	}
	if ends != 1 || len(info.State.Subjects) != crashTotal+1 {
		c.t.Errorf("%d ends, %d subjects", ends, len(info.State.Subjects))
	}
	state, err := c.handle.Wait(ctx)
	if err != nil || state.State != schema.Succeeded || state.Counts.Succeeded != crashTotal {
		c.t.Errorf("state %+v, %v", state, err)
	}
}

func slowUpstream(t *testing.T) *testenv.Env {
	return testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 50 * time.Millisecond}))
}

// A worker that is its own server is killed and started again on its store.
func TestKillWorkerWithItsServer(t *testing.T) {
	t.Parallel()
	e := slowUpstream(t)
	role := testenv.Role{Name: "all", Store: t.TempDir(), LLM: e.LLM.URL(), Queues: defaultQueue}
	p := testenv.StartProcess(t, role)
	c := submitTo(t, e, p.URL)
	c.answered(crashTotal / 3)
	p.Kill()
	fault := time.Now()
	role.Port = portOf(t, p.URL)
	testenv.StartProcess(t, role)
	c.check(fault)
}

// The worker that owns the job is killed while another runs requests as well.
func TestKillOwner(t *testing.T) {
	t.Parallel()
	e := slowUpstream(t)
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	owner := testenv.StartProcess(t, testenv.Role{Name: "owner", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: crashWindow / 2})
	c := submitTo(t, e, server.URL)
	c.answered(crashTotal / 8) // so that it is the owner
	testenv.StartProcess(t, testenv.Role{Name: "other", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: crashWindow / 2})
	c.answered(crashTotal / 3)
	owner.Kill()
	c.check(time.Now())
}

// The NATS server is killed and comes back on its store.
func TestKillServer(t *testing.T) {
	t.Parallel()
	e := slowUpstream(t)
	role := testenv.Role{Name: "server", Store: t.TempDir()}
	server := testenv.StartProcess(t, role)
	testenv.StartProcess(t, testenv.Role{Name: "worker", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue})
	c := submitTo(t, e, server.URL)
	c.answered(crashTotal / 3)
	server.Kill()
	fault := time.Now()
	role.Port = portOf(t, server.URL)
	testenv.StartProcess(t, role)
	c.check(fault)
}

// An owner is paused for longer than its lease; another takes over; the first
// comes back and finds itself fenced.
func TestTwoOwners(t *testing.T) {
	t.Parallel()
	e := slowUpstream(t)
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	first := testenv.StartProcess(t, testenv.Role{Name: "first", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 4})
	c := submitTo(t, e, server.URL)
	c.answered(crashTotal / 8)
	first.Pause()
	fault := time.Now()
	testenv.StartProcess(t, testenv.Role{Name: "second", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 4})
	c.answered(crashTotal / 2) // the second owns the job now
	first.Resume()
	c.check(fault)
}

func portOf(t *testing.T, url string) int {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(url, "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return port
}

func TestDrainHandsBack(t *testing.T) {
	e := slowUpstream(t)
	first := e.Worker(defaultQueue)
	client := e.Client()
	h, err := client.Submit(e.Ctx(), schema.Job{ID: "crash", Requests: testenv.Chats(crashTotal), Concurrency: crashWindow})
	if err != nil {
		t.Fatal(err)
	}
	c := &crash{t, e, client, h, e.Conn()}
	c.answered(crashTotal / 4)
	second := e.Worker(defaultQueue)
	if err := first.Drain(); err != nil {
		t.Fatal(err)
	}
	fault := time.Now()
	c.check(fault)
	// A drain finishes what is in flight: nothing was called twice.
	if n := e.LLM.Stats().Duplicates; n != 0 {
		t.Errorf("%d requests were called twice", n)
	}
	if err := second.Drain(); err != nil {
		t.Fatal(err)
	}
}

// A hard stop hands interrupted work back at once: another worker has it again
// without waiting for the broker to notice.
func TestHardStopHandsBack(t *testing.T) {
	e := testenv.New(t)
	release := e.LLM.Hold()
	defer release()
	first := e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(8)})
	if err != nil {
		t.Fatal(err)
	}
	wait := func(cond func(faultyllm.Stats) bool) {
		t.Helper()
		if err := e.LLM.Wait(e.Ctx(), cond); err != nil {
			t.Fatal(err)
		}
	}
	wait(func(s faultyllm.Stats) bool { return s.InFlight == 8 })
	e.Worker(defaultQueue)
	killed := time.Now()
	_ = first.Kill()
	wait(func(s faultyllm.Stats) bool { return s.Calls == 16 && s.InFlight == 8 })
	if passed := time.Since(killed); passed > store.AckWait {
		t.Errorf("it took %s: that is the broker's patience, not a hand-back", passed)
	}
	release()
	if state, err := h.Wait(e.Ctx()); err != nil || state.Counts.Succeeded != 8 {
		t.Errorf("%+v, %v", state, err)
	}
}

// ended is a context that tells the youngest of those that hang on it first, and
// the others when it is asked to.
type ended struct {
	context.Context
	done chan struct{}

	mu   sync.Mutex
	tell []*func()
}

func (c *ended) Done() <-chan struct{} { return c.done }

func (c *ended) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

func (c *ended) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &f
	c.tell = append(c.tell, one)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		at := slices.Index(c.tell, one)
		if at >= 0 {
			c.tell = slices.Delete(c.tell, at, at+1)
		}
		return at >= 0
	}
}

// youngest tells the youngest, and reports false when there was none.
func (c *ended) youngest() bool {
	c.mu.Lock()
	last := len(c.tell) - 1
	if last < 0 {
		c.mu.Unlock()
		return false
	}
	f := *c.tell[last]
	c.tell = c.tell[:last]
	c.mu.Unlock()
	f()
	return true
}

// untilEnd is a router whose calls last until their context ends.
type untilEnd struct{ began chan struct{} }

func (r untilEnd) Priced(string) bool { return true }

func (r untilEnd) Do(ctx context.Context, _ router.Request) router.Outcome {
	r.began <- struct{}{}
	<-ctx.Done()
	return router.Outcome{Status: schema.StatusCancelled, Error: &schema.Error{Class: schema.ClassCancelled}}
}

// A hard stop is no cancel, though the call may hear of it through its job's context
// before the delivery does: nothing is stored of what others begin anew.
func TestHardStopIsNoCancel(t *testing.T) {
	e := testenv.New(t)
	r := untilEnd{make(chan struct{})}
	soft, drain := context.WithCancel(t.Context())
	hard := &ended{Context: context.Background(), done: make(chan struct{})}
	gone := make(chan error)
	b := e.Store(defaultQueue)
	go func() {
		gone <- worker.Run(soft, hard, worker.Config{Store: b, Router: r, Queues: defaultQueue, Name: "first", Log: testenv.Logger(t)})
	}()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(1)})
	if err != nil {
		t.Fatal(err)
	}
	<-r.began
	close(hard.done)
	hard.youngest() // the job's context, made when its first request began
	drain()
	if err := <-gone; err != nil {
		t.Error(err)
	}
	for hard.youngest() {
	}
	if out, stored, err := b.Results.Meta(e.Ctx(), "default", h.ID(), 0); stored || err != nil {
		t.Errorf("stored: %+v, %v", out, err)
	}
	e.Worker(defaultQueue)
	if state, err := h.Wait(e.Ctx()); err != nil || state.Counts.Succeeded != 1 {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestMain(m *testing.M) { testenv.Main(func() { verify(m) }) }
