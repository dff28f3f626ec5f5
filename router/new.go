package router

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"

	"github.com/rs/zerolog"

	"pelton/router/internal/adaptive"
	"pelton/router/internal/keywords"
	"pelton/router/internal/route"
)

// Option changes a [Router] as it is made.
type Option func(*settings)

type settings struct {
	log       zerolog.Logger
	rand      func() float64
	transport http.RoundTripper // in the place of the router's own
	limiter   Limiter
	sink      func(Cooldown)
	observer  Observer
}

// WithLogger sets where the router logs: failed attempts at debug level, and
// once per deployment, at warn level, that it can serve nobody (a bad key, no
// quota, no such model). Without it nothing is logged.
func WithLogger(log zerolog.Logger) Option { return func(s *settings) { s.log = log } }

// WithLimiter sets who holds the limits of deployments. Without it the limits
// are those of this router alone: [NewLimiter].
func WithLimiter(limiter Limiter) Option { return func(s *settings) { s.limiter = limiter } }

// New makes a router for cfg. It makes no call. The error joins everything
// that is wrong with cfg.
func New(cfg *Config, opts ...Option) (*Router, error) {
	s := settings{log: zerolog.Nop(), rand: rand.Float64}
	for _, opt := range opts {
		opt(&s)
	}
	if s.limiter == nil {
		s.limiter = NewLimiter()
	}
	conns := orDefault(cfg.MaxConnsHint, DefaultMaxConnsHint)
	r := &Router{
		groups: newGroups(), byID: map[string]*deployment{}, variants: map[string]keywords.Fallback{}, aliases: maps.Clone(cfg.Aliases),
		ignoreTags: cfg.IgnoreTags, matchAllTags: cfg.MatchAllTags, waitAtLimits: cfg.WaitAtLimits, numRetries: DefaultNumRetries, maxAttempts: cfg.MaxAttempts,
		policy: cfg.RetryPolicy, groupPolicy: maps.Clone(cfg.GroupRetryPolicy),
		fallbacks: maps.Clone(cfg.Fallbacks), defaultFallbacks: cfg.DefaultFallbacks,
		contextFallbacks: maps.Clone(cfg.ContextWindowFallbacks), contentFallbacks: maps.Clone(cfg.ContentPolicyFallbacks),
		shortWait: max(cmp.Or(cfg.ShortWait, DefaultShortWait), 0),
		timeout:   cfg.Timeout, firstToken: cfg.FirstToken, nextToken: cfg.NextToken, limiter: s.limiter, sink: s.sink, observer: s.observer, log: s.log, rand: s.rand,
		transports: route.Pool{Conns: conns, Given: s.transport},
	}
	for name, v := range cfg.Variants {
		r.variants[name] = keywords.Fallback{Model: v.Model, Fields: v.Fields}
	}
	errs := r.check(cfg)
	rules := coolRules{time: DefaultCooldownTime, allowed: cfg.AllowedFails, policy: cfg.AllowedFailsPolicy, fatal: cmp.Or(cfg.FatalRetry, DefaultFatalRetry)}
	if cfg.CooldownTime != nil {
		rules.time = *cfg.CooldownTime
	}
	taken := map[string]bool{}
	for _, d := range cfg.Deployments {
		if taken[d.ID] && d.ID != "" {
			errs = append(errs, fmt.Errorf("two deployments have the id %q", d.ID))
		}
		taken[d.ID] = true
	}
	for _, d := range cfg.Deployments {
		if err := r.addDeployment(d, cfg, rules, taken); err != nil {
			errs = append(errs, fmt.Errorf("deployment %q of group %q: %w", d.ID, d.Group, err))
		}
	}
	for name, why := range cfg.Unserved {
		r.groups.addUnserved(name, why)
	}
	if len(errs) == 0 {
		errs = append(r.checkNames(cfg), r.addBudgets(cfg)...)
	}
	r.findLone()
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

// addDeployment checks d and makes it ready for calls.
func (r *Router) addDeployment(d Deployment, cfg *Config, rules coolRules, taken map[string]bool) error {
	d, err := d.Check()
	if err != nil {
		return err
	}
	if d.ID == "" {
		d.ID = NewID(d, "", taken)
		taken[d.ID] = true
	}
	transport, err := r.transports.To(route.Way{Proxy: d.Proxy.Reveal(), CAFile: d.CAFile, Insecure: d.Insecure})
	if err != nil {
		return err
	}
	made, err := newDeployment(d, transport, orDefault(cfg.MaxResponseBytes, DefaultMaxResponseBytes))
	if err != nil {
		return err
	}
	made.dropped.id, made.dropped.log = d.ID, r.log
	made.rules = rules
	if d.CooldownTime != nil {
		made.rules.time = *d.CooldownTime
	}
	if cfg.Adaptive {
		made.adapt = adaptive.New(orDefault(d.MaxParallel, r.transports.Conns))
	}
	r.deployments = append(r.deployments, made)
	r.byID[d.ID] = made
	r.groups.add(made)
	r.groups.addID(made)
	return nil
}

// findLone marks the deployments that nothing can stand in for.
func (r *Router) findLone() {
	for _, d := range r.deployments {
		if g := r.groups.of(d.Group); len(g.members) == 1 && len(r.fallbacksOf(g.name)) == 0 {
			d.rules.lone = true
			d.rules.time = min(d.rules.time, DefaultCooldownTime)
		}
	}
}

// check says what is wrong with everything but the deployments.
func (r *Router) check(cfg *Config) (errs []error) {
	if cfg.NumRetries != nil {
		r.numRetries = *cfg.NumRetries
	}
	if r.numRetries < 0 || min(cfg.Timeout, cfg.FirstToken, cfg.NextToken) < 0 {
		errs = append(errs, errors.New("NumRetries, Timeout, FirstToken and NextToken must not be negative"))
	}
	if cfg.MaxAttempts < 0 || cfg.FatalRetry < 0 || cfg.CooldownTime != nil && *cfg.CooldownTime < 0 {
		errs = append(errs, errors.New("MaxAttempts, FatalRetry and CooldownTime must not be negative"))
	}
	var err error
	if r.strategy, err = ParseStrategy(string(cfg.Strategy)); err != nil {
		errs = append(errs, err)
	}
	if len(cfg.Deployments) == 0 {
		errs = append(errs, errors.New("no deployment is configured"))
	}
	return errs
}

// checkNames says which aliases and fallbacks lead nowhere.
func (r *Router) checkNames(cfg *Config) (errs []error) {
	for name, target := range cfg.Aliases {
		if found, _ := r.groups.match(target); found == nil {
			errs = append(errs, fmt.Errorf("alias %q: %s", name, r.groups.unknown(target)))
		}
	}
	check := func(what string, targets []string) {
		for _, target := range targets {
			if found, _ := r.groups.match(r.alias(r.variant(target).Model)); found == nil {
				errs = append(errs, fmt.Errorf("%s: %s", what, r.groups.unknown(target)))
			}
		}
	}
	check("default fallbacks", cfg.DefaultFallbacks)
	for what, lists := range map[string]map[string][]string{
		"fallbacks": cfg.Fallbacks, "context window fallbacks": cfg.ContextWindowFallbacks, "content policy fallbacks": cfg.ContentPolicyFallbacks,
	} {
		for name, targets := range lists {
			check(fmt.Sprintf("%s of %q", what, name), targets)
		}
	}
	return errs
}

func orDefault[T int | int64](n, fallback T) T {
	if n <= 0 {
		return fallback
	}
	return n
}
