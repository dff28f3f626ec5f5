//go:build cluster || slow

package worker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// A job on a cluster of three, with three copies of every stream, while
// something happens to the nodes.
const (
	clusterTotal   = 2000 // requests, unless a scenario asks for more
	clusterWindow  = 48
	clusterLatency = 150 * time.Millisecond
	clusterTime    = 4 * time.Minute
)

// scenario is what happens, and to which job.
type scenario struct {
	name    string
	run     func(*clusterRun)
	total   int           // requests; 0: clusterTotal, each of clusterLatency
	latency time.Duration // of each
}

// clusterRun is one job on one cluster.
type clusterRun struct {
	*testing.T
	*testenv.Cluster
	scenario
	e      *testenv.Env
	nc     *nats.Conn
	js     jetstream.JetStream
	handle *jobs.Handle
	ctx    context.Context
	began  time.Time

	collected chan error // the collector in input order has ended
	report    clusterReport
}

// newClusterRun starts a cluster and the upstream.
func newClusterRun(t *testing.T, s scenario) *clusterRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clusterTime)
	t.Cleanup(cancel)
	if s.total == 0 {
		s.total, s.latency = clusterTotal, clusterLatency
	}
	llm := testenv.LLM(faultyllm.Config{Latency: s.latency, KeepCalls: 2 * s.total})
	r := &clusterRun{T: t, scenario: s, ctx: ctx, e: testenv.New(t, llm)}
	r.Cluster = testenv.StartCluster(t)
	r.connect()
	return r
}

func (r *clusterRun) connect() {
	r.nc = testenv.Dial(r.T, r.URL())
	var err error
	if r.js, err = jetstream.New(r.nc); err != nil {
		r.Fatal(err)
	}
}

// worker starts a worker process that knows the given nodes, or all.
func (r *clusterRun) worker(name string, nodes ...*testenv.Member) *testenv.Process {
	r.T.Helper()
	return testenv.StartProcess(r.T, r.role(name, nodes...))
}

func (r *clusterRun) role(name string, nodes ...*testenv.Member) testenv.Role {
	return testenv.Role{
		Name: name, NATS: r.URL(nodes...), LLM: r.e.LLM.URL(), Queues: defaultQueue, Slots: clusterWindow, Replicas: 3,
	}
}

// submit submits the job, and has it collected in input order from now on.
func (r *clusterRun) submit() {
	r.T.Helper()
	client, err := jobs.NewClient(r.nc, jobs.WithLogger(testenv.Logger(r.T)))
	if err != nil {
		r.Fatal(err)
	}
	r.began = time.Now()
	r.handle, err = client.Submit(r.ctx, schema.Job{ID: "cluster", Requests: testenv.Chats(r.total), Concurrency: clusterWindow})
	if err != nil {
		r.Fatal(err)
	}
	r.collected = make(chan error, 1)
	go func() { r.collected <- r.collect() }()
}

// collect reads the job in input order to its end.
func (r *clusterRun) collect() error {
	n := 0
	for result, err := range r.handle.Ordered(r.ctx) {
		if err != nil {
			return fmt.Errorf("after %d results: %w", n, err)
		}
		if result.Index != n || result.Status != schema.StatusSucceeded || testenv.Answer(result) != "You said: "+strconv.Itoa(n) {
			return fmt.Errorf("result %d: index %d, %s, %q, %w", n, result.Index, result.Status, testenv.Answer(result), result.Err())
		}
		n++
	}
	if n != r.total {
		return fmt.Errorf("%d results, want %d", n, r.total)
	}
	return nil
}

// answered waits until the upstream has answered n calls.
func (r *clusterRun) answered(n int) {
	r.T.Helper()
	if err := r.e.LLM.Wait(r.ctx, func(s faultyllm.Stats) bool { return s.Answered >= n }); err != nil {
		r.Fatalf("waiting for %d answers: %v (%+v)", n, err, r.e.LLM.Stats())
	}
}

// more waits until the upstream has answered n further calls.
func (r *clusterRun) more(n int) {
	r.T.Helper()
	r.answered(min(r.total, r.e.LLM.Stats().Answered+n))
}

// clusterReport is what a scenario showed.
type clusterReport struct {
	name   string
	total  int
	took   time.Duration
	behind time.Duration // how long after the end the collector had read all
	extra  int           // calls beyond one per request
	why    map[string]int
	peak   int
}

// check reads the job to its end: one result per index, in order, one end with
// true counts, and no further call of a request whose result was stored. faults
// is how often the cluster was disturbed: each may cost what was in flight.
func (r *clusterRun) check(faults int) {
	r.T.Helper()
	state, err := r.handle.Wait(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	report := clusterReport{name: r.name, total: r.total, took: time.Since(r.began), why: map[string]int{}, peak: r.e.LLM.Stats().Peak}
	if err := <-r.collected; err != nil {
		r.Errorf("in input order: %v", err)
	}
	report.behind = time.Since(r.began) - report.took
	if state.State != schema.Succeeded || state.Counts != (schema.Counts{Succeeded: r.total}) {
		r.Errorf("state %+v", state)
	}
	r.checkStored()
	report.extra = r.explainExtras(report.why)
	if report.extra > faults*clusterWindow {
		r.Errorf("%d calls more than requests; each of %d faults may cost the %d in flight", report.extra, faults, clusterWindow)
	}
	r.report = report
}

// checkStored holds the results stream against the job.
func (r *clusterRun) checkStored() {
	r.T.Helper()
	stream, err := r.js.Stream(r.ctx, "PELTON_RESULTS")
	if err != nil {
		r.Fatal(err)
	}
	info, err := stream.Info(r.ctx, jetstream.WithSubjectFilter("pelton.results.default.cluster.>"))
	if err != nil {
		r.Fatal(err)
	}
	for subject, n := range info.State.Subjects {
		if n != 1 {
			r.Errorf("%d messages on %s", n, subject)
		}
	}
	if info.State.Subjects["pelton.results.default.cluster.end"] != 1 || len(info.State.Subjects) != r.total+1 {
		r.Errorf("%d ends, %d subjects", info.State.Subjects["pelton.results.default.cluster.end"], len(info.State.Subjects))
	}
	if info.Config.Replicas != 3 {
		r.Errorf("%d copies of the results", info.Config.Replicas)
	}
}

// explainExtras returns how many calls were made beyond one per request, and
// what became of the calls before them: aborted, since its worker could not keep
// the request alive; still running, since the broker gave the request to another
// although its worker lived; or answered, but not stored when the next began.
func (r *clusterRun) explainExtras(why map[string]int) (extra int) {
	r.T.Helper()
	stored := r.storedAt()
	last := map[string]faultyllm.Call{}
	for _, call := range r.e.LLM.Calls() {
		before, again := last[call.Identity]
		last[call.Identity] = call
		if !again {
			continue
		}
		extra++
		switch {
		case before.Aborted:
			why["aborted"]++
		case before.End.IsZero() || call.Start.Before(before.End):
			why["running"]++
		default:
			why["answered"]++
		}
		if done := stored[call.Identity]; call.Start.After(done.Add(clusterSlack)) {
			r.Errorf("request %s was called at %s, and its result was stored at %s", call.Identity, call.Start, done)
		}
	}
	return extra
}

// clusterSlack is how long after a leader has put its time on a result a call
// of the same request may begin: the look-up that came before it was made
// before the result was agreed upon.
const clusterSlack = 5 * time.Second

// storedAt returns when each request's result was stored, by its identity at
// the upstream.
func (r *clusterRun) storedAt() map[string]time.Time {
	r.T.Helper()
	consumer, err := r.js.OrderedConsumer(r.ctx, "PELTON_RESULTS", jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"pelton.results.default.cluster.*"}, HeadersOnly: true})
	if err != nil {
		r.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		r.Fatal(err)
	}
	defer messages.Stop()
	stored := map[string]time.Time{}
	for range r.total + 1 {
		m, err := messages.Next(jetstream.NextContext(r.ctx))
		if err != nil {
			r.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			r.Fatal(err)
		}
		stored[faultyllm.IdentityOf(testenv.Chat(m.Headers().Get(schema.HeaderIndex), "").Body)] = meta.Timestamp
	}
	return stored
}

// clusterTable is what the scenarios showed.
type clusterTable []clusterReport

func (t clusterTable) String() string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "scenario\ttook\tcollector behind\trequests\textra calls\taborted\tstill running\tanswered, not stored\tmost at once\n")
	for _, r := range t {
		fmt.Fprintf(out, "%s\t%.1f s\t%.1f s\t%d\t%d\t%d\t%d\t%d\t%d\n", r.name, r.took.Seconds(), r.behind.Seconds(), r.total, r.extra,
			r.why["aborted"], r.why["running"], r.why["answered"], r.peak)
	}
	_ = out.Flush()
	return text.String()
}

// TestCluster runs the scenarios one after the other and prints what each cost.
func TestCluster(t *testing.T) {
	var table clusterTable
	for _, s := range []scenario{
		{name: "Undisturbed", run: undisturbed},
		{name: "LeaderKilled", run: leaderKilled},
		{name: "WorkLeaderKilled", run: workLeaderKilled},
		{name: "WorkLeaderKilledLongCalls", run: workLeaderKilled, total: 3 * clusterWindow, latency: 12 * time.Second},
		{name: "StateLeaderKilled", run: stateLeaderKilled},
		{name: "FollowerKilled", run: followerKilled},
		{name: "LeaderPaused", run: leaderPaused},
		{name: "RollingRestart", run: rollingRestart, total: 3 * clusterTotal, latency: clusterLatency},
		{name: "NodeCutOff", run: nodeCutOff},
		{name: "WorkersBeforeLeader", run: workersBeforeLeader},
		{name: "SubmittedWithoutLeader", run: submittedWithoutLeader},
	} {
		t.Run(s.name, func(t *testing.T) {
			r := newClusterRun(t, s)
			s.run(r)
			table = append(table, r.report)
		})
	}
	t.Logf("\n%s", table)
}

// threeWorkers is the usual run: a worker for each node to begin with, each of
// which may go to another.
func (r *clusterRun) threeWorkers() {
	r.T.Helper()
	for i := range r.Nodes {
		r.worker(fmt.Sprintf("worker-%d", i+1))
	}
	r.submit()
	r.answered(r.total / 4)
}

// Nothing happens: what the others are compared with.
func undisturbed(r *clusterRun) {
	r.threeWorkers()
	r.check(0)
}

// The node that leads the results is killed under load, and comes back.
func leaderKilled(r *clusterRun) {
	r.threeWorkers()
	leader := r.Leader(r.js, "PELTON_RESULTS", "")
	r.Kill(leader)
	r.more(r.total / 4)
	r.Start(leader)
	r.check(1)
}

// The same for the work stream's consumer, which knows what is in whose hands.
func workLeaderKilled(r *clusterRun) {
	r.threeWorkers()
	leader := r.Leader(r.js, "PELTON_WORK", "workers-default")
	r.Kill(leader)
	r.more(r.total / 4)
	r.Start(leader)
	r.check(1)
}

// The same for the records, without which nothing may be fed.
func stateLeaderKilled(r *clusterRun) {
	r.threeWorkers()
	leader := r.Leader(r.js, "KV_PELTON_STATE", "")
	r.Kill(leader)
	r.more(r.total / 4)
	r.Start(leader)
	r.check(1)
}

// follower returns a node that does not lead the stream, and the others.
func (r *clusterRun) follower(stream string) (one *testenv.Member, others []*testenv.Member) {
	leader := r.Leader(r.js, stream, "")
	for _, node := range r.Nodes {
		if node != leader && one == nil {
			one = node
		} else {
			others = append(others, node)
		}
	}
	return one, others
}

// A node that follows is killed, and brought back on its store.
func followerKilled(r *clusterRun) {
	r.threeWorkers()
	follower, _ := r.follower("PELTON_RESULTS")
	r.Kill(follower)
	r.more(r.total / 4)
	r.Start(follower)
	r.AwaitHealthy(follower)
	r.check(1)
}

// All nodes are restarted one after the other, each once the one before is healthy.
func rollingRestart(r *clusterRun) {
	r.threeWorkers()
	for _, node := range r.Nodes {
		if r.e.LLM.Stats().Answered >= r.total {
			r.Error("the job ended before all nodes were restarted")
		}
		r.Stop(node)
		r.Start(node)
		r.AwaitHealthy(node)
	}
	r.check(len(r.Nodes))
}

// The node that leads the results is cut off from the other two, with a worker
// that knows no other node. The rest goes on without both.
func nodeCutOff(r *clusterRun) {
	r.worker("free-1")
	r.worker("free-2")
	leader := r.Leader(r.js, "PELTON_RESULTS", "")
	r.worker("stuck", leader)
	r.submit()
	r.answered(r.total / 4)
	r.Isolate(leader)
	r.more(r.total / 4)
	r.Rejoin(leader)
	r.check(1)
}

// The node that leads the results stands still for longer than an election
// takes, with its connections open, and then finds itself deposed.
func leaderPaused(r *clusterRun) {
	r.threeWorkers()
	leader := r.Leader(r.js, "PELTON_RESULTS", "")
	r.Pause(leader)
	r.more(r.total / 4)
	r.Resume(leader)
	r.check(1)
}

// noLeader is for how long workers find none: longer than one round of setting up.
const noLeader = 7 * time.Second

// Workers are started while two of three nodes are down: there is no leader of
// anything. They wait for one.
func workersBeforeLeader(r *clusterRun) {
	for _, node := range r.Nodes[1:] {
		r.Stop(node)
	}
	var workers []*testenv.Process
	for i := range r.Nodes {
		workers = append(workers, testenv.LaunchProcess(r.T, r.role(fmt.Sprintf("worker-%d", i+1))))
	}
	<-time.After(noLeader)
	for _, w := range workers {
		if w.Ready() {
			r.Error("ready, or ended, without a leader")
		}
	}
	for _, node := range r.Nodes[1:] {
		r.Start(node)
	}
	for _, w := range workers {
		w.AwaitReady()
	}
	r.submit()
	r.check(0)
}

// A job is submitted, and its state asked for, at the moment at which the
// leader of the jobs stream has gone: both wait for the next.
func submittedWithoutLeader(r *clusterRun) {
	for i := range r.Nodes {
		r.worker(fmt.Sprintf("worker-%d", i+1))
	}
	leader := r.Leader(r.js, "PELTON_JOBS", "")
	r.Kill(leader)
	r.submit()
	if state, err := r.handle.State(r.ctx); err != nil || state.Total != r.total {
		r.Errorf("right after the submit: %+v, %v", state, err)
	}
	r.Start(leader)
	r.check(1)
}

// A reader whose only node is cut off is not told that there is no result: it
// is told when it knows.
func TestClusterNoStaleMiss(t *testing.T) {
	r := newClusterRun(t, scenario{})
	broker := func(set store.Settings, nodes ...*testenv.Member) *store.Store {
		t.Helper()
		b, err := store.Open(testenv.Dial(t, r.URL(nodes...)), set)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := broker(store.Settings{Replicas: 3}, r.Nodes[:]...).Setup(r.ctx, defaultQueue); err != nil {
		t.Fatal(err)
	}
	// A leader that is cut off goes on answering as one for up to ten seconds.
	follower, others := r.follower("PELTON_RESULTS")
	writer := broker(store.Settings{Replicas: 3}, others...)
	reader := broker(store.Settings{}, follower)
	store := func(index int) {
		t.Helper()
		result := schema.Result{ID: "job." + strconv.Itoa(index), Job: "job", Index: index, Status: schema.StatusSucceeded,
			Response: &schema.Response{StatusCode: 200, Body: []byte("{}")}}
		for { // through an election, where the node cut off led something
			if _, err := writer.Results.PutOrFind(r.ctx, "default", &result, 2); err == nil {
				return
			} else if r.ctx.Err() != nil {
				t.Fatal(err)
			}
			<-time.After(100 * time.Millisecond)
		}
	}
	read := func(index int) (*schema.Result, error) {
		ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
		defer cancel()
		return reader.Results.Get(ctx, "default", "job", index)
	}
	store(0)
	if result, err := read(0); err != nil || result == nil {
		t.Fatalf("%v, %v", result, err)
	}
	r.Isolate(follower)
	store(1)
	if result, err := read(1); err == nil {
		t.Errorf("a node that is cut off was believed: %v", result)
	}
	r.Rejoin(follower)
	for {
		result, err := read(1)
		if result != nil {
			break
		}
		if err == nil || r.ctx.Err() != nil {
			t.Fatalf("after it has rejoined: %v, %v", result, err)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// An installation gets its copies when a worker asks for them, and keeps them
// when another does not.
func TestClusterCopiesAreKept(t *testing.T) {
	r := newClusterRun(t, scenario{})
	setUp := func(replicas int) {
		t.Helper()
		b, err := store.Open(r.nc, store.Settings{Replicas: replicas})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Setup(r.ctx, defaultQueue); err != nil {
			t.Fatal(err)
		}
	}
	copies := func(want int) {
		t.Helper()
		list := r.js.ListStreams(r.ctx)
		n := 0
		for info := range list.Info() {
			if n++; info.Config.Replicas != want {
				t.Errorf("%s has %d copies, want %d", info.Config.Name, info.Config.Replicas, want)
			}
		}
		if list.Err() != nil || n < 8 {
			t.Errorf("%d streams, %v", n, list.Err())
		}
	}
	setUp(0)
	copies(1)
	setUp(3)
	copies(3)
	setUp(1)
	copies(3)
}
