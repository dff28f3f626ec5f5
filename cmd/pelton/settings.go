package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/nats/natsconn"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/router/litellm"
	"pelton/schema"
)

// connection are the flags of the nats CLI, and what else every verb that talks
// to a service takes.
type connection struct {
	Server   string `short:"s" group:"connection" placeholder:"URL" help:"NATS server (NATS_URL)."`
	Context  string `group:"connection" placeholder:"NAME" help:"Context of the nats CLI (NATS_CONTEXT)."`
	Creds    string `group:"connection" placeholder:"FILE" help:"Credentials file (NATS_CREDS)."`
	User     string `group:"connection" placeholder:"NAME" help:"User name, or a token (NATS_USER)."`
	Password string `group:"connection" placeholder:"TEXT" help:"Password (NATS_PASSWORD)."`
	Nkey     string `group:"connection" placeholder:"FILE" help:"File with an nkey seed (NATS_NKEY)."`
	TLSCert  string `name:"tlscert" group:"connection" placeholder:"FILE" help:"TLS client certificate (NATS_CERT)."`
	TLSKey   string `name:"tlskey" group:"connection" placeholder:"FILE" help:"TLS private key (NATS_KEY)."`
	TLSCA    string `name:"tlsca" group:"connection" placeholder:"FILE" help:"Authorities to trust (NATS_CA)."`
	Inbox    string `name:"inbox-prefix" group:"connection" placeholder:"PREFIX" help:"Prefix of the subjects that answers come to (NATS_INBOX_PREFIX)."`

	Config       string `placeholder:"FILE" help:"Models and settings (PELTON_CONFIG)."`
	AcceptUnused string `name:"accept-unused" placeholder:"NAME,…" help:"Settings of that file that need not be carried out, such as guardrails (PELTON_ACCEPT_UNUSED)."`
	LogLevel     string `placeholder:"LEVEL" help:"trace, debug, info, warn, error or disabled (PELTON_LOG_LEVEL)."`
}

// flags are those that were given, as settings.
func (c *connection) flags() []config.Flag {
	list := given(
		config.Flag{Flag: "--server", Name: "NATS_URL", Value: c.Server},
		config.Flag{Flag: "--context", Name: "NATS_CONTEXT", Value: c.Context},
		config.Flag{Flag: "--creds", Name: "NATS_CREDS", Value: c.Creds},
		config.Flag{Flag: "--user", Name: "NATS_USER", Value: c.User},
		config.Flag{Flag: "--password", Name: "NATS_PASSWORD", Value: c.Password},
		config.Flag{Flag: "--nkey", Name: "NATS_NKEY", Value: c.Nkey},
		config.Flag{Flag: "--tlscert", Name: "NATS_CERT", Value: c.TLSCert},
		config.Flag{Flag: "--tlskey", Name: "NATS_KEY", Value: c.TLSKey},
		config.Flag{Flag: "--tlsca", Name: "NATS_CA", Value: c.TLSCA},
		config.Flag{Flag: "--inbox-prefix", Name: "NATS_INBOX_PREFIX", Value: c.Inbox},
		config.Flag{Flag: "--config", Name: "PELTON_CONFIG", Value: c.Config},
		config.Flag{Flag: "--accept-unused", Name: "PELTON_ACCEPT_UNUSED", Value: c.AcceptUnused},
		config.Flag{Flag: "--log-level", Name: "PELTON_LOG_LEVEL", Value: c.LogLevel},
	)
	if c.Context != "" && c.Server == "" {
		// A context that is named here beats an address from the environment.
		list = append(list, config.Flag{Flag: "--context", Name: "NATS_URL"})
	}
	return list
}

func given(flags ...config.Flag) []config.Flag {
	list := flags[:0]
	for _, f := range flags {
		if f.Value != "" {
			list = append(list, f)
		}
	}
	return list
}

// load reads the configuration. The level is what logs at least where neither
// flag nor variable says so: a command that a person waits for says less than a
// service.
func (a *app) load(c *connection, level string, more ...config.Flag) (*config.Config, zerolog.Logger, error) {
	cfg, err := config.Load(append(c.flags(), given(more...)...)...)
	if err != nil {
		return nil, zerolog.Nop(), setup(err)
	}
	if set, _ := a.env("PELTON_LOG_LEVEL"); c.LogLevel == "" && set == "" && cfg.LogLevel == config.Default().LogLevel {
		cfg.LogLevel = cmp.Or(level, cfg.LogLevel)
	}
	return cfg, a.logger(cfg, a.notes), nil
}

// logger writes to out: for people on a terminal, as JSON elsewhere.
func (a *app) logger(cfg *config.Config, out io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(cfg.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // Load has judged it
	}
	_, tty := terminal(a.stderr)
	if cfg.LogFormat == "console" || cfg.LogFormat == "auto" && tty {
		out = zerolog.ConsoleWriter{Out: out, NoColor: !a.colours(a.stderr), TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// connect connects to a running service.
func (a *app) connect(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*nats.Conn, error) {
	nc, err := natsconn.Connect(ctx, cfg, cfg.WorkerName, log)
	if err != nil && a.soft.Err() != nil {
		return nil, errInterrupted
	}
	return nc, err
}

// settings are what jobs needs to know of the configuration.
func settings(cfg *config.Config, log zerolog.Logger) store.Settings {
	return store.Settings{
		Names: schema.Names{Prefix: cfg.Prefix}, Replicas: cfg.Replicas,
		ResultsMaxAge: cfg.ResultsMaxAge, ReplyAllow: cfg.ReplyAllow, Log: log,
		AutoConcurrency: cfg.Enabled(config.AdaptiveConcurrency),
	}
}

// service is a connection to a running service, for the verbs around jobs.
type service struct {
	nc     *nats.Conn
	client *jobs.Client
	queue  string
}

func (s *service) close() { s.nc.Close() }

// dial connects for a verb on the jobs of one queue.
func (a *app) dial(c *connection, queue string) (*service, error) {
	if !schema.ValidQueue(queue) {
		return nil, usagef("--queue %q: must be 1 to %d letters, digits, - and _", queue, schema.MaxIDLength)
	}
	cfg, log, err := a.load(c, "warn")
	if err != nil {
		return nil, err
	}
	nc, err := a.connect(a.soft, cfg, log)
	if err != nil {
		return nil, err
	}
	client, err := jobs.NewClient(nc, jobs.WithQueue(queue), jobs.WithPrefix(cfg.Prefix), jobs.WithLogger(log))
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &service{nc: nc, client: client, queue: queue}, nil
}

// brief bounds a question to the broker that a person waits for.
func (a *app) brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.soft, 15*time.Second)
}

// models reads what the router is to serve.
func (a *app) models(cfg *config.Config, log zerolog.Logger) (*router.Config, error) {
	if cfg.File == "" {
		models, err := router.FromEnv(a.env)
		if err != nil {
			return nil, hinted(exitSetup, "to try without an upstream: pelton run --mock FILE", err)
		}
		models.Adaptive = cfg.Enabled(config.AdaptiveConcurrency)
		return models, nil
	}
	models, warnings, err := litellm.Load(cfg.File, a.env, cfg.AcceptUnused...)
	for _, w := range warnings {
		log.Warn().Msg(w.String())
	}
	if err == nil {
		err = anyModel(cfg, models)
	}
	if err != nil {
		return nil, setup(err)
	}
	models.Adaptive = models.Adaptive || cfg.Enabled(config.AdaptiveConcurrency)
	return models, nil
}

// anyModel says that a file has no model that could be asked.
func anyModel(cfg *config.Config, models *router.Config) error {
	if len(models.Deployments) > 0 {
		return nil
	}
	return fmt.Errorf("%s: model_list lists no model: nothing can be asked", cfg.File)
}

// redactedURL is where nc is connected to, without credentials.
func redactedURL(nc *nats.Conn) string { return natsconn.Redact(nc.ConnectedUrl()) }
