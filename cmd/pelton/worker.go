package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/fleet"
	"pelton/internal/metrics"
	"pelton/internal/nats/embednats"
	"pelton/internal/nats/natsconn"
	"pelton/internal/webhook"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

type workerCmd struct {
	Conn connection `embed:""`

	Queues    string `placeholder:"Q=CAP,…" help:"Queues to serve and how many requests of each may be in flight on all workers together (PELTON_QUEUES)."`
	Slots     string `placeholder:"N" help:"Calls of this process at once (PELTON_SLOTS)."`
	Name      string `placeholder:"TEXT" help:"Name of this process in logs and states (PELTON_WORKER_NAME)."`
	StoreDir  string `placeholder:"DIR" help:"Directory of the NATS server that this process runs (PELTON_STORE_DIR)."`
	Sync      string `placeholder:"WHEN" help:"How often that writes through to the disk: always, or a duration (PELTON_SYNC)."`
	Replicas  string `placeholder:"N" help:"Copies of each stream in a cluster (PELTON_REPLICAS)."`
	MaxAge    string `name:"results-max-age" placeholder:"D" help:"How long jobs and results are kept (PELTON_RESULTS_MAX_AGE)."`
	HTTPAddr  string `name:"http-addr" placeholder:"HOST:PORT" help:"Where health, metrics and the page are served, or off (PELTON_HTTP_ADDR)."`
	LogFormat string `placeholder:"FORMAT" help:"console, json or auto (PELTON_LOG_FORMAT)."`
	Listen    string `default:"127.0.0.1:4222" placeholder:"HOST:PORT" help:"Where the NATS server of this process listens; port 0: any that is free (${default})."`
	URLFile   string `name:"url-file" placeholder:"FILE" help:"Write the NATS URL there once requests are taken."`

	Healthcheck bool `help:"Start nothing; ask the worker on this machine whether it takes work, and exit 0 if it does."`
}

func (workerCmd) Help() string {
	return `Takes jobs and requests from its queues until it is stopped. Without NATS_URL, NATS_CONTEXT or -s it runs a NATS server of its own, which other processes on this machine can use.

The first Ctrl-C (or SIGTERM) takes nothing more and finishes what is in hand; the second aborts that.

Example:

	pelton worker
	pelton worker -s nats://nats:4222 --queues default=256,bulk=64 --slots 128`
}

func (c *workerCmd) Run(a *app) error {
	cfg, log, err := a.load(&c.Conn, "info",
		config.Flag{Flag: "--queues", Name: "PELTON_QUEUES", Value: c.Queues},
		config.Flag{Flag: "--slots", Name: "PELTON_SLOTS", Value: c.Slots},
		config.Flag{Flag: "--name", Name: "PELTON_WORKER_NAME", Value: c.Name},
		config.Flag{Flag: "--store-dir", Name: "PELTON_STORE_DIR", Value: c.StoreDir},
		config.Flag{Flag: "--sync", Name: "PELTON_SYNC", Value: c.Sync},
		config.Flag{Flag: "--replicas", Name: "PELTON_REPLICAS", Value: c.Replicas},
		config.Flag{Flag: "--results-max-age", Name: "PELTON_RESULTS_MAX_AGE", Value: c.MaxAge},
		config.Flag{Flag: "--http-addr", Name: "PELTON_HTTP_ADDR", Value: c.HTTPAddr},
		config.Flag{Flag: "--log-format", Name: "PELTON_LOG_FORMAT", Value: c.LogFormat},
	)
	if err != nil {
		return err
	}
	if c.Healthcheck {
		return a.health(cfg)
	}
	models, err := a.models(cfg, log)
	if err != nil {
		return err
	}
	site, err := listenHTTP(cfg, log)
	if err != nil {
		return err
	}
	defer site.close()
	models.MaxConnsHint = cfg.Slots
	set := settings(cfg, log)
	hooks, err := webhook.New(cfg.Webhooks.Reveal(), cfg.WebhookKeys.Reveal())
	if err != nil {
		return setup(fmt.Errorf("PELTON_WEBHOOKS: %w", err))
	}
	set.Callbacks = hooks
	var nc *nats.Conn
	var server *embednats.Server
	if cfg.Remote() {
		if nc, err = natsconn.ConnectRetry(a.soft, cfg, cfg.WorkerName, log); err != nil {
			return interruptedOr(a, err)
		}
	} else {
		if server, err = c.embedded(cfg, log); err != nil {
			return err
		}
		defer server.Close()
		if nc, err = server.Connect(nats.Name(cfg.WorkerName)); err != nil {
			return err
		}
		set.WorkInMemory, set.StoreUsage = true, server.StoreUsage
	}
	defer nc.Close()
	return c.serve(a, cfg, log, set, nc, server, models, site)
}

func (c *workerCmd) serve(a *app, cfg *config.Config, log zerolog.Logger, set store.Settings, nc *nats.Conn, server *embednats.Server, models *router.Config, site *httpSite) error {
	broker, err := store.Open(nc, set)
	if err != nil {
		return err
	}
	tracer, endTraces, err := a.traces(cfg, log)
	if err != nil {
		return err
	}
	defer endTraces()
	queues := capsOf(cfg.Queues)
	if err := setUp(a.soft, broker, queues); err != nil {
		return interruptedOr(a, err)
	}
	count := metrics.New(slices.Sorted(maps.Keys(queues)))
	upstreams, leave, err := joinFleet(a.soft, cfg, log, nc, models, router.WithObserver(count))
	if err != nil {
		return interruptedOr(a, err)
	}
	defer leave()
	count.Know(groupsOf(upstreams))
	if err := site.serve(cfg, log, broker, upstreams, count); err != nil {
		return err
	}
	defer site.close() // while what it asks is there
	soft, stop := context.WithCancelCause(a.soft)
	defer stop(nil)
	silent, err := answerSurveys(soft, cfg, broker, upstreams, count)
	if err != nil {
		return err
	}
	defer silent()
	go func() {
		<-soft.Done()
		site.draining()
		if errors.Is(context.Cause(soft), errInterrupted) {
			a.say("stopping: finishing what is in hand; once more to stop at once")
		}
	}()
	hard, abort := context.WithCancel(a.hard)
	defer abort()
	if server != nil {
		go keepHealthy(hard, server, log, giveUp(stop, abort))
	}
	var unready error
	err = worker.Run(soft, hard, worker.Config{
		Store: broker, Router: upstreams, Queues: queues, Slots: cfg.Slots, Name: cfg.WorkerName, Log: log, Tracer: tracer, Observer: count,
		Ready: func() {
			if unready = c.ready(a, cfg, nc, server, upstreams); unready != nil {
				stop(unready)
			}
			site.serving()
		},
	})
	var broken *unhealthyError
	switch cause := context.Cause(soft); {
	case errors.As(cause, &broken):
		return setup(broken)
	case unready != nil:
		return setup(unready)
	case a.hard.Err() != nil:
		return errInterrupted
	}
	return err
}

// joinFleet makes a router whose limits and cooldowns are those of all workers
// on the account together.
func joinFleet(ctx context.Context, cfg *config.Config, log zerolog.Logger, nc *nats.Conn, models *router.Config, options ...router.Option) (*router.Router, func(), error) {
	all, err := fleet.Join(ctx, nc, schema.Names{Prefix: cfg.Prefix}, cfg.WorkerName, log, fleet.Replicas(cfg.Replicas))
	if err != nil {
		return nil, nil, setup(err)
	}
	options = append(options, router.WithLogger(log), router.WithLimiter(all),
		router.WithCooldownSink(func(c router.Cooldown) {
			all.Announce(fleet.Cooldown(c))
		}))
	upstreams, err := router.New(models, options...)
	if err != nil {
		all.Close()
		return nil, nil, setup(err)
	}
	all.OnCooldown(func(c fleet.Cooldown) { upstreams.ApplyCooldown(router.Cooldown(c)) })
	all.OnRoom(upstreams.Wake)
	return upstreams, func() {
		all.Close()
		upstreams.Close()
	}, nil
}

// ready tells that requests are taken, and where.
func (c *workerCmd) ready(a *app, cfg *config.Config, nc *nats.Conn, server *embednats.Server, upstreams *router.Router) error {
	url := natsconn.Redact(nc.ConnectedUrl())
	if server != nil {
		url = server.ClientURL()
	}
	var names []string
	for _, d := range upstreams.Deployments() {
		names = append(names, d.ID)
	}
	if more := len(names) - 5; more > 0 {
		names = append(names[:5], fmt.Sprintf("and %d more", more))
	}
	a.say("ready: %s, queues %s, %d slots, deployments %s", url, cfg.Queues, cfg.Slots, strings.Join(names, ", "))
	return writeURLFile(c.URLFile, url)
}

// embedded starts the NATS server of this process.
func (c *workerCmd) embedded(cfg *config.Config, log zerolog.Logger) (*embednats.Server, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	number, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil || number < 0 || number > 65535 {
		return nil, usagef("--listen %q: must be HOST:PORT, like 127.0.0.1:4222", c.Listen)
	}
	server, err := embednats.Start(embednats.Options{
		StoreDir: cfg.StoreDir, Host: host, Port: number,
		SyncAlways: cfg.Sync.Always, SyncInterval: cfg.Sync.Interval, Logger: log,
	})
	if err != nil {
		return nil, setup(err)
	}
	return server, nil
}

func capsOf(queues config.Queues) map[string]int {
	caps := map[string]int{}
	for _, q := range queues {
		caps[q.Name] = q.Cap
	}
	return caps
}

// setUp makes the streams; a cluster that is starting gets a minute.
func setUp(ctx context.Context, broker *store.Store, queues map[string]int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return broker.Setup(ctx, queues)
}

// interruptedOr returns err, unless it only says that a signal came.
func interruptedOr(a *app, err error) error {
	if err != nil && a.soft.Err() != nil {
		return errInterrupted
	}
	return err
}

// unhealthyError ends a process that cannot do its work any more: its own NATS
// server has given up, or there is no room for a file.
type unhealthyError struct{ error }

// giveUp returns what ends such a process, by the two ends of its worker.
func giveUp(soft context.CancelCauseFunc, hard context.CancelFunc) func(error) {
	return func(err error) {
		soft(&unhealthyError{err})
		hard()
	}
}

// keepHealthy has a worker whose NATS server takes nothing more, as the disk is full,
// wait until there is room: it keeps the answers that it has, and begins nothing. Where
// it is not for want of room, the process is stopped.
func keepHealthy(ctx context.Context, server *embednats.Server, log zerolog.Logger, stop func(error)) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for since := (time.Time{}); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := server.Healthy()
		if why == nil {
			continue
		}
		if since.IsZero() {
			since = time.Now()
			log.Error().Err(why).Msg("this worker's own NATS server takes nothing more: answers are kept and nothing is begun until there is room")
		}
		switch err := server.Revive(); {
		case err == nil:
			log.Warn().Dur("after", time.Since(since)).Msg("there is room again: this worker's own NATS server was started again, and work goes on")
			since = time.Time{}
		case !errors.Is(err, embednats.ErrNoRoom):
			log.Error().Err(err).Msg("stopping")
			stop(fmt.Errorf("%w (%w); free space and start again", why, err))
			return
		}
	}
}

// healthEvery is how often the process's own NATS server is asked how it is.
const healthEvery = 2 * time.Second

// watchHealth has a run stopped when its NATS server takes nothing more: no
// answer could be stored, and every further one would be paid for in vain.
func watchHealth(ctx context.Context, server *embednats.Server, log zerolog.Logger, stop func(error)) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := server.Healthy(); err != nil {
				log.Error().Err(err).Msg("stopping")
				stop(fmt.Errorf("%w; free space and start again", err))
				return
			}
		}
	}
}

// writeURLFile writes all at once, so that who waits for the file reads a whole.
func writeURLFile(path, url string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path+".tmp", []byte(url+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
