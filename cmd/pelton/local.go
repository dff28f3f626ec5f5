package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/faultyllm"
	"pelton/internal/nats/embednats"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/worker"
)

// site is where a job runs: on a service elsewhere, or in this process, which
// then is a server, a worker and a client in one.
type site struct {
	nc     *nats.Conn
	broker *store.Store
	name   string // of the server, without credentials; empty: our own
	queue  string
	log    zerolog.Logger

	server  *embednats.Server // nil for a service elsewhere, and so are the others
	soft    context.CancelFunc
	hard    context.CancelFunc
	stopped chan struct{} // closed when the worker holds nothing any more
	err     error         // why it ended, to be read after stopped
	closers []func()
}

func (s *site) client() *jobs.Client { return jobs.ClientOn(s.broker, s.queue) }

// local reports whether the job runs in this process.
func (s *site) local() bool { return s.server != nil }

// reason returns why something failed: what is wrong with our own server, or err.
func (s *site) reason(err error) error {
	if s.local() && codeOf(err) != exitInterrupted {
		if broken := s.server.Healthy(); broken != nil {
			return setup(fmt.Errorf("%w; free space and start again", broken))
		}
	}
	return err
}

// close ends everything, the last begun first. Calling it again does nothing.
func (s *site) close() {
	if s.stopped != nil {
		s.hard()
		s.soft()
		<-s.stopped
	}
	for _, end := range slices.Backward(s.closers) {
		end()
	}
	s.closers, s.stopped = nil, nil
}

// remote is a service that is reached over the network.
func (a *app) remote(cfg *config.Config, log zerolog.Logger, queue string) (*site, error) {
	nc, err := a.connect(a.soft, cfg, log)
	if err != nil {
		return nil, err
	}
	set := settings(cfg, log)
	set.AskService = true
	broker, err := store.Open(nc, set)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &site{nc: nc, broker: broker, name: redactedURL(nc), queue: queue, log: log, closers: []func(){nc.Close}}, nil
}

// openStore starts a server on a store directory, with nobody at work on it.
func (a *app) openStore(cfg *config.Config, log zerolog.Logger, dir, queue string) (*site, error) {
	server, err := embednats.Start(embednats.Options{
		StoreDir: dir, Port: embednats.NoListen, Logger: log,
		SyncAlways: cfg.Sync.Always, SyncInterval: cfg.Sync.Interval,
	})
	var locked *embednats.LockedError
	if errors.As(err, &locked) {
		return nil, setup(fmt.Errorf("another run is at work on it: the store %s is in use by process %d", dir, locked.PID))
	}
	if err != nil {
		return nil, setup(err)
	}
	nc, err := server.Connect(nats.Name(cfg.WorkerName))
	if err != nil {
		server.Close()
		return nil, setup(err)
	}
	set := settings(cfg, log)
	set.WorkInMemory, set.Alone, set.StoreUsage, set.Replicas = true, true, server.StoreUsage, 1
	broker, err := store.Open(nc, set)
	if err != nil {
		nc.Close()
		server.Close()
		return nil, setup(err)
	}
	return &site{nc: nc, broker: broker, queue: queue, log: log, server: server, closers: []func(){server.Close, nc.Close}}, nil
}

// work starts the worker of a store that was opened, and returns when it takes
// requests.
func (s *site) work(a *app, cfg *config.Config, log zerolog.Logger, models *router.Config, concurrency int) error {
	garbageRoom()
	slots := max(cfg.Slots, concurrency)
	models.MaxConnsHint = max(models.MaxConnsHint, concurrency)
	upstreams, err := router.New(models, router.WithLogger(log))
	if err != nil {
		return setup(err)
	}
	s.closers = append(s.closers, upstreams.Close)
	tracer, endTraces, err := a.traces(cfg, log)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, endTraces)
	if err := reachable(a.soft, upstreams); err != nil {
		return setup(err)
	}
	queues := map[string]int{s.queue: slots}
	for _, q := range cfg.Queues {
		if q.Name == s.queue {
			queues[q.Name] = max(q.Cap, concurrency)
		}
	}
	if err := setUp(a.soft, s.broker, queues); err != nil {
		return interruptedOr(a, err)
	}
	soft, endSoft := context.WithCancelCause(context.Background())
	hard, endHard := context.WithCancel(a.hard)
	s.soft, s.hard, s.stopped = func() { endSoft(nil) }, endHard, make(chan struct{})
	end := giveUp(endSoft, endHard)
	if s.server != nil {
		go watchHealth(soft, s.server, log, end)
	}
	ready := make(chan struct{})
	go func() {
		defer close(s.stopped)
		s.err = worker.Run(soft, hard, worker.Config{
			Store: s.broker, Router: upstreams, Queues: queues, Slots: slots, Name: cfg.WorkerName, Log: log, Tracer: tracer,
			Ready: func() { close(ready) }, HandedBack: func(err error) { noRoom(err, end) },
		})
		if broken := (*unhealthyError)(nil); errors.As(context.Cause(soft), &broken) {
			s.err = broken
		}
	}()
	select {
	case <-ready:
		return nil
	case <-s.stopped:
		return setup(s.err)
	}
}

// noRoom ends a run that cannot keep a file of its own, its input as a rule: it has
// nothing else to do until there is room. A service waits for that.
func noRoom(err error, end func(error)) {
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		end(fmt.Errorf("%w; make room for it, or set TMPDIR to a directory that has some", err))
	}
}

// startMock starts the upstream of a run with --mock, as its only deployment.
func startMock(knobs faultyllm.Config) (*router.Config, func(), error) {
	server, err := faultyllm.New(knobs)
	if err != nil {
		return nil, nil, usage(err)
	}
	if err := server.Start(""); err != nil {
		return nil, nil, setup(err)
	}
	models := &router.Config{Deployments: []router.Deployment{{ID: "mock", Group: "*", Model: "*", BaseURL: server.URL()}}}
	return models, func() { _ = server.Close() }, nil
}

// lastStored returns the sequence of the last message of the results stream, 0
// when there is none. In a store of a run's own it belongs to its only job.
func (s *site) lastStored(ctx context.Context) (uint64, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, s.broker.Names.ResultsStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return 0, nil
	}
	return state.LastSeq, nil
}

// temporaryStore is the store of a run that cannot be resumed.
func temporaryStore() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "pelton-run-*")
	if err != nil {
		return "", nil, setup(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
