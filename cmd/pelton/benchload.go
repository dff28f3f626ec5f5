package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/benchmark"
	"pelton/internal/config"
	"pelton/jobs"
	"pelton/router"
	"pelton/schema"
)

// benchLoad is Pelton as bench measures it: the site of a run, with a job for
// each list of requests.
type benchLoad struct {
	site        *site
	concurrency int

	begun *jobs.Handle // by Begin

	mu   sync.Mutex
	past []*jobs.Handle // jobs that have ended
}

// openBench opens the site: with a server of its own, as run does, or as a
// client and worker of another.
func (a *app) openBench(s benchmark.Setup) (benchmark.Load, error) {
	cfg := config.Default()
	cfg.Prefix, cfg.NATSURL, cfg.LogLevel = s.Prefix, s.NATS, "warn"
	if s.Jobs > 1 {
		cfg.Slots = s.InFlight // the bound of all jobs together
	}
	log := a.logger(cfg, a.notes)
	open := func() (*site, error) {
		if s.NATS == "" {
			return a.openStore(cfg, log, s.Dir, schema.DefaultQueue)
		}
		place, err := a.remote(cfg, log, schema.DefaultQueue)
		if err == nil {
			place.closers = append(place.closers, func() { removeStreams(place.nc, s.Prefix) })
		}
		return place, err
	}
	place, err := open()
	if err != nil {
		return nil, err
	}
	load := &benchLoad{site: place, concurrency: s.InFlight}
	models := &router.Config{Deployments: []router.Deployment{{ID: "bench", Group: "*", Model: "*", BaseURL: s.Upstream}}}
	if err := place.work(a, cfg, log, models, s.InFlight); err != nil {
		load.Close()
		return nil, err
	}
	return load, nil
}

func (l *benchLoad) Run(ctx context.Context, list benchmark.Requests, take func([]byte) error) error {
	h, err := l.submit(ctx, list)
	if err != nil {
		return err
	}
	for r, err := range h.Collect(ctx, schema.OrderInput) {
		switch {
		case err != nil:
			return err
		case r.Status != schema.StatusSucceeded:
			return r.Err()
		}
		if err := take(r.Response.Body); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past = append(l.past, h)
	return nil
}

// Begin begins a job for Cancel.
func (l *benchLoad) Begin(ctx context.Context, list benchmark.Requests) (err error) {
	l.begun, err = l.submit(ctx, list)
	return err
}

// Cancel ends the job of Begin.
func (l *benchLoad) Cancel(ctx context.Context) error {
	if err := l.begun.Cancel(ctx, "the measurement"); err != nil {
		return err
	}
	state, err := l.begun.Wait(ctx)
	if err == nil && state.State != schema.Cancelled {
		err = fmt.Errorf("the job ended %s", state.State)
	}
	l.past = append(l.past, l.begun)
	return err
}

// submit hands the requests over as run does: few of them in the job, many as a
// stream behind it.
func (l *benchLoad) submit(ctx context.Context, list benchmark.Requests) (*jobs.Handle, error) {
	job, client := schema.Job{Concurrency: l.concurrency}, l.site.client()
	if list.Size() > inlineBytes {
		return client.Submit(ctx, job, jobs.WithInput(list.Lines()))
	}
	var lines bytes.Buffer
	if _, err := io.Copy(&lines, list.Lines()); err != nil {
		return nil, err
	}
	job.Requests = requests(lines.Bytes())
	return client.Submit(ctx, job)
}

// Tidy removes the jobs, so that each round finds the same store.
func (l *benchLoad) Tidy(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.past {
		if _, err := h.Remove(ctx, jobs.DeleteOnly()); err != nil {
			return err
		}
	}
	l.past = nil
	return nil
}

// Close ends the site.
func (l *benchLoad) Close() { l.site.close() }

// removeStreams takes everything of a measurement off a server of others.
func removeStreams(nc *nats.Conn, prefix string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return
	}
	own := strings.ToUpper(prefix) + "_"
	var names []string
	for name := range js.StreamNames(ctx).Name() {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "KV_"), "OBJ_"), own) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		_ = js.DeleteStream(ctx, name)
	}
}
