package metrics

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pelton/jobs"
	"pelton/jobs/board"
	"pelton/router"
	"pelton/schema"
)

// Sources are where the gauges look.
type Sources struct {
	// Board is what is known of the jobs. Required.
	Board func(context.Context) (*board.Board, error)

	// Storage tells how full the store is. Required.
	Storage func(context.Context) (*jobs.Storage, error)

	// Deployments tells how they do. Required.
	Deployments func() []router.DeploymentStatus

	Queues []string // that have figures though they have no jobs
	Slots  int
	Log    zerolog.Logger
}

// lookFor is how long the broker may take to answer for one scrape, and
// storageEvery how often it is asked for the size of the store.
const (
	lookFor      = 5 * time.Second
	storageEvery = 5 * time.Second
)

// gauges are looked up when they are asked for.
type gauges struct {
	Sources
	busy func() int

	mu      sync.Mutex
	storage *jobs.Storage
	looked  time.Time

	jobs, wanted, age, inflight, limit, slots, slotsBusy, store *prometheus.Desc
}

// Look adds the gauges. It is called once.
func (m *Metrics) Look(s Sources) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(&gauges{
		Sources: s, busy: m.Busy,
		jobs:      desc("pelton_jobs", "Jobs whose state is kept, of all workers.", labelQueue, "state"),
		wanted:    desc("pelton_requests_wanted", "Requests of live and queued jobs that have no result yet, of all workers.", labelQueue),
		age:       desc("pelton_queue_age_seconds", "Age of the oldest job of which nothing has begun; 0 when there is none.", labelQueue),
		inflight:  desc("pelton_inflight", "Calls of this worker in flight.", labelDeployed),
		limit:     desc("pelton_inflight_limit", "Calls at once that the deployment is given, by all workers together where the limit is configured; absent where there is none.", labelDeployed),
		slots:     desc("pelton_slots", "Calls that this worker makes at once at most."),
		slotsBusy: desc("pelton_slots_busy", "Slots of this worker that a request is in."),
		store:     desc("pelton_store_bytes", "What a stream of the installation takes.", "stream"),
	})
}

// Describe names the gauges.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.jobs, g.wanted, g.age, g.inflight, g.limit, g.slots, g.slotsBusy, g.store} {
		ch <- d
	}
}

// Collect looks. What the broker does not answer for is left out: an old figure
// would look like a new one.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(g.slots, float64(g.Slots))
	gauge(g.slotsBusy, float64(g.busy()))
	for _, d := range g.Deployments() {
		gauge(g.inflight, float64(d.InFlight), d.ID)
		if d.Limit > 0 {
			gauge(g.limit, float64(d.Limit), d.ID)
		}
	}
	if storage := g.look(ctx); storage != nil {
		for _, s := range storage.Streams {
			if !s.Missing {
				gauge(g.store, float64(s.Bytes), s.Name)
			}
		}
	}
	b, err := g.Board(ctx)
	if err != nil {
		g.Log.Debug().Err(err).Msg("metrics of jobs are left out")
		return
	}
	totals := b.Totals()
	for _, queue := range g.Queues {
		if !slices.ContainsFunc(totals, func(t board.QueueTotals) bool { return t.Queue == queue }) {
			totals = append(totals, board.QueueTotals{Queue: queue})
		}
	}
	for _, t := range totals {
		for _, state := range phases {
			gauge(g.jobs, float64(t.Jobs[state]), t.Queue, string(state))
		}
		gauge(g.wanted, float64(t.Wanted), t.Queue)
		age := 0.0
		if !t.Oldest.IsZero() {
			age = max(0, time.Since(t.Oldest).Seconds())
		}
		gauge(g.age, age, t.Queue)
	}
}

// phases are all states, so that none goes missing when its last job leaves it.
var phases = []schema.Phase{schema.Queued, schema.Running, schema.Succeeded, schema.CompletedWithErrors,
	schema.Failed, schema.Cancelled, schema.Expired}

// look asks for the size of the store, or repeats what was said lately.
func (g *gauges) look(ctx context.Context) *jobs.Storage {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.looked) < storageEvery {
		return g.storage
	}
	storage, err := g.Storage(ctx)
	if err != nil {
		g.Log.Debug().Err(err).Msg("metrics of the store are left out")
		storage = nil
	}
	g.storage, g.looked = storage, time.Now()
	return storage
}
