package router

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pelton/router/protocol"
	"pelton/schema"
)

// fail has n requests fail at once, each with its one attempt.
func fail(t *testing.T, r *Router, n int) {
	t.Helper()
	for _, out := range doAll(r, n, g) {
		if len(out.Attempts) > 1 {
			t.Fatalf("%d attempts", len(out.Attempts))
		}
	}
}

// cools reports how long r leaves its first deployment alone.
func cools(r *Router) time.Duration {
	d := r.deployments[0]
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(time.Until(d.breaker.until), 0)
}

func TestCooldownNeedsVolume(t *testing.T) {
	none := Config{NumRetries: &retries0}
	down := map[string]respond{"a": status(500)}
	inWorld(t, none, down, func(t *testing.T, r *Router, w *world) {
		if fail(t, r, 4); cools(r) != 0 {
			t.Error("four failures are enough")
		}
		if fail(t, r, 1); cools(r) != DefaultCooldownTime {
			t.Errorf("five failures of five: %v", cools(r))
		}
	})
	inWorld(t, none, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
		doAll(r, 10, g)
		w.set("a", status(500))
		for range 20 { // half of the calls
			w.set("a", status(200))
			r.Do(background, g)
			w.set("a", status(500))
			fail(t, r, 1)
		}
		if cools(r) != 0 {
			t.Error("half of the calls are enough")
		}
		if fail(t, r, 1); cools(r) == 0 {
			t.Error("more than half of the calls are not enough")
		}
	})
	// A row of failures is no chance, if it is long, or lasts.
	inWorld(t, none, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
		doAll(r, 20, g)
		w.set("a", status(500))
		if fail(t, r, 7); cools(r) != 0 {
			t.Error("seven in a row are enough")
		}
		if fail(t, r, 1); cools(r) == 0 {
			t.Error("eight in a row are not enough")
		}
	})
	inWorld(t, none, map[string]respond{"a": after(time.Second, status(200))}, func(t *testing.T, r *Router, w *world) {
		doAll(r, 20, g)
		w.set("a", after(time.Second/2, status(500)))
		for n := range 5 {
			if fail(t, r, 1); (cools(r) != 0) != (n == 4) {
				t.Errorf("after %d in a row, twice as long as an answer takes: %v", n+1, cools(r))
			}
		}
	})
	inWorld(t, none, down, func(t *testing.T, r *Router, w *world) {
		fail(t, r, 4)
		pass(2 * time.Minute)
		if fail(t, r, 1); cools(r) != 0 {
			t.Error("old failures count")
		}
	})
	// What is wrong with a request says nothing about the deployment.
	for _, code := range []int{400, 413, 422} {
		inWorld(t, none, map[string]respond{"a": status(code)}, func(t *testing.T, r *Router, w *world) {
			if fail(t, r, 30); cools(r) != 0 {
				t.Errorf("status %d cools down", code)
			}
		})
	}
}

// replaceable makes r judge its deployments as if others could stand in for them.
func replaceable(r *Router) {
	for _, d := range r.deployments {
		d.rules.lone = false
	}
}

// What nothing can stand in for is not stopped by single failures, however few the
// configuration allows; what something can is.
func TestLoneDeployment(t *testing.T) {
	rules := Config{Deployments: []Deployment{at("a", "g")}, AllowedFails: ptr(3), AllowedFailsPolicy: PerFailure{InternalServer: ptr(0)}, CooldownTime: ptr(20 * time.Second), NumRetries: ptr(3)}
	spared := rules
	spared.Deployments = []Deployment{at("a", "g"), at("b", "h")}
	spared.Fallbacks = map[string][]string{"g": {"h"}}
	for name, tt := range map[string]struct {
		cfg   Config
		cools bool
	}{"lone": {rules, false}, "with a fallback": {spared, true}} {
		calls, mu := 0, sync.Mutex{}
		flaky := func(req *http.Request) (*http.Response, error) { // each twentieth call fails
			mu.Lock()
			calls++
			answer := status(200)
			if calls%20 == 0 {
				answer = status(500)
			}
			mu.Unlock()
			return after(300*time.Millisecond, answer)(req)
		}
		inWorld(t, tt.cfg, map[string]respond{"a": flaky, "b": flaky}, func(t *testing.T, r *Router, w *world) {
			began := time.Now()
			cooled := false
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					for range 30 {
						if out := r.Do(background, waiting(g)); out.Error != nil {
							t.Error(name, out.Error)
						}
						mu.Lock()
						cooled = cooled || cools(r) > 0
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); cooled != tt.cools || !tt.cools && took > 20*time.Second {
				t.Errorf("%s: cooled down: %v; 300 requests took %v", name, cooled, took)
			}
		})
	}
}

func TestAllowedFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    Config
		answer respond
		after  int // failures until it cools down; 0: it does not within 10
	}{
		{"zero is a value", Config{AllowedFails: ptr(0)}, status(500), 1},
		{"three", Config{AllowedFails: ptr(3)}, status(500), 4},
		{"policy of the kind", Config{AllowedFails: ptr(0), AllowedFailsPolicy: PerFailure{InternalServer: ptr(2)}}, status(500), 3},
		{"policy, zero", Config{AllowedFailsPolicy: PerFailure{InternalServer: ptr(0)}}, status(500), 1},
		{"policy of another kind", Config{AllowedFails: ptr(1), AllowedFailsPolicy: PerFailure{RateLimit: ptr(0)}}, status(500), 2},
		{"policy for rate limits", Config{AllowedFailsPolicy: PerFailure{RateLimit: ptr(1)}}, status(429), 2},
		{"policy for timeouts", Config{Timeout: time.Second, AllowedFailsPolicy: PerFailure{Timeout: ptr(1)}}, hang, 2},
		{"cooldown off", Config{AllowedFails: ptr(0), CooldownTime: new(time.Duration)}, status(500), 0},
	} {
		tt.cfg.NumRetries = &retries0
		inWorld(t, tt.cfg, map[string]respond{"a": tt.answer}, func(t *testing.T, r *Router, w *world) {
			replaceable(r)
			n := 0
			for n < 10 && cools(r) == 0 {
				fail(t, r, 1)
				n++
			}
			if cools(r) == 0 {
				n = 0
			}
			if n != tt.after {
				t.Errorf("%s: cools down after %d, want %d", tt.name, n, tt.after)
			}
		})
	}
	// Failures of a minute ago are forgotten.
	inWorld(t, Config{AllowedFails: ptr(1), NumRetries: &retries0}, map[string]respond{"a": status(500)}, func(t *testing.T, r *Router, w *world) {
		replaceable(r)
		for range 5 {
			fail(t, r, 1)
			pass(61 * time.Second)
		}
		if cools(r) != 0 || w.count("a") != 5 {
			t.Error("old failures count")
		}
	})
	// One deployment's own time.
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.CooldownTime = ptr(time.Minute) }), at("b", "g", func(d *Deployment) { d.Weight = ptr(0.0) })}
	ds[0].Weight = ptr(1.0)
	inWorld(t, Config{AllowedFails: ptr(0), NumRetries: &retries0, Deployments: ds}, map[string]respond{"a": status(500), "b": hang}, func(t *testing.T, r *Router, w *world) {
		if fail(t, r, 1); cools(r) != time.Minute {
			t.Errorf("cools for %v", cools(r))
		}
	})
}

// An upstream that is down sees one call per cooldown, not a storm, and all
// requests end well once it is up.
func TestHalfOpenProbe(t *testing.T) {
	inWorld(t, Config{}, map[string]respond{"a": after(10*time.Millisecond, status(503))}, func(t *testing.T, r *Router, w *world) {
		time.AfterFunc(20*time.Second, func() { w.set("a", after(10*time.Millisecond, status(200))) })
		for _, out := range doAll(r, 200, waiting(g)) {
			if out.Error != nil || len(out.Attempts) > 3 {
				t.Fatalf("%d attempts: %v", len(out.Attempts), out.Error)
			}
		}
		storm, probes := 0, []time.Duration{}
		var last time.Duration
		for _, c := range w.calls {
			switch {
			case c.at < time.Second: // with the retries of the first few
				storm++
			case c.at < 20*time.Second:
				probes = append(probes, c.at)
			}
			last = max(last, c.at)
		}
		// 0.01 s, and then 5 s after each failure: 5.01, 10.02, 15.03; 20.04 succeeds.
		if storm > 210 || len(probes) != 3 || last > 21*time.Second {
			t.Errorf("%d at first, probes at %v, the last at %v", storm, probes, last)
		}
	})
}

// Few requests in flight are no reason for one of them to pay for all probes.
func TestOutageIsSharedByAll(t *testing.T) {
	var unlucky atomic.Int32 // three attempts can fall before the first sign of an outage
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 7))
		var mu sync.Mutex
		inWorld(t, Config{}, map[string]respond{"a": after(50*time.Millisecond, status(200))}, func(t *testing.T, r *Router, w *world) {
			time.AfterFunc(time.Second, func() { w.set("a", after(10*time.Millisecond, status(503))) })
			time.AfterFunc(21*time.Second, func() { w.set("a", after(50*time.Millisecond, status(200))) })
			todo := make(chan int, 1000)
			for i := range cap(todo) {
				todo <- i
			}
			close(todo)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range todo {
						req := g
						out := r.Do(background, req)
						for out.Park != nil {
							req.Earlier, req.Timeout = out.Attempts, out.Park.Left
							pass(time.Until(out.Park.ReadyAt))
							out = r.Do(background, req)
						}
						if len(out.Attempts) > 1+DefaultNumRetries {
							t.Errorf("%d attempts", len(out.Attempts))
						}
						if out.Error != nil {
							unlucky.Add(1)
						}
					}
				})
			}
			begin := time.Now()
			wg.Wait()
			// 1000 requests, 8 at once, 50 ms each: 6.25 s, and 20 s of outage.
			if took := time.Since(begin); took > 36*time.Second {
				t.Errorf("took %v", took)
			}
		}, func(s *settings) {
			s.rand = func() float64 {
				mu.Lock()
				defer mu.Unlock()
				return dice.Float64()
			}
		})
	}
	if n := unlucky.Load(); n > 3 {
		t.Errorf("%d of 20,000 requests failed in twenty outages", n)
	}
}

func TestProbeThatSaysNothing(t *testing.T) {
	inWorld(t, Config{AllowedFails: ptr(0), NumRetries: &retries0}, map[string]respond{"a": status(500)}, func(t *testing.T, r *Router, w *world) {
		replaceable(r)
		fail(t, r, 1)
		pass(5 * time.Second)
		// A probe that its caller gives up leaves it half open: the next is a probe too.
		w.set("a", hang)
		req := g
		req.Timeout = time.Second
		if out := r.Do(background, req); out.Error.Class != schema.ClassTimeout {
			t.Error(out.Error)
		}
		if cools(r) != 0 || !r.deployments[0].breaker.tripped {
			t.Error("a probe without an answer decided")
		}
		// An answer that refuses the request itself is a sign of life.
		w.set("a", status(400))
		fail(t, r, 1)
		if r.deployments[0].breaker.tripped {
			t.Error("an answer did not open it")
		}
	})
}

func TestUpstreamsWordOnWhen(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where fake time begins
	for _, tt := range []struct {
		name   string
		code   int
		header []string
		want   time.Duration
	}{
		{"Retry-After", 429, []string{"Retry-After", "30"}, 30 * time.Second},
		{"Retry-After on a 503", 503, []string{"Retry-After", "30"}, 30 * time.Second},
		{"retry-after-ms first", 429, []string{"Retry-After", "30", "retry-after-ms", "4500"}, 4500 * time.Millisecond},
		{"HTTP date", 429, []string{"Retry-After", now.Add(time.Minute).Format("Mon, 02 Jan 2006 15:04:05 GMT")}, time.Minute},
		{"429 alone", 429, nil, 0},
		{"reset of requests, OpenAI", 429, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "6m0s"}, 6 * time.Minute},
		{"reset in ms, OpenAI", 200, []string{"x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "12ms"}, 12 * time.Millisecond},
		{"bare seconds, Azure", 429, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "20"}, 20 * time.Second},
		{"unknown, Azure", 429, []string{"x-ratelimit-remaining-requests", "-1", "x-ratelimit-reset-requests", "20"}, 0},
		{"RFC 3339, Anthropic", 429, []string{"anthropic-ratelimit-tokens-remaining", "0", "anthropic-ratelimit-tokens-reset", now.Add(90 * time.Second).Format(time.RFC3339)}, 90 * time.Second},
		{"Anthropic, tokens of answers", 429, []string{"anthropic-ratelimit-output-tokens-remaining", "0", "anthropic-ratelimit-output-tokens-reset", now.Add(90 * time.Second).Format(time.RFC3339)}, 90 * time.Second},
		{"the later of both", 429, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "1s", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "9s"}, 9 * time.Second},
		{"the later of all", 429, []string{"Retry-After", "3", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "9s"}, 9 * time.Second},
		{"something left", 429, []string{"x-ratelimit-remaining-requests", "1", "x-ratelimit-reset-requests", "20s"}, 0},
		{"a success that was the last", 200, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "20s"}, 20 * time.Second},
		{"nonsense", 429, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "soon"}, 0},
		{"a Unix time", 429, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", fmt.Sprint(now.Add(time.Minute).Unix())}, 0},
	} {
		if tt.name == "a Unix time" {
			tt.header[3] = "1000000010" // in 2001: fake time is a year before
			tt.want = protocol.MaxRetryAfter
		}
		inWorld(t, Config{NumRetries: &retries0}, map[string]respond{"a": status(tt.code, tt.header...)}, func(t *testing.T, r *Router, w *world) {
			r.Do(background, g)
			if cools(r) != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, cools(r), tt.want)
			}
		})
	}
}

// 20722: of two deadlines the later one counts, whatever came last.
func TestLaterDeadlineWins(t *testing.T) {
	inWorld(t, Config{NumRetries: &retries0}, map[string]respond{"a": after(time.Second, status(429, "Retry-After", "30"))}, func(t *testing.T, r *Router, w *world) {
		time.AfterFunc(time.Second/2, func() { w.set("a", after(time.Second, status(429, "Retry-After", "2"))); r.Do(background, g) })
		r.Do(background, g)
		pass(time.Second / 2)
		if cools(r) != 29500*time.Millisecond {
			t.Errorf("%v left", cools(r))
		}
		r.ApplyCooldown(Cooldown{Deployment: "a", Until: time.Now().Add(10 * time.Second), Fatal: false, Reason: "x"})
		if cools(r) != 29500*time.Millisecond {
			t.Errorf("%v left after a shorter word from elsewhere", cools(r))
		}
		r.ApplyCooldown(Cooldown{Deployment: "a", Until: time.Now().Add(100 * time.Second), Fatal: false, Reason: "x"})
		r.ApplyCooldown(Cooldown{Deployment: "nobody", Until: time.Now().Add(100 * time.Second), Fatal: false, Reason: "x"})
		r.ApplyCooldown(Cooldown{Deployment: "a", Until: time.Now().Add(-time.Second), Fatal: true, Reason: "x"})
		if cools(r) != 100*time.Second {
			t.Errorf("%v left after a longer word from elsewhere", cools(r))
		}
	})
}

func TestCooldownSink(t *testing.T) {
	var told []Cooldown
	sink := WithCooldownSink(func(c Cooldown) { told = append(told, c) })
	inWorld(t, Config{NumRetries: &retries0}, map[string]respond{"a": status(429, "Retry-After", "30")}, func(t *testing.T, r *Router, w *world) {
		doAll(r, 10, g)
		r.ApplyCooldown(Cooldown{Deployment: "a", Until: time.Now().Add(time.Minute), Fatal: false, Reason: "said by others"})
		pass(61 * time.Second)
		w.set("a", status(429, "retry-after-ms", "20"))
		r.Do(background, g)
		pass(time.Second * 10)
		w.set("a", status(401))
		r.Do(background, g)
		if len(told) != 3 {
			t.Fatalf("%+v", told)
		}
		if c := told[0]; c.Deployment != "a" || c.Fatal || !strings.Contains(c.Reason, "429") && !strings.Contains(c.Reason, "rate_limited") {
			t.Errorf("%+v", c)
		}
		if c := told[2]; !c.Fatal || time.Until(c.Until) != DefaultFatalRetry {
			t.Errorf("%+v", c)
		}
	}, sink)
}

// Another process's word on a key spares us the call.
func TestHearFatal(t *testing.T) {
	inWorld(t, Config{}, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
		r.ApplyCooldown(Cooldown{Deployment: "a", Until: time.Now().Add(time.Minute), Fatal: true, Reason: "the key is wrong"})
		out := r.Do(background, g)
		if out.Error == nil || out.Error.Code != schema.CodeNoDeployment || !strings.Contains(out.Error.Message, "the key is wrong") || w.went() != "" {
			t.Errorf("%v: %s", out.Error, w.went())
		}
		pass(time.Minute)
		if out := r.Do(background, g); out.Error != nil {
			t.Error(out.Error)
		}
	})
}

func TestFatalTakesTheDeploymentOut(t *testing.T) {
	var logged bytes.Buffer
	logger := WithLogger(zerolog.New(&logged).Level(zerolog.InfoLevel))
	inWorld(t, Config{}, map[string]respond{"a": status(401), "b": status(200)}, func(t *testing.T, r *Router, w *world) {
		for range 10 {
			if out := r.Do(background, g); out.Error != nil {
				t.Fatal(out.Error)
			}
		}
		if w.count("a") != 1 {
			t.Errorf("called %d times", w.count("a"))
		}
		// After a while one call tries again, however many there are.
		pass(DefaultFatalRetry)
		w.set("a", after(time.Second, status(401)))
		doAll(r, 10, g)
		if w.count("a") != 2 || strings.Count(logged.String(), "cannot serve") != 1 {
			t.Errorf("called %d times, logged %s", w.count("a"), logged.String())
		}
		pass(DefaultFatalRetry)
		w.set("a", status(200))
		r.Do(background, g)
		r.Do(background, g)
		if w.count("a") != 4 || strings.Count(logged.String(), "serves again") != 1 {
			t.Errorf("called %d times, logged %s", w.count("a"), logged.String())
		}
	}, logger)
}

// What one model or one endpoint lacks is no reason to leave out the others.
func TestFatalHasAScope(t *testing.T) {
	any := []Deployment{{ID: "a", Group: "*", Model: "*", BaseURL: "http://a/v1"}}
	inWorld(t, Config{Deployments: any}, map[string]respond{"a": errorBody(404, `{"error":{"code":"model_not_found","message":"no such model"}}`)}, func(t *testing.T, r *Router, w *world) {
		for range 2 { // one request alone may be wrong about it
			if out := r.Do(background, chat("typo")); out.Error.Code != "model_not_found" {
				t.Error(out.Error)
			}
		}
		if out := r.Do(background, chat("typo")); out.Error.Code != schema.CodeNoDeployment || w.count("a") != 2 {
			t.Error(out.Error)
		}
		w.set("a", status(200))
		if out := r.Do(background, chat("right")); out.Error != nil {
			t.Error(out.Error)
		}
		w.set("a", errorBody(404, `{"detail":"Not Found"}`))
		req := chat("right")
		req.Endpoint = schema.Moderations
		if out := r.Do(background, req); out.Error.Class != schema.ClassUpstreamFatal {
			t.Error(out.Error)
		}
		w.set("a", status(200))
		if out := r.Do(background, chat("right")); out.Error != nil {
			t.Error(out.Error)
		}
		w.set("a", status(401))
		r.Do(background, chat("right"))
		if out := r.Do(background, chat("other")); out.Error.Code != schema.CodeNoDeployment {
			t.Error(out.Error)
		}
	})
}
