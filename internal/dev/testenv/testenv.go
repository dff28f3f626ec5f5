// Package testenv runs the whole of Pelton inside a test: a NATS server with a
// store on disk, an upstream that speaks HTTP on loopback, and workers.
package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/internal/nats/embednats"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// Env is a server and an upstream that end with the test.
type Env struct {
	T    testing.TB
	NATS *embednats.Server
	Dir  string // the server's store
	LLM  *faultyllm.Server
	Set  store.Settings

	mu sync.Mutex
	n  int
}

// Option changes an [Env] before it starts.
type Option func(*options)

type options struct {
	llm faultyllm.Config
	set store.Settings
	srv embednats.Options
}

// LLM sets the upstream's configuration.
func LLM(c faultyllm.Config) Option { return func(o *options) { o.llm = c } }

// Settings sets the installation's.
func Settings(s store.Settings) Option { return func(o *options) { o.set = s } }

// MaxPayload sets the broker's message limit.
func MaxPayload(n int) Option { return func(o *options) { o.srv.MaxPayload = n } }

// Listen makes a server that others can reach, at [Env.NATS]'s ClientURL.
func Listen() Option { return func(o *options) { o.srv.Port = 0 } }

// MaxStore sets how many bytes the server's streams may take.
func MaxStore(n int64) Option { return func(o *options) { o.srv.MaxStore = n } }

// SyncInterval sets how often the server tidies its files.
func SyncInterval(d time.Duration) Option { return func(o *options) { o.srv.SyncInterval = d } }

// Logger writes to the test's log when PELTON_TEST_LOG is set.
func Logger(t testing.TB) zerolog.Logger {
	level := zerolog.Disabled
	if text := os.Getenv("PELTON_TEST_LOG"); text != "" {
		level, _ = zerolog.ParseLevel(text)
	}
	return zerolog.New(zerolog.NewTestWriter(t)).Level(level).With().Timestamp().Logger()
}

// New starts server and upstream.
func New(t testing.TB, opts ...Option) *Env {
	t.Helper()
	o := options{srv: embednats.Options{Port: embednats.NoListen}}
	for _, opt := range opts {
		opt(&o)
	}
	o.srv.StoreDir, o.srv.Logger = t.TempDir(), Logger(t)
	o.set.WorkInMemory, o.set.Log = true, Logger(t)
	e := &Env{T: t, Dir: o.srv.StoreDir, Set: o.set}
	var err error
	if e.NATS, err = embednats.Start(o.srv); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.NATS.Close)
	if e.LLM, err = faultyllm.New(o.llm); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.LLM.Close() })
	return e
}

// Conn opens a connection that is closed with the test.
func (e *Env) Conn() *nats.Conn {
	e.T.Helper()
	nc, err := e.NATS.Connect()
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(nc.Close)
	return nc
}

// Listen subscribes over a connection of its own; the server knows of it before
// Listen returns, so that nothing that is published from here on is missed.
func (e *Env) Listen(subject string) *nats.Subscription {
	e.T.Helper()
	nc := e.Conn()
	sub, err := nc.SubscribeSync(subject)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		e.T.Fatal(err)
	}
	return sub
}

// Store sets the streams up over a connection of its own.
func (e *Env) Store(queues map[string]int) *store.Store {
	e.T.Helper()
	b, err := store.Open(e.Conn(), e.Set)
	if err != nil {
		e.T.Fatal(err)
	}
	if err := b.Setup(e.Ctx(), queues); err != nil {
		e.T.Fatal(err)
	}
	return b
}

// Client returns a client of the default queue.
func (e *Env) Client(options ...jobs.Option) *jobs.Client {
	e.T.Helper()
	c, err := jobs.NewClient(e.Conn(), options...)
	if err != nil {
		e.T.Fatal(err)
	}
	return c
}

// Ctx ends with the test, or after a minute at the latest, so that a test that
// hangs says where.
func (e *Env) Ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	e.T.Cleanup(cancel)
	return ctx
}

// Worker is a running worker.
type Worker struct {
	soft, hard context.CancelFunc
	done       chan struct{}
	err        error
	Conn       *nats.Conn
}

// Worker starts a worker with one slot per cap, and returns when it serves. It
// is drained with the test, unless that has been done.
func (e *Env) Worker(queues map[string]int, change ...func(*worker.Config)) *Worker {
	e.T.Helper()
	b := e.Store(queues)
	e.mu.Lock()
	e.n++
	name := fmt.Sprintf("worker-%d", e.n)
	e.mu.Unlock()
	ready := make(chan struct{})
	cfg := worker.Config{
		Store: b, Router: e.Router(), Queues: queues, Name: name,
		Log: Logger(e.T).With().Str("worker", name).Logger(), Ready: func() { close(ready) },
	}
	for _, f := range change {
		f(&cfg)
	}
	w := &Worker{done: make(chan struct{}), Conn: b.Conn()}
	var soft, hard context.Context
	soft, w.soft = context.WithCancel(context.Background())
	hard, w.hard = context.WithCancel(context.Background())
	go func() {
		defer close(w.done)
		w.err = worker.Run(soft, hard, cfg)
	}()
	select {
	case <-ready:
	case <-w.done:
		e.T.Fatal(w.err)
	}
	e.T.Cleanup(func() { _ = w.Kill() })
	return w
}

// Drain stops the worker softly and returns when it has ended.
func (w *Worker) Drain() error {
	w.soft()
	<-w.done
	w.hard()
	return w.err
}

// Kill stops the worker hard and returns when it has ended.
func (w *Worker) Kill() error {
	w.hard()
	return w.Drain()
}

// Router returns a router with the upstream as its one deployment.
func (e *Env) Router(change ...func(*router.Config)) *router.Router {
	e.T.Helper()
	cfg := &router.Config{Deployments: []router.Deployment{{ID: "mock", Group: "*", Model: "*", BaseURL: e.LLM.URL()}}, MaxConnsHint: 1024}
	for _, f := range change {
		f(cfg)
	}
	r, err := router.New(cfg)
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(r.Close)
	return r
}

// Chat is a request that the upstream answers with "You said: text"; mock, when
// not empty, is the JSON of its script for the upstream.
func Chat(text, mock string) schema.Request {
	content, _ := json.Marshal(text)
	body := `{"model":"m","messages":[{"role":"user","content":` + string(content) + `}]`
	if mock != "" {
		body += `,"mock":` + mock
	}
	return schema.Request{Body: json.RawMessage(body + "}")}
}

// Chats are n requests with the texts "0" to "n-1".
func Chats(n int) []schema.Request {
	list := make([]schema.Request, n)
	for i := range list {
		list[i] = Chat(fmt.Sprint(i), "")
	}
	return list
}

// Answer returns the text of a chat result.
func Answer(r *schema.Result) string {
	var body struct {
		Choices []struct {
			Message struct{ Content string }
		}
	}
	if r.Response == nil || json.Unmarshal(r.Response.Body, &body) != nil || len(body.Choices) == 0 {
		return ""
	}
	return body.Choices[0].Message.Content
}

// Settled returns once no job is being run and none waits: every message of a
// job is acknowledged.
func (e *Env) Settled() {
	e.T.Helper()
	client, ctx := e.Client(), e.Ctx()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		queues, err := client.Queues(ctx)
		if err != nil {
			e.T.Fatal(err)
		}
		left := 0
		for _, q := range queues {
			left += q.Owned + q.Queued
		}
		if left == 0 {
			return
		}
		<-tick.C
	}
}
