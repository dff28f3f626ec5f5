package faultyllm

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Defaults of the [Config] fields whose zero value means "the usual".
const (
	DefaultEchoRunes          = 200
	DefaultDimensions         = 8
	DefaultMaxBodyBytes       = 32 << 20
	DefaultSlowBytesPerSecond = 100
	DefaultRateWindow         = time.Minute
	DefaultMaxIdentities      = 1_000_000
)

// Config holds the knobs of a [Server]. The zero value answers every call at
// once, without faults.
//
// In JSON the fields have snake_case names and durations are strings such as
// "50ms". Decoding refuses unknown names and leaves fields that are not named
// as they were, so a Config can be decoded over another one.
type Config struct {
	// Seed makes runs differ, and repeat. Any value is a good one.
	Seed uint64 `json:"seed"`

	// Models are the models served; a call for any other gets a 404
	// (model_not_found). Empty: every model is served.
	Models []string `json:"models"`

	// APIKey is required as a bearer token, or in the header api-key; calls
	// without it get a 401. Empty: no key is needed.
	APIKey string `json:"api_key"`

	// Answer is the text of every answer. Empty: an echo of the last user
	// message.
	Answer string `json:"answer"`

	// EchoRunes is how many runes of the message the echo repeats.
	// 0: DefaultEchoRunes; negative: all of them.
	EchoRunes int `json:"echo_runes"`

	// Dimensions is the length of embedding vectors when the request names
	// none. 0: DefaultDimensions.
	Dimensions int `json:"dimensions"`

	// MaxBodyBytes is the largest request body read; larger ones get a 413.
	// 0: DefaultMaxBodyBytes.
	MaxBodyBytes int64 `json:"max_body_bytes"`

	// Latency is the time before an answer, or before the first token of a
	// stream, as spread by LatencyDist. Refusals do not wait.
	Latency time.Duration `json:"latency"`

	// Jitter is the spread around Latency; see LatencyDist for its meaning.
	Jitter time.Duration `json:"jitter"`

	// LatencyDist is the distribution of latencies. Empty: Uniform when Jitter
	// is set, Fixed when not.
	LatencyDist LatencyDist `json:"latency_dist"`

	// TokensPerSecond is the pace of a stream once it began. 0: no pause.
	TokensPerSecond float64 `json:"tokens_per_second"`

	// SlowBytesPerSecond is the pace of answers that meet [FaultSlow].
	// 0: DefaultSlowBytesPerSecond.
	SlowBytesPerSecond float64 `json:"slow_bytes_per_second"`

	// Faults gives the share of calls, from 0 to 1, that meet each fault. The
	// shares add up to 1 at most; the remaining calls succeed.
	Faults Rates `json:"faults"`

	// RetryAfter is what answers of status 429, 503 and 529 ask the client to
	// wait, those for a lack of quota excepted. 0: no such header, except that
	// calls over RateLimit are told when the window has room again.
	RetryAfter time.Duration `json:"retry_after"`

	// RetryAfterForm is how that is written. Empty: RetryAfterSeconds.
	RetryAfterForm RetryAfterForm `json:"retry_after_form"`

	// RateLimit is how many calls are let in within any RateWindow; those over
	// it get a 429. 0: no limit.
	RateLimit int `json:"rate_limit"`

	// RateWindow is the sliding window of RateLimit. 0: DefaultRateWindow, which
	// makes RateLimit a number of requests per minute.
	RateWindow time.Duration `json:"rate_window"`

	// MaxParallel is how many calls are served at a time; those over it get a
	// 429 at once and do not count against RateLimit. 0: no limit.
	MaxParallel int `json:"max_parallel"`

	// Outage refuses everything under /v1 while it is set.
	Outage bool `json:"outage"`

	// OutageFrom and OutageTo bound a planned outage, counted from Start (from
	// New when the server is used as a handler). Both 0: none planned. OutageTo
	// 0 with OutageFrom set: it lasts for good.
	OutageFrom time.Duration `json:"outage_from"`
	OutageTo   time.Duration `json:"outage_to"`

	// OutageFault is how calls fail in an outage. Empty: FaultUnavailable.
	OutageFault Fault `json:"outage_fault"`

	// KeepBodies, KeepTimes and KeepCalls are how many of the last request
	// bodies, arrival times and calls the record holds. 0: none.
	KeepBodies int `json:"keep_bodies"`
	KeepTimes  int `json:"keep_times"`
	KeepCalls  int `json:"keep_calls"`

	// MaxIdentities bounds the identities remembered, at some 200 bytes each.
	// Once it is reached a call of a new identity counts as untracked: it is
	// always a first call. 0: DefaultMaxIdentities; negative: no bound.
	MaxIdentities int `json:"max_identities"`

	// Identity, when set, names the request a call belongs to; an empty result
	// falls back to the usual identity. It is called concurrently and must not
	// keep the body.
	Identity func(r *http.Request, body []byte) string `json:"-"`
}

// Validate reports all problems of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for _, f := range []struct {
		name  string
		value float64
	}{
		{"latency", float64(c.Latency)},
		{"jitter", float64(c.Jitter)},
		{"retry_after", float64(c.RetryAfter)},
		{"rate_window", float64(c.RateWindow)},
		{"outage_from", float64(c.OutageFrom)},
		{"outage_to", float64(c.OutageTo)},
		{"tokens_per_second", c.TokensPerSecond},
		{"slow_bytes_per_second", c.SlowBytesPerSecond},
		{"rate_limit", float64(c.RateLimit)},
		{"max_parallel", float64(c.MaxParallel)},
		{"max_body_bytes", float64(c.MaxBodyBytes)},
		{"keep_bodies", float64(c.KeepBodies)},
		{"keep_times", float64(c.KeepTimes)},
		{"keep_calls", float64(c.KeepCalls)},
	} {
		if !(f.value >= 0) { // NaN too
			bad("%s must not be negative", f.name)
		}
	}
	if c.Dimensions < 0 || c.Dimensions > maxDimensions {
		bad("dimensions must be between 1 and %d", maxDimensions)
	}
	if slices.Contains(c.Models, "") {
		bad("models must not contain an empty name")
	}
	if err := c.LatencyDist.validate(c.Jitter); err != nil {
		errs = append(errs, err)
	}
	if err := c.RetryAfterForm.validate(); err != nil {
		errs = append(errs, err)
	}
	if c.OutageTo > 0 && c.OutageTo <= c.OutageFrom {
		bad("outage_to (%s) must come after outage_from (%s)", c.OutageTo, c.OutageFrom)
	}
	if c.OutageFault != "" {
		if _, err := ParseFault(string(c.OutageFault)); err != nil {
			bad("outage_fault: %w", err)
		}
	}
	errs = append(errs, c.Faults.validate()...)
	return errors.Join(errs...)
}

// clone copies what a caller could still change through a shared reference.
func (c Config) clone() Config {
	c.Models = slices.Clone(c.Models)
	c.Faults = maps.Clone(c.Faults)
	return c
}

// settings is a Config prepared for use: defaults filled in, look-ups built. It
// is never changed once published, so calls read it without a lock.
type settings struct {
	Config
	given  Config // as the caller wrote it, for Server.Config
	models map[string]bool
	shares []share
	outage failure
	fp     string // system_fingerprint
}

func newSettings(c Config) (*settings, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.clone()
	s := &settings{Config: c, given: c, shares: c.Faults.shares(), fp: fmt.Sprintf("fp_%010x", mix(c.Seed)>>24)}
	s.EchoRunes = cmp.Or(c.EchoRunes, DefaultEchoRunes)
	s.Dimensions = cmp.Or(c.Dimensions, DefaultDimensions)
	s.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, DefaultMaxBodyBytes)
	s.SlowBytesPerSecond = cmp.Or(c.SlowBytesPerSecond, DefaultSlowBytesPerSecond)
	s.RateWindow = cmp.Or(c.RateWindow, DefaultRateWindow)
	s.MaxIdentities = cmp.Or(c.MaxIdentities, DefaultMaxIdentities)
	s.LatencyDist = c.LatencyDist.orDefault(c.Jitter)
	s.outage = failureOf(cmp.Or(c.OutageFault, FaultUnavailable))
	if len(c.Models) > 0 {
		s.models = make(map[string]bool, len(c.Models))
		for _, m := range c.Models {
			s.models[m] = true
		}
	}
	return s, nil
}
