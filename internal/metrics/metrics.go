// Package metrics counts what a worker does, and serves it to Prometheus. The
// rooms that are counted know nothing of it: they have small interfaces of their
// own ([worker.Observer], [router.Observer]), which [Metrics] fills in.
//
// What happens is counted as it happens; what is (jobs by state, requests in
// flight, the size of the store) is looked up when it is asked for, and what the
// broker has to be asked for at most every few seconds.
package metrics

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pelton/schema"
)

// Metrics are the counters of one worker. Its methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	groups   map[string]string // of deployments
	busy     atomic.Int64

	requests   *prometheus.CounterVec
	attempts   *prometheus.HistogramVec
	firstToken *prometheus.HistogramVec
	retries    *prometheus.CounterVec
	cooldowns  *prometheus.CounterVec
	tokens     *prometheus.CounterVec
	cost       *prometheus.CounterVec
	unknown    *prometheus.CounterVec
	unpriced   *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	takeovers  *prometheus.CounterVec
}

// The values of labels that are no name of somebody's.
const (
	none          = "none"
	succeeded     = "succeeded"
	directionIn   = "input"
	directionOut  = "output"
	labelQueue    = "queue"
	labelGroup    = "model_group"
	labelDeployed = "deployment"
	labelOutcome  = "outcome"
	labelClass    = "class"
	labelWay      = "direction"
)

// An answer takes from milliseconds, of a server beside the worker, to minutes,
// of a model that thinks.
var seconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640}

// New makes the counters. Those of each queue begin at 0.
func New(queues []string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, []string{labelDeployed, labelOutcome})
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		requests:   counter("pelton_requests_total", "Requests that got their result from this worker.", labelQueue, labelGroup, "status", labelClass),
		attempts:   histogram("pelton_attempt_seconds", "How long calls took, by their deployment; the outcome is succeeded or the class of the error."),
		firstToken: histogram("pelton_ttft_seconds", "How long streamed calls took to their first token."),
		retries:    counter("pelton_retries_total", "Calls that failed and were tried again, by the class of the failure.", labelDeployed, labelClass),
		cooldowns:  counter("pelton_cooldowns_total", "How often a deployment was left alone for a while because of what this worker saw.", labelDeployed, labelClass),
		tokens:     counter("pelton_tokens_total", "Tokens, as the upstreams counted them.", labelGroup, labelWay),
		cost:       counter("pelton_cost_usd_total", "What calls cost in USD, of deployments with a price.", labelGroup, labelWay),
		unknown:    counter("pelton_unknown_attempts_total", "Calls that may have been billed and of which nobody told the tokens: where there are any, tokens and cost are the least that they can be.", labelGroup),
		unpriced:   counter("pelton_unpriced_attempts_total", "Calls whose tokens are known and whose price is not: they are missing in the cost.", labelGroup),
		duplicates: counter("pelton_duplicate_calls_total", "Requests that were called here although they had their result from elsewhere.", labelQueue),
		takeovers:  counter("pelton_takeovers_total", "Jobs that this worker went on with after another.", labelQueue),
	}
	m.registry.MustRegister(m.requests, m.attempts, m.firstToken, m.retries, m.cooldowns, m.tokens, m.cost, m.unknown, m.unpriced, m.duplicates, m.takeovers,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, queue := range queues {
		m.duplicates.WithLabelValues(queue)
		m.takeovers.WithLabelValues(queue)
	}
	return m
}

// Know says which group each deployment is of, so that their counters begin at
// 0. It is called once, before anything is counted.
func (m *Metrics) Know(groups map[string]string) {
	m.groups = groups
	for deployment, group := range groups {
		m.attempts.WithLabelValues(deployment, succeeded)
		m.unknown.WithLabelValues(group)
		m.unpriced.WithLabelValues(group)
		for _, way := range []string{directionIn, directionOut} {
			m.tokens.WithLabelValues(group, way)
			m.cost.WithLabelValues(group, way)
		}
	}
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError})
}

// Busy returns how many slots are busy now.
func (m *Metrics) Busy() int { return int(m.busy.Load()) }

// Began and Ended count the busy slots.
func (m *Metrics) Began() { m.busy.Add(1) }

// Ended is the end of what Began.
func (m *Metrics) Ended() { m.busy.Add(-1) }

// Stored counts a result.
func (m *Metrics) Stored(queue string, r *schema.Result) {
	group, class := none, none
	if n := len(r.Attempts); n > 0 {
		if g, ok := m.groups[r.Attempts[n-1].Deployment]; ok {
			group = g
		}
	}
	if r.Error != nil {
		class = classOf(r.Error)
	}
	m.requests.WithLabelValues(queue, group, string(r.Status), class).Inc()
}

// classOf is an error's class; one that is none of ours is no label.
func classOf(e *schema.Error) string {
	if e == nil || e.Class == "" {
		return none
	}
	return string(e.Class)
}

// Duplicate counts a call that was not needed.
func (m *Metrics) Duplicate(queue string) { m.duplicates.WithLabelValues(queue).Inc() }

// TookOver counts a job that was gone on with.
func (m *Metrics) TookOver(queue string) { m.takeovers.WithLabelValues(queue).Inc() }

// Called counts a call.
func (m *Metrics) Called(group string, a *schema.Attempt, input, output float64) {
	outcome := succeeded
	if a.Error != nil {
		outcome = classOf(a.Error)
	}
	m.attempts.WithLabelValues(a.Deployment, outcome).Observe(a.LatencyMs / 1000)
	if a.TTFTMs != nil {
		m.firstToken.WithLabelValues(a.Deployment, outcome).Observe(*a.TTFTMs / 1000)
	}
	if u := a.Usage; u != nil {
		m.tokens.WithLabelValues(group, directionIn).Add(float64(max(0, u.PromptTokens)))
		m.tokens.WithLabelValues(group, directionOut).Add(float64(max(0, u.CompletionTokens)))
	}
	switch {
	case a.UsageUnknown:
		m.unknown.WithLabelValues(group).Inc()
	case a.Usage != nil && a.Cost == nil:
		m.unpriced.WithLabelValues(group).Inc()
	}
	if input > 0 {
		m.cost.WithLabelValues(group, directionIn).Add(input)
	}
	if output > 0 {
		m.cost.WithLabelValues(group, directionOut).Add(output)
	}
}

// Retried counts a failure that is made up for.
func (m *Metrics) Retried(failed *schema.Attempt) {
	m.retries.WithLabelValues(failed.Deployment, classOf(failed.Error)).Inc()
}

// LeftAlone counts a cooldown.
func (m *Metrics) LeftAlone(deployment string, class schema.Class) {
	m.cooldowns.WithLabelValues(deployment, classOf(&schema.Error{Class: class})).Inc()
}
