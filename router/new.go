package router

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/rs/zerolog"
)

// Option changes a [Router] as it is made.
type Option func(*settings)

type settings struct {
	log       zerolog.Logger
	rand      func() float64
	transport http.RoundTripper // in the place of the router's own
}

// WithLogger sets where the router logs: failed attempts at debug level, and
// once per deployment, at warn level, that it can serve nobody (a bad key, no
// quota, no such model). Without it nothing is logged.
func WithLogger(log zerolog.Logger) Option { return func(s *settings) { s.log = log } }

// New makes a router for cfg. It makes no call. The error joins everything
// that is wrong with cfg.
func New(cfg *Config, opts ...Option) (*Router, error) {
	s := settings{log: zerolog.Nop(), rand: rand.Float64}
	for _, opt := range opts {
		opt(&s)
	}
	r := &Router{
		groups: groups{exact: map[string]*group{}}, attempts: 1 + DefaultNumRetries,
		timeout: cfg.Timeout, log: s.log, rand: s.rand,
		transport: newTransport(orDefault(cfg.MaxConnsHint, DefaultMaxConnsHint)),
	}
	var errs []error
	if cfg.NumRetries != nil {
		r.attempts = 1 + *cfg.NumRetries
	}
	if r.attempts < 1 || cfg.Timeout < 0 {
		errs = append(errs, errors.New("NumRetries and Timeout must not be negative"))
	}
	if len(cfg.Deployments) == 0 {
		errs = append(errs, errors.New("no deployment is configured"))
	}
	if s.transport == nil {
		s.transport = r.transport
	}
	limit := orDefault(cfg.MaxResponseBytes, DefaultMaxResponseBytes)
	taken := map[string]bool{}
	for _, d := range cfg.Deployments {
		if taken[d.ID] && d.ID != "" {
			errs = append(errs, fmt.Errorf("two deployments have the id %q", d.ID))
		}
		taken[d.ID] = true
	}
	for _, d := range cfg.Deployments {
		d, err := d.normalised()
		if err != nil {
			errs = append(errs, fmt.Errorf("deployment %q of group %q: %w", d.ID, d.Group, err))
			continue
		}
		if d.ID == "" {
			d.ID = idFor(d, "", taken)
			taken[d.ID] = true
		}
		made := newDeployment(d, s.transport, limit)
		r.deployments = append(r.deployments, made)
		r.groups.add(made)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

func orDefault[T int | int64](n, fallback T) T {
	if n <= 0 {
		return fallback
	}
	return n
}
