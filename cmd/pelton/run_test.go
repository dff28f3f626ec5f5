package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pelton/internal/faultyllm"
	"pelton/internal/nats/embednats"
)

// bench is a command run inside the test, with an upstream that the test holds.
type bench struct {
	t       *testing.T
	llm     *faultyllm.Server
	dir     string
	signals chan os.Signal
	out     safeBuffer
	err     safeBuffer
}

// safeBuffer can be read while it is written.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newBench(t *testing.T) *bench {
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		// nats.go leaves this one behind, for good, when a connection is closed
		// before its first asynchronous publish.
		goleak.VerifyNone(t, goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
	})
	llm, err := faultyllm.New(faultyllm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := llm.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = llm.Close() })
	t.Setenv("OPENAI_BASE_URL", llm.URL())
	t.Setenv("OPENAI_API_KEY", "")
	t.Setenv("NATS_URL", "")
	t.Setenv("HOME", t.TempDir())
	return &bench{t: t, llm: llm, dir: t.TempDir(), signals: make(chan os.Signal, 3)}
}

// prompts writes n requests with the texts 0 to n-1.
func (b *bench) prompts(n int) string { return b.padded(n, 0) }

// padded makes each of them longer.
func (b *bench) padded(n, by int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"custom_id":"c%d","body":{"model":"m","user":"%s","messages":[{"role":"user","content":"%d"}]}}`+"\n",
			i, strings.Repeat("x", by), i)
	}
	return b.write("in.jsonl", text.String())
}

func (b *bench) write(name, text string) string {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// run runs a command to its end and returns its exit code.
func (b *bench) run(args ...string) int { return <-b.start(args...) }

func (b *bench) start(args ...string) <-chan int {
	done := make(chan int, 1)
	go func() {
		done <- run(process{args: args, stdin: strings.NewReader(""), stdout: &b.out, stderr: &b.err, env: os.LookupEnv, signals: b.signals})
	}()
	return done
}

// until waits for what the test has brought about.
func (b *bench) until(what string, so func() bool) {
	b.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			b.t.Fatalf("%s: does not happen\n%s", what, b.err.String())
		}
	}
}

func (b *bench) said(text string) func() bool {
	return func() bool { return strings.Contains(b.err.String(), text) }
}

// indexes reads the indexes in a file of results, with the text of each answer
// checked against its index.
func (b *bench) indexes(path string) []int {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	var list []int
	for line := range strings.Lines(string(data)) {
		var r struct {
			ID       string
			Job      string
			Index    int
			CustomID string `json:"custom_id"`
			Status   string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatalf("%q: %v", line, err)
		}
		if r.CustomID != fmt.Sprintf("c%d", r.Index) || r.ID != fmt.Sprintf("%s.%d", r.Job, r.Index) ||
			r.Status == "succeeded" && !strings.Contains(line, fmt.Sprintf("You said: %d\"", r.Index)) {
			b.t.Errorf("the index does not fit: %s", line)
		}
		list = append(list, r.Index)
	}
	return list
}

func (b *bench) complete(path string, n int) {
	b.t.Helper()
	got := b.indexes(path)
	for i, index := range got {
		if index != i {
			b.t.Fatalf("indexes %v", got)
		}
	}
	if len(got) != n {
		b.t.Fatalf("%d results, want %d: %v", len(got), n, got)
	}
}

// The first signal finishes what is in flight and writes it; --resume runs the
// rest. No request is called twice.
func TestInterruptAndResume(t *testing.T) {
	b := newBench(t)
	in, out := b.prompts(20), filepath.Join(b.dir, "out.jsonl")
	release := b.llm.Hold()
	done := b.start("run", in, "-o", out, "-c", "4")
	b.until("4 calls in flight", func() bool { return b.llm.Stats().InFlight == 4 })
	b.signals <- os.Interrupt
	b.until("a word about it", b.said("stopping: finishing the calls in flight"))
	release()
	if code := <-done; code != exitInterrupted {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	// The word is said while the worker stops: a few more may have been taken.
	n := b.llm.Stats().Calls
	if want := fmt.Sprintf("stopped: %d of 20 requests have succeeded; to go on: pelton run %s -o %s -c 4 --resume", n, in, out); !b.said(want)() {
		t.Errorf("%s\nwant %s", b.err.String(), want)
	}
	if got := b.indexes(out); len(got) != n || n < 4 || n > 16 {
		t.Fatalf("%v after %d calls", got, n)
	}
	if code := b.run("run", in, "-o", out, "-c", "4", "--resume"); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	b.complete(out, 20)
	if s := b.llm.Stats(); s.Calls != 20 || s.Duplicates != 0 {
		t.Errorf("%d calls, %d of them again", s.Calls, s.Duplicates)
	}
	if _, err := os.Stat(out + ".pelton"); err == nil {
		t.Error("the directory beside the output is still there")
	}
}

// The second signal aborts what is in flight. A resume that is interrupted in
// turn can be gone on with.
func TestInterruptTwice(t *testing.T) {
	b := newBench(t)
	in, out := b.prompts(12), filepath.Join(b.dir, "out.jsonl")
	args := []string{"run", in, "-o", out, "-c", "3", "--resume"}
	for round := range 2 {
		before := b.llm.Stats().Calls
		release := func() {}
		if round == 0 {
			release = b.llm.Hold()
		} else if err := b.llm.Update(func(c *faultyllm.Config) { c.Latency = 20 * time.Millisecond }); err != nil {
			t.Fatal(err)
		}
		done := b.start(args...)
		b.until("calls", func() bool { return b.llm.Stats().Calls >= before+5 || round == 0 && b.llm.Stats().InFlight == 3 })
		b.signals <- os.Interrupt
		if round == 0 {
			b.until("a word about it", b.said("stopping"))
			b.signals <- os.Interrupt
		}
		code := <-done
		release()
		if code != exitInterrupted {
			t.Fatalf("round %d: exit code %d\n%s", round, code, b.err.String())
		}
		b.indexes(out) // whole lines
	}
	paid := b.llm.Stats().Answered
	if code := b.run(args...); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	b.complete(out, 12)
	if s := b.llm.Stats(); s.DuplicateAnswers != 0 || paid == 0 {
		t.Errorf("%d answers were paid for twice, %d came before", s.DuplicateAnswers, paid)
	}
}

// Without a file there is nothing to go on with, and that is said.
func TestInterruptStdout(t *testing.T) {
	b := newBench(t)
	release := b.llm.Hold()
	done := b.start("run", b.prompts(100), "-c", "2")
	b.until("calls in flight", func() bool { return b.llm.Stats().InFlight == 2 })
	b.signals <- os.Interrupt
	b.until("a word about it", b.said("stopping"))
	release()
	code, n := <-done, strings.Count(b.out.String(), "\n")
	if want := fmt.Sprintf("stopped: %d of 100 results were written; a run with -o FILE", n); code != exitInterrupted || n < 2 || !b.said(want)() {
		t.Errorf("exit code %d, %d lines\n%s", code, n, b.err.String())
	}
}

// On a service an interrupted run cancels its job and writes what has finished;
// a resumed one takes from the service what is stored there.
func TestInterruptRemote(t *testing.T) {
	b := newBench(t)
	url := filepath.Join(b.dir, "nats.url")
	worker := &bench{t: t, signals: make(chan os.Signal, 3)}
	stopped := worker.start("worker", "--listen", "127.0.0.1:0", "--store-dir", filepath.Join(b.dir, "store"), "--url-file", url)
	b.until("the worker is ready", func() bool { _, err := os.Stat(url); return err == nil })
	server, _ := os.ReadFile(url)
	in, out := b.prompts(10), filepath.Join(b.dir, "out.jsonl")
	args := []string{"run", in, "-s", strings.TrimSpace(string(server)), "-o", out, "-c", "2"}

	if err := b.llm.Update(func(c *faultyllm.Config) { c.Latency = 30 * time.Millisecond }); err != nil {
		t.Fatal(err)
	}
	done := b.start(args...)
	b.until("5 calls", func() bool { return b.llm.Stats().Calls >= 5 })
	b.signals <- os.Interrupt
	if code := <-done; code != exitInterrupted || !b.said("stopping: cancelling the job")() {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	b.indexes(out)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	kept := strings.Count(string(text), `"status":"succeeded"`)
	// An answer that was on its way when the cancel came is lost, and only that.
	lost := b.llm.Stats().Answered - kept
	if kept < 3 || lost < 0 || lost > 2 {
		t.Fatalf("%d results kept and %d answers lost", kept, lost)
	}
	// What the output lost is on the service still.
	if err := os.Truncate(out, 0); err != nil {
		t.Fatal(err)
	}
	if code := b.run(append(args, "--resume")...); code != exitOK || !b.said(fmt.Sprintf("took %d more results", kept))() {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	b.complete(out, 10)
	if again := b.llm.Stats().DuplicateAnswers; again > lost {
		t.Errorf("%d answers were paid for twice, of which %d were cut off", again, lost)
	}
	worker.signals <- os.Interrupt
	if code := <-stopped; code != exitOK {
		t.Errorf("the worker: exit code %d\n%s", code, worker.err.String())
	}
}

// A job that nobody takes is waited for, and the reason said.
func TestNoWorker(t *testing.T) {
	b := newBench(t)
	store := filepath.Join(b.dir, "store")
	url := filepath.Join(b.dir, "nats.url")
	worker := &bench{t: t, signals: make(chan os.Signal, 3)}
	stopped := worker.start("worker", "--listen", "127.0.0.1:0", "--store-dir", store, "--url-file", url)
	b.until("the worker is ready", func() bool { _, err := os.Stat(url); return err == nil })
	worker.signals <- os.Interrupt
	<-stopped
	server, err := embednats.Start(embednats.Options{StoreDir: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	done := b.start("run", b.prompts(1), "-s", server.ClientURL())
	b.until("a word about it", b.said("no worker serves the queue default yet; waiting"))
	b.signals <- os.Interrupt
	b.until("a word about it", b.said("stopping"))
	b.signals <- os.Interrupt
	if code := <-done; code != exitInterrupted {
		t.Errorf("exit code %d\n%s", code, b.err.String())
	}
}

// A large input is streamed, and resumed by its remaining lines.
func TestLargeInput(t *testing.T) {
	b := newBench(t)
	const n = 300
	in, out := b.padded(n, 2*inlineBytes/n), filepath.Join(b.dir, "out.jsonl")
	if err := b.llm.Update(func(c *faultyllm.Config) { c.Faults = faultyllm.Rates{"400": 0.2} }); err != nil {
		t.Fatal(err)
	}
	if code := b.run("run", in, "-o", out, "-c", "64"); code != exitFailures {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	if err := b.llm.Update(func(c *faultyllm.Config) { c.Faults = nil }); err != nil {
		t.Fatal(err)
	}
	if code := b.run("run", in, "-o", out, "-c", "64", "--resume"); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	b.complete(out, n)
}

// Two runs into one file do not get in each other's way: the second is refused,
// whatever it was told to do with the file.
func TestOneWriter(t *testing.T) {
	b := newBench(t)
	in, out := b.prompts(4), filepath.Join(b.dir, "out.jsonl")
	release := b.llm.Hold()
	done := b.start("run", in, "-o", out)
	b.until("calls in flight", func() bool { return b.llm.Stats().InFlight == 4 })
	for _, flag := range []string{"--resume", "--overwrite", "--order=input"} {
		other := &bench{t: t}
		if code := other.run("run", in, "-o", out, flag); code != exitSetup || !other.said("out.jsonl: another run is writing it")() {
			t.Errorf("%s: exit code %d\n%s", flag, code, other.err.String())
		}
	}
	release()
	if code := <-done; code != exitOK {
		t.Fatalf("exit code %d\n%s", code, b.err.String())
	}
	b.complete(out, 4)
	if _, err := os.Stat(out + ".pelton"); err == nil {
		t.Error("the directory beside the output is still there")
	}
}

// What is above a limit is told before anything runs.
func TestAboveLimits(t *testing.T) {
	b := newBench(t)
	body := func(content string) string {
		return `{"model":"m","messages":[` + content + "]}\n"
	}
	for name, test := range map[string]struct{ file, text, want string }{
		"depth":       {"deep.jsonl", body(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)), "nests 1002 deep"},
		"length":      {"long.jsonl", body(`"` + strings.Repeat("x", 65<<20) + `"`), "longer than 64 MiB"},
		"metadata":    {"job.json", `{"metadata":{"a":"` + strings.Repeat("x", 70_000) + `"},"requests":[` + body("") + `]}`, "metadata: "},
		"tags":        {"tags.json", `{"tags":[` + strings.Repeat(`"a",`, 32) + `"a"],"requests":[` + body("") + `]}`, "tags: "},
		"tag":         {"tag.json", `{"tags":["` + strings.Repeat("x", 200) + `"],"requests":[` + body("") + `]}`, "tags"},
		"reply":       {"reply.json", `{"reply":"` + strings.Repeat("x", 600) + `","requests":[` + body("") + `]}`, "reply: "},
		"concurrency": {"wide.json", `{"concurrency":10001,"requests":[` + body("") + `]}`, "concurrency: "},
		"id":          {"name.json", `{"id":"` + strings.Repeat("x", 65) + `","requests":[` + body("") + `]}`, "id: "},
		"max cost":    {"cost.json", `{"max_cost":1e12,"requests":[` + body("") + `]}`, "max_cost: "},
		"custom id":   {"id.jsonl", `{"custom_id":"` + strings.Repeat("x", 2000) + `","body":` + strings.TrimSpace(body("")) + "}\n", "custom_id: "},
	} {
		t.Run(name, func(t *testing.T) {
			one := &bench{t: t, dir: b.dir}
			path := one.write(test.file, test.text)
			if code := one.run("run", "--mock", path); code != exitUsage || !one.said(test.want)() {
				t.Errorf("exit code %d, want %q in:\n%s", code, test.want, one.err.String())
			}
			if strings.Contains(one.err.String(), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") {
				t.Error("the message repeats the input")
			}
		})
	}
	if calls := b.llm.Stats().Calls; calls != 0 {
		t.Errorf("%d calls", calls)
	}
}
