package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/metrics"
	"pelton/internal/web"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
)

// httpSite is what a worker serves over HTTP; nil where it serves none.
type httpSite struct {
	*web.Server
	once sync.Once
	ends []func() // called by close
}

// listenHTTP begins to serve health, so that there is an answer from the first
// moment. An address that was not asked for and that another worker has is done
// without.
func listenHTTP(cfg *config.Config, log zerolog.Logger) (*httpSite, error) {
	if cfg.HTTPOff() {
		return nil, nil
	}
	server, err := web.Listen(web.Config{Addr: cfg.HTTPAddr, Token: cfg.HTTPToken.Reveal(), Log: log})
	switch {
	case err == nil:
		log.Info().Str("url", server.URL()).Msg("serving HTTP")
		return &httpSite{Server: server}, nil
	case cfg.HTTPAddr == config.Default().HTTPAddr:
		log.Info().Err(err).Msg("serving no HTTP: set PELTON_HTTP_ADDR to give this worker an address of its own, or to off")
		return nil, nil
	}
	return nil, setup(fmt.Errorf("PELTON_HTTP_ADDR: %w", err))
}

// serve adds what needs the broker and the upstreams.
func (s *httpSite) serve(cfg *config.Config, log zerolog.Logger, broker *store.Store, upstreams *router.Router, count *metrics.Metrics) error {
	if s == nil {
		return nil
	}
	s.Health.Check("nats", connected(broker.Conn()))
	s.Health.Check("streams", broker.Ready)
	s.Health.Check("deployments", func(context.Context) error { return usable(upstreams.Status()) })
	page, err := web.AddPage(s.Server, broker, cfg.Queues[0].Name, log)
	if err != nil {
		return err
	}
	s.ends = append(s.ends, page.Close)
	var queues []string
	for _, q := range cfg.Queues {
		queues = append(queues, q.Name)
	}
	count.Look(metrics.Sources{
		Board: page.Board, Storage: func(ctx context.Context) (*jobs.Storage, error) { return broker.Storage(ctx, false) }, Deployments: upstreams.Status,
		Queues: queues, Slots: cfg.Slots, Log: log,
	})
	s.Handle("GET /metrics", count.Handler())
	return s.serveAPI(cfg, log, broker, upstreams.Groups)
}

// groupsOf tells the group of each deployment.
func groupsOf(upstreams *router.Router) map[string]string {
	groups := map[string]string{}
	for _, d := range upstreams.Deployments() {
		groups[d.ID] = d.Group
	}
	return groups
}

// answerSurveys has this worker tell who asks how it is: those pages that others
// serve too.
func answerSurveys(soft context.Context, cfg *config.Config, broker *store.Store, upstreams *router.Router, count *metrics.Metrics) (stop func(), err error) {
	started, queues, made := time.Now().UTC(), capsOf(cfg.Queues), buildOf().Version
	return web.AnswerSurveys(broker.Conn(), broker.Names, func() web.Worker {
		return web.Worker{
			Name: cfg.WorkerName, Version: made, StartedAt: started, Queues: queues,
			Slots: cfg.Slots, Busy: count.Busy(), Draining: soft.Err() != nil, Deployments: upstreams.Status(),
		}
	})
}

func (s *httpSite) serving() {
	if s != nil {
		s.Health.Serving()
	}
}

func (s *httpSite) draining() {
	if s != nil {
		s.Health.Draining()
	}
}

func (s *httpSite) close() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		for _, end := range s.ends {
			end()
		}
		s.Close()
	})
}

// usable reports why not one deployment can serve anybody.
func usable(all []router.DeploymentStatus) error {
	var last router.DeploymentStatus
	for _, d := range all {
		if d.Fatal == "" {
			return nil
		}
		last = d
	}
	return fmt.Errorf("none can serve: %s: %s", last.ID, last.Fatal)
}

// health is `pelton worker --healthcheck`: the exit code says whether the worker
// on this machine takes work.
func (a *app) health(cfg *config.Config) error {
	if cfg.HTTPOff() {
		return setup(errors.New("PELTON_HTTP_ADDR is off: there is nobody to ask"))
	}
	if err := web.Probe(a.soft, cfg.HTTPAddr); err != nil {
		return &Error{Code: exitFailures, Err: err}
	}
	return nil
}
