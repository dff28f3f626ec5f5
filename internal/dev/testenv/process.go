package testenv

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/dev/child"
	"pelton/internal/nats/embednats"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/worker"
)

// roleVar makes a test binary play a part of its own instead of running tests.
const roleVar = "PELTON_TEST_ROLE"

// Role is what a process of its own does: a server, a worker, or both in one,
// as `pelton worker` runs without a NATS_URL.
type Role struct {
	Name     string
	Store    string         // a server on this directory
	Port     int            // of that server; 0 for any
	NATS     string         // or else the URL of a server
	LLM      string         // a worker with this upstream; empty: none
	Queues   map[string]int // of that worker
	Slots    int
	DieOf    string // a request with this text in its body kills the process
	Replicas int    // of the streams it makes; 0: 1
	LogLevel string
	Node     *Node  // or else a member of a cluster
	Binary   string // the test binary that plays it; empty: this one

	// Serve, in the place of a worker, is what it does on its connection until
	// ctx ends: one of [Services], which the test binary names in its TestMain.
	Serve string
	Usage string // a file in which it writes once a second what it uses: see [Process.Usage]

	MaxPayload int // of that server; 0: its default
}

// Main runs the tests, or the role that the environment asks for. A package
// that uses [Env.Process] calls it from its TestMain with its own runner.
func Main(run func()) {
	text := os.Getenv(roleVar)
	if text == "" {
		run()
		return
	}
	var role Role
	if err := json.Unmarshal([]byte(text), &role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := role.play(); err != nil {
		fmt.Fprintln(os.Stderr, role.Name+":", err)
		os.Exit(1)
	}
}

// play runs until standard input is closed, which the end of the test does; a
// worker then drains.
func (r Role) play() error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString(0)
		stop()
	}()
	if r.Usage != "" {
		go writeUsage(ctx, r.Usage)
	}
	if r.Node != nil {
		return r.Node.serve(ctx)
	}
	level, _ := zerolog.ParseLevel(r.LogLevel)
	log := zerolog.New(os.Stderr).Level(level).With().Str("process", r.Name).Timestamp().Logger()
	set := store.Settings{Log: log, Replicas: r.Replicas}
	connect := func() (*nats.Conn, error) {
		return nats.Connect(r.NATS, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	}
	url := r.NATS
	if r.Store != "" {
		srv, err := embednats.Start(embednats.Options{StoreDir: r.Store, Port: r.Port, MaxPayload: r.MaxPayload, Logger: log})
		if err != nil {
			return err
		}
		defer srv.Close()
		url, set.WorkInMemory = srv.ClientURL(), true
		connect = func() (*nats.Conn, error) { return srv.Connect() }
	}
	ready := func() { fmt.Println("ready", url) }
	if r.Serve != "" {
		return r.serve(ctx, connect, set)
	}
	if r.LLM == "" {
		ready()
		<-ctx.Done()
		return nil
	}
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	b, err := store.Open(nc, set)
	if err != nil {
		return err
	}
	if err := b.Setup(ctx, r.Queues); err != nil {
		return err
	}
	up, err := router.New(&router.Config{Deployments: []router.Deployment{{ID: "mock", Group: "*", Model: "*", BaseURL: r.LLM}}})
	if err != nil {
		return err
	}
	defer up.Close()
	return worker.Run(ctx, context.Background(), worker.Config{Store: b, Router: mortal{up, r.DieOf}, Queues: r.Queues, Slots: r.Slots, Name: r.Name, Log: log, Ready: ready})
}

// Services are what a process can be besides server and worker, by name. f says
// ready with where it is reached, and returns when ctx has ended. It is filled
// in before [Main] is called.
var Services = map[string]func(ctx context.Context, b *store.Store, ready func(url string)) error{}

func (r Role) serve(ctx context.Context, connect func() (*nats.Conn, error), set store.Settings) error {
	nc, err := connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	b, err := store.Open(nc, set)
	if err != nil {
		return err
	}
	if err := b.Setup(ctx, r.Queues); err != nil {
		return err
	}
	return Services[r.Serve](ctx, b, func(url string) { fmt.Println("ready", url) })
}

// mortal dies of what some request does to the process it runs in.
type mortal struct {
	*router.Router
	of string
}

func (m mortal) Do(ctx context.Context, req router.Request) router.Outcome {
	if m.of != "" && bytes.Contains(req.Body, []byte(m.of)) {
		os.Exit(exitOfIt) // nothing is handed back or closed
	}
	return m.Router.Do(ctx, req)
}

const exitOfIt = 77

// Process is a running role.
type Process struct {
	*child.Process
	T   testing.TB
	URL string // of its server

	name string
}

// StartProcess starts a role in a process of its own and returns when it is ready.
// It is ended with the test.
func StartProcess(t testing.TB, role Role) *Process {
	t.Helper()
	p := LaunchProcess(t, role)
	p.AwaitReady()
	return p
}

// LaunchProcess is [StartProcess] without the waiting, for a process that cannot
// get ready yet.
func LaunchProcess(t testing.TB, role Role) *Process {
	t.Helper()
	exe := role.Binary
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	role.LogLevel = os.Getenv("PELTON_TEST_LOG")
	if role.LogLevel == "" {
		role.LogLevel = "disabled"
	}
	cmd := exec.Command(exe)
	cmd.Env, cmd.Stderr = os.Environ(), os.Stderr
	started, err := child.Play(cmd, roleVar, role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Kill)
	return &Process{Process: started, T: t, name: role.Name}
}

// AwaitReady returns when the process is ready, and sets its URL.
func (p *Process) AwaitReady() {
	p.T.Helper()
	line := <-p.Said()
	if !strings.HasPrefix(line, "ready") {
		p.T.Fatalf("process %s did not get ready", p.name)
	}
	p.URL = strings.TrimSpace(strings.TrimPrefix(line, "ready"))
}

// Ready reports whether the process has said that it is ready, or has ended.
func (p *Process) Ready() bool { return len(p.Said()) > 0 }

// Pause stops the process in its tracks, and [Process.Resume] lets it go on.
func (p *Process) Pause() {
	p.T.Helper()
	if err := p.Process.Pause(); err != nil {
		p.T.Fatal(err)
	}
}

// Resume lets a paused process go on.
func (p *Process) Resume() {
	p.T.Helper()
	if err := p.Process.Resume(); err != nil {
		p.T.Fatal(err)
	}
}

// Dial connects to a server in another process, through whatever happens to it.
func Dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
