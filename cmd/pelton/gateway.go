package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/gateway"
	"pelton/internal/loopback"
	"pelton/internal/nats/natsconn"
	"pelton/internal/web"
	"pelton/jobs/store"
	"pelton/router"
)

type gatewayCmd struct {
	Conn connection `embed:""`

	HTTPAddr  string `name:"http-addr" placeholder:"HOST:PORT" help:"Where to serve (PELTON_HTTP_ADDR)."`
	Keys      string `name:"api-keys" placeholder:"FILE" help:"The keys of clients, as YAML; without it clients on this machine alone are served (PELTON_API_KEYS)."`
	MaxFile   string `name:"api-max-file" placeholder:"MIB" help:"The largest file that is taken, in MiB (PELTON_API_MAX_FILE)."`
	MaxLines  string `name:"api-max-lines" placeholder:"N" help:"The most lines of a batch; 0: as many as a job can have (PELTON_API_MAX_LINES)."`
	Name      string `placeholder:"TEXT" help:"Name of this process in logs and on the NATS server (PELTON_WORKER_NAME)."`
	LogFormat string `placeholder:"FORMAT" help:"console, json or auto (PELTON_LOG_FORMAT)."`
	URLFile   string `name:"url-file" placeholder:"FILE" help:"Write the address there once requests are taken."`
	NewKey    string `placeholder:"NAME" help:"Make a key: print its token, and its entry for the file of keys; serves nothing."`
	Queue     string `short:"q" default:"default" placeholder:"Q" help:"The queue of the new key (${default})."`
}

func (gatewayCmd) Help() string {
	return `Serves OpenAI's files and batches (/v1/files, /v1/batches, /v1/models) where no requests are run: workers elsewhere do. A worker serves the same beside its work. OpenAI's SDKs find it by OPENAI_BASE_URL=http://HOST:9321/v1. It needs NATS_URL, NATS_CONTEXT or -s, and a worker that has made the streams.

The first Ctrl-C (or SIGTERM) takes no more and gives answers under way a few seconds.

Example:

	echo keys: > keys.yaml; pelton gateway --new-key search >> keys.yaml
	pelton gateway -s nats://nats:4222 --http-addr 0.0.0.0:9321 --api-keys keys.yaml`
}

func (c *gatewayCmd) Run(a *app) error {
	if c.NewKey != "" {
		return c.newKey(a)
	}
	cfg, log, err := a.load(&c.Conn, "info",
		config.Flag{Flag: "--http-addr", Name: "PELTON_HTTP_ADDR", Value: c.HTTPAddr},
		config.Flag{Flag: "--api-keys", Name: "PELTON_API_KEYS", Value: c.Keys},
		config.Flag{Flag: "--api-max-file", Name: "PELTON_API_MAX_FILE", Value: c.MaxFile},
		config.Flag{Flag: "--api-max-lines", Name: "PELTON_API_MAX_LINES", Value: c.MaxLines},
		config.Flag{Flag: "--name", Name: "PELTON_WORKER_NAME", Value: c.Name},
		config.Flag{Flag: "--log-format", Name: "PELTON_LOG_FORMAT", Value: c.LogFormat},
	)
	if err != nil {
		return err
	}
	addr, _ := web.Address(cfg.HTTPAddr) // what is none, Listen refuses
	switch {
	case !cfg.Remote():
		return hinted(exitSetup, "`pelton worker` without NATS_URL serves the batch API itself", errors.New("the gateway has no NATS server of its own: set NATS_URL, NATS_CONTEXT or -s"))
	case cfg.HTTPOff():
		return setup(errors.New("PELTON_HTTP_ADDR is off: a gateway serves nothing else"))
	case cfg.APIKeys == "" && !loopback.Host(addr):
		return setup(fmt.Errorf("PELTON_HTTP_ADDR %s is reached from other machines, which are not served without keys: set PELTON_API_KEYS (`pelton gateway --new-key NAME` makes one)", cfg.HTTPAddr))
	}
	return c.serve(a, cfg, log)
}

// newKey prints a new token for people, and its entry for the file.
func (c *gatewayCmd) newKey(a *app) error {
	token, entry, err := gateway.NewKey(c.NewKey, c.Queue)
	if err != nil {
		return usage(err)
	}
	a.say("the token, which is shown this once: %s", token)
	_, err = fmt.Fprint(a.stdout, entry)
	return err
}

func (c *gatewayCmd) serve(a *app, cfg *config.Config, log zerolog.Logger) error {
	names, err := modelNames(a, cfg, log)
	if err != nil {
		return err
	}
	server, err := web.Listen(web.Config{Addr: cfg.HTTPAddr, Token: cfg.HTTPToken.Reveal(), Log: log})
	if err != nil {
		return setup(fmt.Errorf("PELTON_HTTP_ADDR: %w", err))
	}
	site := &httpSite{Server: server}
	defer site.close()
	nc, err := natsconn.ConnectRetry(a.soft, cfg, cfg.WorkerName, log)
	if err != nil {
		return interruptedOr(a, err)
	}
	defer nc.Close()
	defer site.close() // before what it asks goes
	broker, err := store.Open(nc, settings(cfg, log))
	if err != nil {
		return err
	}
	site.Health.Check("nats", connected(nc))
	site.Health.Check("streams", broker.Ready)
	if err := site.serveAPI(cfg, log, broker, func() []string { return names }); err != nil {
		return err
	}
	site.serving()
	a.say("ready: %s/v1, jobs by %s", server.URL(), redactedURL(nc))
	if err := writeURLFile(c.URLFile, server.URL()); err != nil {
		return setup(err)
	}
	<-a.soft.Done()
	site.draining()
	return nil
}

// connected is a check of a connection.
func connected(nc *nats.Conn) func(context.Context) error {
	return func(context.Context) error {
		if nc.IsConnected() {
			return nil
		}
		return fmt.Errorf("the connection is %s", nc.Status())
	}
}

// modelNames are those of the configuration, where it has any: the gateway itself
// calls none of them.
func modelNames(a *app, cfg *config.Config, log zerolog.Logger) ([]string, error) {
	if cfg.File == "" {
		return nil, nil
	}
	models, err := a.models(cfg, log)
	if err != nil {
		return nil, err
	}
	upstreams, err := router.New(models)
	if err != nil {
		return nil, setup(err)
	}
	defer upstreams.Close()
	return upstreams.Groups(), nil
}

// serveAPI adds OpenAI's files and batches.
func (s *httpSite) serveAPI(cfg *config.Config, log zerolog.Logger, broker *store.Store, models func() []string) error {
	var keys *gateway.Keys
	if cfg.APIKeys != "" {
		var err error
		if keys, err = gateway.LoadKeys(cfg.APIKeys); err != nil {
			return setup(err)
		}
	}
	maxFile := int64(cfg.APIMaxFile) << 20
	api := gateway.New(gateway.Config{
		Store: broker, Models: models, Keys: keys, Queue: cfg.Queues[0].Name,
		MaxFile: maxFile, MaxLines: cfg.APIMaxLines, Log: log,
	})
	s.ends = append(s.ends, api.Close)
	s.HandleLarge("/v1/", maxFile+1<<20, api)
	return nil
}
