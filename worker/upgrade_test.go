//go:build slow

package worker_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// Workers are replaced one by one in the middle of a job by a build that adds
// fields and headers which this one does not know, and then back again. Nothing
// is lost, and since each is drained, nothing is called twice.
func TestUpgrade(t *testing.T) {
	const total, window, workers = 3000, 48, 3
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	newer := filepath.Join(t.TempDir(), "newer.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "pelton_harness", "-ldflags", "-X pelton/jobs/store/internal/jet.harness=newer", "-o", newer, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the newer worker: %v\n%s", err, out)
	}
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 100 * time.Millisecond}))
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	start := func(name, binary string) *testenv.Process {
		return testenv.StartProcess(t, testenv.Role{
			Name: name, Binary: binary, NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: window,
		})
	}
	var serving []*testenv.Process
	for i := range workers {
		serving = append(serving, start(fmt.Sprintf("old-%d", i), ""))
	}
	nc := testenv.Dial(t, server.URL)
	client, err := jobs.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	h, err := client.Submit(ctx, schema.Job{ID: "upgrade", Requests: testenv.Chats(total), Concurrency: window})
	if err != nil {
		t.Fatal(err)
	}
	answered := func(n int) {
		t.Helper()
		if err := e.LLM.Wait(ctx, func(s faultyllm.Stats) bool { return s.Answered >= n }); err != nil {
			t.Fatalf("waiting for %d answers: %v (%+v)", n, err, e.LLM.Stats())
		}
	}
	// Six replacements, each with work going on before and after it.
	for n := range 2 * workers {
		answered((n + 1) * total / (2*workers + 2))
		name, binary := fmt.Sprintf("new-%d", n), newer
		if n >= workers {
			name, binary = fmt.Sprintf("old-%d", n), ""
		}
		next := start(name, binary)
		serving[n%workers].Stop()
		serving[n%workers] = next
	}
	if done := e.LLM.Stats().Answered; done >= total {
		t.Error("the job was over before the last worker was replaced")
	}
	index := 0
	for r, err := range h.Ordered(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Index != index || testenv.Answer(r) != "You said: "+strconv.Itoa(index) {
			t.Fatalf("result %d: index %d, %q, %v", index, r.Index, testenv.Answer(r), r.Err())
		}
		index++
	}
	state, err := h.Wait(ctx)
	if err != nil || index != total || state.Counts != (schema.Counts{Succeeded: total}) {
		t.Errorf("%d results, %+v, %v", index, state, err)
	}
	if s := e.LLM.Stats(); s.Calls != total {
		t.Errorf("%d calls of %d requests", s.Calls, total)
	}
	byNewer := resultsWith(ctx, t, nc.ConnectedUrl(), "Pelton-X-Of-A-Newer-Version", total)
	t.Logf("%d of %d results were written by the newer build", byNewer, total)
	if byNewer == 0 || byNewer == total {
		t.Error("not both builds took part")
	}
}

// resultsWith counts the job's stored results that have a header.
func resultsWith(ctx context.Context, t *testing.T, url, header string, total int) (n int) {
	t.Helper()
	js, err := jetstream.New(testenv.Dial(t, url))
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(ctx, "PELTON_RESULTS", jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"pelton.results.default.upgrade.*"}, HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range total + 1 { // and the end
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if m.Headers().Get(header) != "" && m.Headers().Get(schema.HeaderIndex) != schema.EndToken {
			n++
		}
	}
	return n
}
