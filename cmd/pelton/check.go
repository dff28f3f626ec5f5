package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/fleet"
	"pelton/internal/nats/natsconn"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/router/litellm"
	"pelton/schema"
)

type checkCmd struct {
	Conn connection `embed:""`
	JSON bool       `name:"json" help:"Print JSON."`

	Offline bool `help:"Look at the configuration alone: neither at NATS nor at the deployments."`

	Create   bool   `help:"First make the streams, buckets and queues that are missing, for workers that may not."`
	Queues   string `placeholder:"Q=CAP,…" help:"With --create: the queues (PELTON_QUEUES)."`
	Replicas string `placeholder:"N" help:"With --create: copies of each stream in a cluster (PELTON_REPLICAS)."`
	MaxAge   string `name:"results-max-age" placeholder:"D" help:"With --create: how long jobs and results are kept (PELTON_RESULTS_MAX_AGE)."`
}

func (checkCmd) Help() string {
	return `Looks at configuration, connection, streams and deployments. A deployment is asked for its list of models, which costs nothing. Without NATS_URL, NATS_CONTEXT or -s no NATS server needs to be there. Exits 3 when something is wrong.

Each problem of the configuration is a line of its own, with its place: FAIL where it costs a deployment or the whole file, warn where something is not used. With --offline nothing else is looked at.

A worker makes the streams when it starts. Where its credentials do not let it, somebody whose do runs this with --create once, and looks at no deployment.

Example:

	pelton check
	pelton check -s nats://nats:4222 --config config.yaml
	pelton check --offline --config config.yaml
	pelton check -s tls://nats:4222 --tlsca ca.pem --creds admin.creds --inbox-prefix _INBOX_admin --create --queues default=256,bulk=64`
}

// finding is one thing that was checked.
type finding struct {
	What    string              `json:"what"`
	OK      bool                `json:"ok"`
	Warning bool                `json:"warning,omitempty"` // it is well, but somebody should know
	Detail  string              `json:"detail"`
	Result  *router.CheckResult `json:"deployment,omitempty"`
	Stream  *jobs.StreamInfo    `json:"stream,omitempty"`
	Store   *storeUse           `json:"store,omitempty"`
}

// storeUse is what the account's streams take together.
type storeUse struct {
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"` // 0: no limit that a client is told of
}

func (c *checkCmd) Run(a *app) error {
	if c.Create && c.Offline {
		return usagef("--create needs a server: it does not go with --offline")
	}
	if !c.Create && (c.Queues != "" || c.Replicas != "" || c.MaxAge != "") {
		return usagef("--queues, --replicas and --results-max-age go with --create")
	}
	cfg, log, err := a.load(&c.Conn, "warn",
		config.Flag{Flag: "--queues", Name: "PELTON_QUEUES", Value: c.Queues},
		config.Flag{Flag: "--replicas", Name: "PELTON_REPLICAS", Value: c.Replicas},
		config.Flag{Flag: "--results-max-age", Name: "PELTON_RESULTS_MAX_AGE", Value: c.MaxAge},
	)
	if err != nil {
		return err // it says all there is to say
	}
	if c.Create {
		if err := create(a, cfg, log); err != nil {
			return interruptedOr(a, err)
		}
	}
	if c.Create {
		return c.print(a, checkNATS(a, cfg, log))
	}
	list, models := checkConfig(a, cfg)
	if c.Offline {
		return c.print(a, list)
	}
	list = append(list, checkNATS(a, cfg, log)...)
	list = append(list, checkDeployments(a, models)...)
	if a.soft.Err() != nil {
		return errInterrupted
	}
	return c.print(a, list)
}

// checkConfig looks at the configuration: a line for each problem, and what there
// is to ask; nil where there is nothing.
func checkConfig(a *app, cfg *config.Config) ([]finding, *router.Config) {
	if cfg.File == "" {
		models, err := router.FromEnv(a.env)
		if err != nil {
			return []finding{{What: "deployments", Detail: err.Error()}}, nil
		}
		return []finding{{What: "configuration", OK: true, Detail: "environment"}}, models
	}
	models, warnings, err := litellm.Load(cfg.File, a.env, cfg.AcceptUnused...)
	var list []finding
	failed := false
	for _, w := range warnings {
		place, detail, _ := strings.Cut(w.String(), ": ")
		list = append(list, finding{What: place, OK: !w.LeftOut, Warning: !w.LeftOut, Detail: detail})
		failed = failed || w.LeftOut
	}
	if err == nil {
		err = anyModel(cfg, models)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			list = append(list, finding{What: "configuration", Detail: strings.TrimSuffix(line, "\n")})
		}
		return list, nil
	}
	if !failed {
		list = append([]finding{{What: "configuration", OK: true, Detail: cfg.File}}, list...)
	}
	return list, models
}

// checkDeployments asks each deployment.
func checkDeployments(a *app, models *router.Config) (list []finding) {
	if models == nil {
		return nil
	}
	upstreams, err := router.New(models)
	if err != nil {
		return []finding{{What: "deployments", Detail: err.Error()}}
	}
	defer upstreams.Close()
	for _, r := range upstreams.Check(a.soft) {
		ok := r.Error == nil || r.Reachable && r.Authorised && r.Instead == ""
		list = append(list, finding{What: "deployment " + r.Deployment.ID, OK: ok, Warning: ok && r.Model == router.NotListed, Detail: detail(r), Result: &r})
	}
	return list
}

// create makes what is missing of the installation.
func create(a *app, cfg *config.Config, log zerolog.Logger) error {
	nc, err := a.connect(a.soft, cfg, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	broker, err := store.Open(nc, settings(cfg, log))
	if err != nil {
		return err
	}
	if err := setUp(a.soft, broker, capsOf(cfg.Queues)); err != nil {
		return setup(err)
	}
	ctx, cancel := a.brief()
	defer cancel()
	if err := fleet.Setup(ctx, nc, broker.Names, cfg.Replicas); err != nil {
		return setup(err)
	}
	return nil
}

func detail(r router.CheckResult) string {
	text := fmt.Sprintf("%s, %s", r.Deployment.BaseURL, r.Deployment.Model)
	switch {
	case r.Instead != "":
		return text + ": " + r.Error.Message + "; it lists its models at " + r.Instead + ": set api_base to that"
	case r.Error != nil:
		return text + ": " + r.Error.Message
	case !r.Reachable:
		return text + ": lists no models, and was not asked; " + r.Terms()
	case r.Model == router.NotListed:
		return text + ": answers, but does not list this model, and may refuse each request for it; " + r.Terms()
	}
	return fmt.Sprintf("%s: %.0f ms; %s", text, r.LatencyMs, r.Terms())
}

func checkNATS(a *app, cfg *config.Config, log zerolog.Logger) []finding {
	ctx, cancel := a.brief()
	defer cancel()
	nc, err := natsconn.Connect(ctx, cfg, cfg.WorkerName, log)
	var failed *natsconn.Error
	if errors.As(err, &failed) && failed.Kind == natsconn.Unreachable && !cfg.Remote() {
		return []finding{{What: "nats", OK: true, Detail: "none configured, none at " + failed.Server + ": `pelton run` and `pelton worker` bring their own"}}
	}
	if err != nil {
		return []finding{{What: "nats", Detail: err.Error()}}
	}
	defer nc.Close()
	list := []finding{{What: "nats", OK: true, Detail: fmt.Sprintf("%s, version %s", natsconn.Redact(nc.ConnectedUrl()), nc.ConnectedServerVersion())}}
	return append(list, checkStreams(ctx, settings(cfg, log).Names, nc)...)
}

func checkStreams(ctx context.Context, names schema.Names, nc *nats.Conn) []finding {
	client, err := jobs.NewClient(nc, jobs.WithPrefix(names.Prefix))
	if err != nil {
		return []finding{{What: "streams", Detail: err.Error()}}
	}
	storage, err := client.Storage(ctx)
	if err != nil {
		return []finding{{What: "streams", Detail: missing(err)}}
	}
	list := checkStore(storage)
	queues, err := client.Queues(ctx)
	if err != nil {
		return append(list, finding{What: "queues", Detail: err.Error()})
	}
	for _, q := range queues {
		list = append(list, finding{What: "queue " + q.Name, OK: true, Detail: fmt.Sprintf("cap %d, %d in flight, %d jobs", q.Cap, q.InFlight, q.Owned+q.Queued)})
	}
	running, _ := client.ListAll(ctx) // who may see queues need not see jobs
	for _, text := range waitTexts(running) {
		list = append(list, finding{What: "waiting", OK: true, Detail: text})
	}
	return list
}

// checkStore tells what each stream takes, and whether there is room for jobs.
func checkStore(s *jobs.Storage) []finding {
	use := finding{What: "store", OK: !s.Full(), Store: &storeUse{s.Bytes, s.MaxBytes}, Detail: bytesText(s.Bytes) + ", no limit that a client is told of"}
	if s.MaxBytes > 0 {
		use.Detail = fmt.Sprintf("%s of %s, %.0f %%", bytesText(s.Bytes), bytesText(s.MaxBytes), 100*float64(s.Bytes)/float64(s.MaxBytes))
	}
	if s.Full() {
		use.Detail += ": no new job is taken; remove jobs with `pelton rm`, or give the account more"
	}
	list := []finding{use}
	for _, stream := range s.Streams {
		detail := fmt.Sprintf("%d messages, %s", stream.Messages, bytesText(stream.Bytes))
		if stream.MaxBytes > 0 {
			detail += " of " + bytesText(stream.MaxBytes)
		}
		if stream.InMemory {
			detail += " in memory"
		}
		if stream.Missing {
			detail = "not there; the next `pelton worker` that starts makes it"
		}
		list = append(list, finding{What: "stream " + stream.Name, OK: !stream.Missing, Detail: detail, Stream: &stream})
	}
	return list
}

func missing(err error) string {
	if errors.Is(err, jobs.ErrNotSetUp) {
		return "not there: no `pelton worker` has run on this account"
	}
	return err.Error()
}

func (c *checkCmd) print(a *app, list []finding) error {
	good := true
	for _, f := range list {
		good = good && f.OK
	}
	if c.JSON {
		if err := writeJSON(a.stdout, map[string]any{"ok": good, "checks": list}); err != nil {
			return err
		}
	} else {
		t := table{{"RESULT", "WHAT", "DETAIL"}}
		for _, f := range list {
			mark := "ok"
			switch {
			case !f.OK:
				mark = "FAIL"
			case f.Warning:
				mark = "warn"
			}
			t = append(t, []string{mark, f.What, f.Detail})
		}
		if err := t.write(a.stdout, 0); err != nil {
			return err
		}
	}
	if !good {
		return exit(exitSetup)
	}
	return nil
}
