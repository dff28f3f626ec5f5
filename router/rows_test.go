package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

// What users of LiteLLM's router rely on, row by row, over HTTP. What needs
// hours or exact moments is tested in fake time beside each feature.

func llm(t *testing.T, config faultyllm.Config) *faultyllm.Server {
	t.Helper()
	srv, err := faultyllm.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func on(srv *faultyllm.Server, id, group string, change ...func(*Deployment)) Deployment {
	d := Deployment{ID: id, Group: group, Model: "m", BaseURL: srv.URL()}
	for _, f := range change {
		f(&d)
	}
	return d
}

func ask1(group, text string, mock string) Request {
	if mock != "" {
		mock = `,"mock":` + mock
	}
	return Request{Body: json.RawMessage(fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, group, text, mock))}
}

// run1 runs n requests, at most c at once, and returns their outcomes.
func run1(t *testing.T, r *Router, n, c int, group string) []Outcome {
	t.Helper()
	outs := make([]Outcome, n)
	places := make(chan struct{}, c)
	var wg sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			outs[i] = r.Do(background, waiting(ask1(group, fmt.Sprint(i), "")))
			<-places
		})
	}
	wg.Wait()
	for i, out := range outs {
		wantConsistent(t, out)
		if out.Error != nil {
			t.Fatalf("request %d: %v", i, out.Error)
		}
	}
	return outs
}

func TestRows(t *testing.T) {
	fast := func() *faultyllm.Server { return llm(t, faultyllm.Config{}) }
	slow := func(d time.Duration) *faultyllm.Server { return llm(t, faultyllm.Config{Latency: d}) }
	down := func(f faultyllm.Fault) *faultyllm.Server {
		return llm(t, faultyllm.Config{Faults: faultyllm.Rates{f: 1}})
	}
	for name, test := range map[string]func(t *testing.T){
		"model group and deployments": func(t *testing.T) {
			a, b, c := fast(), fast(), fast()
			wild := Deployment{ID: "c", Group: "openai/*", Model: "*", BaseURL: c.URL()}
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g"), wild}})
			run1(t, r, 60, 4, "g")
			out := r.Do(background, ask1("openai/x", "hi", ""))
			if a.Stats().Calls < 10 || b.Stats().Calls < 10 || c.Stats().Calls != 1 || out.Attempts[0].Model != "x" {
				t.Error(a.Stats().Calls, b.Stats().Calls, c.Stats().Calls)
			}
		},
		"simple-shuffle": func(t *testing.T) {
			a, b := fast(), fast()
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g", func(d *Deployment) { d.Weight = ptr(3.0) })}})
			run1(t, r, 400, 4, "g")
			if n := b.Stats().Calls; n < 250 || n > 350 {
				t.Errorf("three of four: %d of 400", n)
			}
		},
		"least-busy": func(t *testing.T) {
			a, b := slow(200*time.Millisecond), slow(20*time.Millisecond)
			r := start(t, &Config{Strategy: LeastBusy, Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g")}})
			run1(t, r, 60, 10, "g")
			if a.Stats().Peak > 7 || a.Stats().Calls >= b.Stats().Calls {
				t.Errorf("%+v", a.Stats())
			}
		},
		"usage-based-routing": func(t *testing.T) {
			a, b := llm(t, faultyllm.Config{Answer: strings.Repeat("long ", 500)}), llm(t, faultyllm.Config{Answer: "short"})
			r := start(t, &Config{Strategy: UsageBased, Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g")}})
			run1(t, r, 30, 1, "g")
			if a.Stats().Calls > 3 {
				t.Errorf("the one that uses more got %d", a.Stats().Calls)
			}
		},
		"latency-based-routing": func(t *testing.T) {
			a, b := slow(50*time.Millisecond), slow(time.Millisecond)
			r := start(t, &Config{Strategy: LatencyBased, Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g")}})
			run1(t, r, 30, 1, "g")
			if a.Stats().Calls != 1 {
				t.Errorf("the slow one got %d", a.Stats().Calls)
			}
		},
		"cost-based-routing": func(t *testing.T) {
			a, b := fast(), fast()
			r := start(t, &Config{Strategy: CostBased, Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g", func(d *Deployment) { d.Prices = Prices{Input: ptr(1.0), Output: ptr(1.0)} })}})
			if outs := run1(t, r, 5, 1, "g"); a.Stats().Calls != 0 || outs[0].Cost == nil || *outs[0].Cost != float64(outs[0].Usage.TotalTokens) {
				t.Errorf("%d, %v", a.Stats().Calls, outs[0].Cost)
			}
		},
		"order": func(t *testing.T) {
			a, b := down(faultyllm.FaultUnavailable), fast()
			order := func(n int) func(*Deployment) { return func(d *Deployment) { d.Order = n } }
			r := start(t, &Config{Deployments: []Deployment{on(b, "b", "g", order(2)), on(a, "a", "g", order(1))}}, noWait)
			if out := r.Do(background, ask1("g", "hi", "")); went(out) != "a b" {
				t.Errorf("went to %s", went(out))
			}
		},
		"rpm": func(t *testing.T) {
			a := llm(t, faultyllm.Config{KeepTimes: 1000})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.RPM = 1200 })}})
			run1(t, r, 30, 30, "g") // ten at once and one per 50 ms
			wantRate(t, a.Arrivals(), 20, 10)
		},
		"tpm": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Answer: "ok", KeepTimes: 1000})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.TPM = 6000 })}})
			begin := time.Now()
			tokens := int64(0)
			for _, out := range run1(t, r, 12, 12, "g") {
				tokens += out.Usage.TotalTokens
			}
			// 100 a second, 50 at once: what was used after that had to be waited for.
			if least := time.Duration(tokens-80) * 10 * time.Millisecond; time.Since(begin) < least {
				t.Errorf("%d tokens in %v", tokens, time.Since(begin))
			}
		},
		"max_parallel_requests": func(t *testing.T) {
			a := slow(20 * time.Millisecond)
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.MaxParallel = 3 })}})
			if run1(t, r, 30, 30, "g"); a.Stats().Peak != 3 {
				t.Errorf("%d at once", a.Stats().Peak)
			}
		},
		"cooldown": func(t *testing.T) {
			a := llm(t, faultyllm.Config{OutageTo: 300 * time.Millisecond})
			r := start(t, &Config{CooldownTime: ptr(100 * time.Millisecond), NumRetries: ptr(5), Deployments: []Deployment{on(a, "a", "g")}})
			run1(t, r, 40, 40, "g")
			if n := a.Stats().Calls; n > 40+40+40+8 { // each once or twice before it is noticed, and some probes
				t.Errorf("%d calls for 40 requests in an outage of three cooldowns", n)
			}
		},
		"allowed_fails": func(t *testing.T) {
			a := down(faultyllm.FaultServerError)
			r := start(t, &Config{AllowedFails: ptr(0), NumRetries: ptr(3), Deployments: []Deployment{on(a, "a", "g")}})
			replaceable(r)
			if out := r.Do(background, ask1("g", "hi", "")); out.Park == nil || len(out.Attempts) != 1 {
				t.Errorf("%+v", out)
			}
		},
		"num_retries": func(t *testing.T) {
			a := down(faultyllm.FaultServerError)
			r := start(t, &Config{NumRetries: ptr(3), Deployments: []Deployment{on(a, "a", "g")}}, noWait)
			req := ask1("g", "hi", "")
			if out := r.Do(background, req); len(out.Attempts) != 4 || a.Stats().Calls != 4 {
				t.Errorf("%d attempts, %d calls", len(out.Attempts), a.Stats().Calls)
			}
		},
		"what retries": func(t *testing.T) {
			a := fast()
			r := start(t, &Config{CooldownTime: new(time.Duration), FatalRetry: 1, Deployments: []Deployment{on(a, "a", "g")}}, noWait)
			for status, calls := range map[int]int{400: 1, 401: 1, 403: 1, 404: 1, 408: 3, 409: 3, 413: 1, 422: 1, 429: 3, 500: 3, 502: 3, 503: 3, 529: 3} {
				out := r.Do(background, ask1("g", fmt.Sprint(status), fmt.Sprintf(`{"status":%d}`, status)))
				if len(out.Attempts) != calls {
					t.Errorf("%d: %d attempts, want %d: %v", status, len(out.Attempts), calls, out.Error)
				}
			}
		},
		"sleep": func(t *testing.T) {
			a, b := down(faultyllm.FaultServerError), fast()
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g")}}, noWait)
			if out := r.Do(background, ask1("g", "hi", "")); went(out) != "a b" || out.Attempts[1].WaitedMs > 1 {
				t.Errorf("another was healthy: %+v", out.Attempts)
			}
			r = start(t, &Config{Deployments: []Deployment{on(a, "a", "g")}, NumRetries: ptr(1)}, func(s *settings) { s.rand = func() float64 { return 0.2 } })
			begin := time.Now()
			out := r.Do(background, ask1("g", "x", ""))
			if took := time.Since(begin); took < 100*time.Millisecond || took > 190*time.Millisecond || out.Attempts[1].WaitedMs < 100 {
				t.Errorf("one pause of 100 ms, none at the end: %v", took)
			}
			out = r.Do(background, waiting(ask1("g", "y", `{"status":429,"retry_after":0.3,"times":1}`)))
			if out.Error != nil || out.Attempts[1].WaitedMs < 290 {
				t.Errorf("Retry-After: %+v", out)
			}
		},
		"retry_policy": func(t *testing.T) {
			a := fast()
			r := start(t, &Config{CooldownTime: new(time.Duration), RetryPolicy: PerFailure{RateLimit: ptr(4), InternalServer: ptr(0)}, Deployments: []Deployment{on(a, "a", "g")}}, noWait)
			if out := r.Do(background, ask1("g", "a", `{"status":429}`)); len(out.Attempts) != 5 {
				t.Errorf("%d attempts", len(out.Attempts))
			}
			if out := r.Do(background, ask1("g", "b", `{"status":500}`)); len(out.Attempts) != 1 {
				t.Errorf("%d attempts", len(out.Attempts))
			}
		},
		"model_group_retry_policy": func(t *testing.T) {
			a := down(faultyllm.FaultServerError)
			r := start(t, &Config{
				CooldownTime: new(time.Duration), RetryPolicy: PerFailure{InternalServer: ptr(1)},
				GroupRetryPolicy: map[string]PerFailure{"h": {InternalServer: ptr(3)}, "i": {InternalServer: ptr(0)}},
				Deployments:      []Deployment{on(a, "a", "g"), on(a, "b", "h"), on(a, "c", "i")},
			}, noWait)
			for group, attempts := range map[string]int{"g": 2, "h": 4, "i": 1} {
				if out := r.Do(background, ask1(group, group, "")); len(out.Attempts) != attempts {
					t.Errorf("%s: %d attempts, want %d", group, len(out.Attempts), attempts)
				}
			}
		},
		"fallbacks": func(t *testing.T) {
			a := fast()
			r := start(t, &Config{
				NumRetries: ptr(0), Deployments: []Deployment{on(a, "a", "g"), on(a, "b", "h"), on(a, "c", "long"), on(a, "d", "lax")},
				Fallbacks:              map[string][]string{"g": {"h"}, "h": {"g"}},
				ContextWindowFallbacks: map[string][]string{"g": {"long"}}, ContentPolicyFallbacks: map[string][]string{"g": {"lax"}},
			}, noWait)
			for mock, want := range map[string]string{
				`{"fault":"server_error","times":1}`: "a b", `{"fault":"server_error"}`: "a b",
				`{"fault":"context_length","times":1}`: "a c", `{"fault":"content_filter","times":1}`: "a d", `{"fault":"bad_request"}`: "a",
			} {
				if out := r.Do(background, ask1("g", mock, mock)); went(out) != want {
					t.Errorf("%s went to %s, want %s", mock, went(out), want)
				}
			}
		},
		"default_fallbacks": func(t *testing.T) {
			a := down(faultyllm.FaultServerError)
			r := start(t, &Config{
				NumRetries: ptr(0), CooldownTime: new(time.Duration), DefaultFallbacks: []string{"spare", "g"}, Fallbacks: map[string][]string{"own": {"h"}},
				Deployments: []Deployment{on(a, "a", "g"), on(a, "b", "own"), on(a, "c", "h"), on(a, "d", "spare")},
			}, noWait)
			// The general list is for groups without one; no group comes twice.
			for group, want := range map[string]string{"g": "a d", "own": "b c d a", "spare": "d a"} {
				if out := r.Do(background, ask1(group, group, "")); went(out) != want {
					t.Errorf("%s went to %s, want %s", group, went(out), want)
				}
			}
		},
		"fallbacks: one total budget": func(t *testing.T) {
			a := down(faultyllm.FaultServerError)
			r := start(t, &Config{
				NumRetries: ptr(2), MaxAttempts: 4, CooldownTime: new(time.Duration), Fallbacks: map[string][]string{"g": {"h"}, "h": {"i"}},
				Deployments: []Deployment{on(a, "a", "g"), on(a, "b", "h"), on(a, "c", "i")},
			}, noWait)
			if out := r.Do(background, ask1("g", "hi", "")); went(out) != "a a a b" || a.Stats().Calls != 4 {
				t.Errorf("went to %s in %d calls", went(out), a.Stats().Calls)
			}
		},
		"timeouts": func(t *testing.T) {
			a, b := down(faultyllm.FaultHang), fast()
			r := start(t, &Config{Timeout: 50 * time.Millisecond, Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "g")}}, noWait)
			out := r.Do(background, ask1("g", "hi", ""))
			if went(out) != "a b" || out.Error != nil || out.Attempts[0].Error.Code != schema.CodeTimeout {
				t.Errorf("%+v", out)
			}
		},
		"pre-call checks": func(t *testing.T) {
			a, b := fast(), fast()
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.MaxInputTokens = 50 }), on(b, "b", "g")}}, noWait)
			r.Do(background, ask1("g", strings.Repeat("word ", 200), ""))
			if a.Stats().Calls != 0 || b.Stats().Calls != 1 {
				t.Error(a.Stats().Calls, b.Stats().Calls)
			}
		},
		"tags, aliases": func(t *testing.T) {
			a, b := fast(), fast()
			tag := func(tag string) func(*Deployment) { return func(d *Deployment) { d.Tags = []string{tag} } }
			r := start(t, &Config{Aliases: map[string]string{"gpt-4": "g"}, Deployments: []Deployment{on(a, "a", "g", tag("free")), on(b, "b", "g", tag("paid"))}})
			for range 10 {
				req := ask1("gpt-4", "hi", "")
				req.Tags = []string{"paid"}
				r.Do(background, req)
			}
			if a.Stats().Calls != 0 || b.Stats().Calls != 10 {
				t.Error(a.Stats().Calls, b.Stats().Calls)
			}
		},
		// What LiteLLM plays inside its router happens here too, and no flag of its
		// mocks goes out. A body does not say what the answer is to be.
		"mocks": func(t *testing.T) {
			a, b := fast(), llm(t, faultyllm.Config{KeepBodies: 1})
			r := start(t, &Config{
				NumRetries: ptr(0), Fallbacks: map[string][]string{"g": {"h"}},
				Deployments: []Deployment{on(a, "a", "g"), on(b, "b", "h", func(d *Deployment) { d.Model = "h" })},
			}, noWait)
			req := ask1("g", "hi", `{},"mock_testing_fallbacks":true`)
			out := r.Do(background, req)
			if went(out) != "b" || out.Error != nil {
				t.Fatalf("went to %s: %v", went(out), out.Error)
			}
			want := strings.Replace(strings.Replace(string(req.Body), `"model":"g"`, `"model":"h"`, 1), `,"mock_testing_fallbacks":true`, "", 1)
			if got := string(b.Bodies()[0]); got != want {
				t.Errorf("sent %s, want %s", got, want)
			}
			out = r.Do(background, ask1("g", "hi", `{},"mock_response":"hello"`))
			if went(out) != "" || out.Error == nil || out.Error.Class != schema.ClassRequestFatal || a.Stats().Calls > 0 {
				t.Errorf("went to %s: %v", went(out), out.Error)
			}
		},
		"errors": func(t *testing.T) {
			a := fast()
			for name, want := range map[string]struct {
				mock  string
				class schema.Class
			}{
				"400":                    {`{"status":400}`, schema.ClassRequestFatal},
				"400 unsupported params": {`{"status":400,"code":"unsupported_parameter"}`, schema.ClassRequestFatal},
				"400 context window":     {`{"fault":"context_length"}`, schema.ClassContextWindow},
				"400 content policy":     {`{"fault":"content_filter"}`, schema.ClassContentPolicy},
				"401":                    {`{"status":401}`, schema.ClassUpstreamFatal},
				"403":                    {`{"status":403}`, schema.ClassUpstreamFatal},
				"404":                    {`{"fault":"model_not_found"}`, schema.ClassUpstreamFatal},
				"408":                    {`{"status":408}`, schema.ClassTransient},
				"409":                    {`{"status":409}`, schema.ClassTransient},
				"422":                    {`{"status":422}`, schema.ClassRequestFatal},
				"429":                    {`{"status":429}`, schema.ClassRateLimited},
				"429 no quota":           {`{"fault":"quota"}`, schema.ClassUpstreamFatal},
				"500":                    {`{"status":500}`, schema.ClassTransient},
				"503":                    {`{"status":503}`, schema.ClassTransient},
			} {
				r := start(t, &Config{CooldownTime: new(time.Duration), NumRetries: ptr(0), Deployments: []Deployment{on(a, "a", "g")}}, noWait)
				out := r.Do(background, ask1("g", name, want.mock))
				if out.Error == nil || out.Error.Class != want.class || fmt.Sprint(out.Error.StatusCode) != name[:3] || out.Error.Message == "" {
					t.Errorf("%s: %+v, want class %s", name, out.Error, want.class)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
	}
}

// wantRate checks that no span of time saw more calls than rate and burst allow.
// Arrivals are noted a little late, now more and now less.
func wantRate(t *testing.T, at []time.Time, perSecond float64, burst int) {
	t.Helper()
	slices.SortFunc(at, time.Time.Compare)
	for i := range at {
		for j := i; j < len(at); j++ {
			span := at[j].Sub(at[i]) + 25*time.Millisecond
			if most := float64(burst) + perSecond*span.Seconds(); float64(j-i+1) > most+1 {
				t.Fatalf("%d calls within %v", j-i+1, span)
			}
		}
	}
}

// Lessons from LiteLLM's issue tracker, by number.
func TestLessons(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"5783, 2798: a token limit holds under concurrency": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Latency: 10 * time.Millisecond, Answer: "ok"})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.TPM = 6000 })}})
			var parked int
			var wg sync.WaitGroup
			var mu sync.Mutex
			for i := range 60 { // each reserves 1,000 of 6,000 a minute: the second one waits ten seconds
				wg.Go(func() {
					req := Request{Body: json.RawMessage(fmt.Sprintf(`{"model":"g","max_tokens":1000,"messages":[{"role":"user","content":"%d"}],"mock":{"latency_ms":5000}}`, i))}
					ctx, cancel := context.WithTimeout(background, 300*time.Millisecond)
					defer cancel()
					if out := r.Do(ctx, req); out.Park != nil {
						mu.Lock()
						parked++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if a.Stats().Peak != 1 || parked < 50 {
				t.Errorf("%d at once, %d parked", a.Stats().Peak, parked)
			}
		},
		"10875: limits hold over short spans too": func(t *testing.T) {
			a := llm(t, faultyllm.Config{KeepTimes: 1000})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.RPM = 3000 })}})
			run1(t, r, 80, 80, "g")
			wantRate(t, a.Arrivals(), 50, 25)
		},
		"18116: a place is held to the last byte": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Faults: faultyllm.Rates{faultyllm.FaultSlow: 1}, SlowBytesPerSecond: 5000})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.MaxParallel = 2 })}})
			if run1(t, r, 8, 8, "g"); a.Stats().Peak != 2 {
				t.Errorf("%d at once", a.Stats().Peak)
			}
		},
		"16011: limits are those of all routers together": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Latency: 10 * time.Millisecond})
			shared := NewLimiter()
			var wg sync.WaitGroup
			for range 3 {
				r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.MaxParallel = 5 })}}, WithLimiter(shared))
				wg.Go(func() { run1(t, r, 20, 20, "g") })
			}
			if wg.Wait(); a.Stats().Peak > 5 || shared.InFlight("a") != 0 {
				t.Errorf("%d at once, %d left", a.Stats().Peak, shared.InFlight("a"))
			}
		},
		"18444, 38968, 21377: a failed primary is not chosen again": func(t *testing.T) {
			a, b, c := llm(t, faultyllm.Config{Outage: true}), llm(t, faultyllm.Config{Outage: true}), llm(t, faultyllm.Config{})
			r := start(t, &Config{CooldownTime: new(time.Duration), Deployments: []Deployment{
				on(a, "a", "g", func(d *Deployment) { d.Order = 1 }), on(b, "b", "g", func(d *Deployment) { d.Order = 2 }), on(c, "c", "g", func(d *Deployment) { d.Order = 3 }),
			}})
			for range 10 {
				if out := r.Do(background, ask1("g", "hi", "")); went(out) != "a b c" {
					t.Fatalf("went to %s", went(out))
				}
			}
		},
		"20722: the latest header counts": func(t *testing.T) {
			a := llm(t, faultyllm.Config{})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g")}}, noWait)
			out := r.Do(background, ask1("g", "hi", `{"status":429,"retry_after":0.2,"times":2}`))
			if out.Error != nil || out.Attempts[1].WaitedMs < 190 || out.Attempts[2].WaitedMs < 190 || out.Attempts[2].WaitedMs > 390 {
				t.Errorf("%+v", out)
			}
		},
		"3646, 361: who can wait does not fail": func(t *testing.T) {
			a := llm(t, faultyllm.Config{RateLimit: 10, RateWindow: 300 * time.Millisecond})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g")}})
			run1(t, r, 40, 10, "g")
		},
		"27823, 40718: no deployment without a time": func(t *testing.T) {
			a := llm(t, faultyllm.Config{})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g")}})
			r.Do(background, ask1("g", "first", `{"status":429,"retry_after":60}`))
			req := waiting(ask1("g", "second", ""))
			req.Timeout = time.Second
			var late *NotReadyError
			if out := r.Do(background, req); !errors.As(out.Err(), &late) || time.Until(late.ReadyAt) < 58*time.Second || time.Until(late.ReadyAt) > time.Minute {
				t.Errorf("%v", out.Err())
			}
		},
		"6498, 7091, 19985, 36148: loops of fallbacks end": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Outage: true})
			r := start(t, &Config{
				Deployments: []Deployment{on(a, "a", "g"), on(a, "b", "h")}, CooldownTime: new(time.Duration),
				Fallbacks: map[string][]string{"g": {"h", "g"}, "h": {"g"}, "*": {"g", "h"}},
			}, noWait)
			if out := r.Do(background, ask1("g", "hi", "")); len(out.Attempts) != 6 {
				t.Errorf("%d attempts", len(out.Attempts))
			}
		},
		"36148: a bad request writes little to the log": func(t *testing.T) {
			a := llm(t, faultyllm.Config{})
			var log bytes.Buffer
			r := start(t, &Config{
				NumRetries: ptr(5), CooldownTime: new(time.Duration), Deployments: []Deployment{on(a, "a", "g"), on(a, "b", "h")},
				Fallbacks: map[string][]string{"g": {"h"}},
			}, noWait, WithLogger(zerolog.New(&log)))
			long := strings.Repeat("x", 1<<20)
			for status, attempts := range map[int]int{400: 1, 500: 12} {
				req := ask1("g", long, fmt.Sprintf(`{"status":%d,"message":%q}`, status, long))
				if out := r.Do(background, req); len(out.Attempts) != attempts || out.Error == nil {
					t.Errorf("%d attempts: %v", len(out.Attempts), out.Error.Code)
				}
			}
			if n := log.Len(); n == 0 || n > 64<<10 {
				t.Errorf("%d bytes of log for two requests of 1 MiB", n)
			}
		},
		// Priority among those who wait is a queue's affair: here nobody is passed over.
		"7144, 6867, 36774, 31830: who waits is served in order": func(t *testing.T) {
			a := llm(t, faultyllm.Config{KeepBodies: 20})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.MaxParallel = 1 })}})
			release := a.Hold()
			defer release()
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					if out := r.Do(background, waiting(ask1("g", fmt.Sprint(i), ""))); out.Error != nil {
						t.Error(out.Error)
					}
				})
				if i == 0 {
					if err := a.Wait(background, func(s faultyllm.Stats) bool { return s.InFlight == 1 }); err != nil {
						t.Fatal(err)
					}
				}
				d := r.deployments[0]
				for inLine := -1; inLine < i; { // until it stands in line
					d.mu.Lock()
					inLine = d.waitQueue.Len()
					d.mu.Unlock()
					runtime.Gosched()
				}
			}
			release()
			wg.Wait()
			for i, body := range a.Bodies() {
				if want := string(ask1("g", fmt.Sprint(i), "").Body); !strings.HasPrefix(string(body), strings.Replace(want, `"g"`, `"m"`, 1)) {
					t.Errorf("call %d was for %s", i, body)
				}
			}
		},
		"6957, 8648, 1226: a stream is tried again before its first byte": func(t *testing.T) {
			for _, fault := range []faultyllm.Fault{faultyllm.FaultUnavailable, faultyllm.FaultClose, faultyllm.FaultRateLimit, faultyllm.FaultHTML} {
				a := llm(t, faultyllm.Config{Answer: "one two three"})
				r := start(t, &Config{CooldownTime: new(time.Duration), Deployments: []Deployment{on(a, "a", "g")}}, noWait)
				h := &heard{}
				req := ask1("g", "hi", fmt.Sprintf(`{"fault":%q,"times":2}`, fault))
				req.Body = json.RawMessage(strings.Replace(string(req.Body), "{", `{"stream":true,`, 1))
				req.Listener = h
				out := r.Do(background, req)
				if out.Error != nil || len(out.Attempts) != 3 || len(h.chunks) == 0 {
					t.Fatalf("%s: %v after %d attempts, %d chunks", fault, out.Error, len(out.Attempts), len(h.chunks))
				}
				for _, c := range h.chunks { // of what failed the listener knows nothing
					if c.attempt != 3 {
						t.Errorf("%s: a chunk of attempt %d: %s", fault, c.attempt, c.data)
					}
				}
			}
		},
		"6404, 12685, 14384, 15128, 17388: nothing piles up": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Faults: faultyllm.Rates{faultyllm.FaultModelNotFound: 1}, MaxIdentities: 10})
			r := start(t, &Config{Deployments: []Deployment{{ID: "a", Group: "*", Model: "*", BaseURL: a.URL()}}})
			for i := range 1500 {
				r.Do(background, ask1(fmt.Sprint("model-", i), "hi", ""))
			}
			d := r.deployments[0]
			if len(d.outages) > maxOutages || d.waitQueue.Len() != 0 || d.inFlight.Load() != 0 {
				t.Errorf("%d outages, %d in line, %d in flight", len(d.outages), d.waitQueue.Len(), d.inFlight.Load())
			}
		},
		"37140, 30223: who goes away ends the call": func(t *testing.T) {
			a := llm(t, faultyllm.Config{Faults: faultyllm.Rates{faultyllm.FaultHang: 1}})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.MaxParallel = 1 })}})
			ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
			defer cancel()
			r.Do(ctx, ask1("g", "hi", ""))
			if err := a.Wait(background, func(s faultyllm.Stats) bool { return s.Aborted == 1 && s.InFlight == 0 }); err != nil {
				t.Error(err)
			}
			if s := r.Status()[0]; s.InFlight != 0 {
				t.Errorf("%+v", s)
			}
		},
		"527, 3793, 5940: a batch keeps the rate by itself": func(t *testing.T) {
			a := llm(t, faultyllm.Config{RateLimit: 26, RateWindow: time.Second})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.RPM = 1200 })}})
			if run1(t, r, 50, 50, "g"); a.Stats().Statuses[http.StatusTooManyRequests] > 0 {
				t.Errorf("%v", a.Stats().Statuses)
			}
		},
		"35357, 37217: spend is counted once": func(t *testing.T) {
			a := llm(t, faultyllm.Config{})
			r := start(t, &Config{Deployments: []Deployment{on(a, "a", "g", func(d *Deployment) { d.Prices = Prices{Input: ptr(1.0), Output: ptr(1.0)} })}}, noWait)
			out := r.Do(background, ask1("g", "hi", `{"status":503,"times":2}`))
			if out.Cost == nil || *out.Cost != float64(out.Usage.TotalTokens) || len(out.Attempts) != 3 {
				t.Errorf("%+v", out)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
	}
}
