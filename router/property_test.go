package router

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"pelton/schema"
)

// For any mix of faults: attempts ≤ budget, no deployment twice in a row for
// errors that take it out, every request ends in exactly one class, and the time
// spent is within the deadline.
func TestPropertyAnyMixOfFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt)
		var failed string
		synctest.Test(t, func(t *testing.T) { failed = plan.run() })
		if failed != "" {
			rt.Fatalf("%s\n%+v", failed, plan)
		}
	})
}

// mix is a configuration, upstreams that fail by a script, and requests.
type mix struct {
	cfg      Config
	faults   []fate // of one call after the other, over and over
	requests int
	timeout  time.Duration
	parks    bool
	cancel   time.Duration // of the caller; 0: never
}

type fate struct {
	kind    string
	latency time.Duration
}

func drawPlan(t *rapid.T) mix {
	retries := rapid.IntRange(0, 3).Draw(t, "retries")
	m := mix{
		requests: rapid.IntRange(1, 12).Draw(t, "requests"),
		timeout:  time.Duration(rapid.IntRange(1, 120).Draw(t, "timeout")) * time.Second,
		parks:    rapid.Bool().Draw(t, "parks"),
		cfg: Config{
			NumRetries: &retries, Timeout: 20 * time.Second,
			Strategy: rapid.SampledFrom([]Strategy{SimpleShuffle, LeastBusy, UsageBased, LatencyBased, CostBased}).Draw(t, "strategy"),
			Adaptive: rapid.Bool().Draw(t, "adaptive"),
		},
	}
	if rapid.Bool().Draw(t, "cancelled") {
		m.cancel = time.Duration(rapid.IntRange(1, 60).Draw(t, "after")) * time.Second
	}
	if rapid.Bool().Draw(t, "cooldown off") {
		m.cfg.CooldownTime = new(time.Duration)
	}
	if rapid.Bool().Draw(t, "allowed fails") {
		m.cfg.AllowedFails = ptr(rapid.IntRange(0, 3).Draw(t, "allowed"))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "deployments") {
		d := at(fmt.Sprintf("h%d", i), rapid.SampledFrom([]string{"g", "g", "f"}).Draw(t, "group"))
		if i == 0 {
			d.Group = "g"
		}
		d.MaxParallel = rapid.IntRange(0, 2).Draw(t, "parallel")
		d.RPM = rapid.SampledFrom([]int{0, 0, 30, 600}).Draw(t, "rpm")
		d.Order = rapid.IntRange(0, 2).Draw(t, "order")
		m.cfg.Deployments = append(m.cfg.Deployments, d)
	}
	if slices.ContainsFunc(m.cfg.Deployments, func(d Deployment) bool { return d.Group == "f" }) {
		m.cfg.Fallbacks = map[string][]string{"g": {"f"}}
		m.cfg.ContextWindowFallbacks = map[string][]string{"g": {"f"}}
	}
	m.faults = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fate {
		return fate{
			kind:    rapid.SampledFrom([]string{"ok", "ok", "500", "503", "429", "429 soon", "429 late", "401", "404", "400", "too long", "filtered", "EOF", "hang", "error in 200", "no choices", "last one"}).Draw(t, "kind"),
			latency: time.Duration(rapid.IntRange(0, 3000).Draw(t, "latency")) * time.Millisecond,
		}
	}), 1, 10).Draw(t, "faults")
	return m
}

func (m mix) run() (failed string) {
	var mu sync.Mutex
	calls := 0
	upstream := roundTrip(func(req *http.Request) (*http.Response, error) {
		mu.Lock()
		f := m.faults[calls%len(m.faults)]
		calls++
		mu.Unlock()
		return after(f.latency, f.answer)(req)
	})
	r, err := New(&m.cfg, func(s *settings) { s.transport = upstream })
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	problem := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if failed == "" {
			failed = fmt.Sprintf(format, args...)
		}
	}
	var wg sync.WaitGroup
	for range m.requests {
		wg.Go(func() {
			if text := m.one(r); text != "" {
				problem("%s", text)
			}
		})
	}
	wg.Wait()
	for _, d := range r.deployments {
		d.mu.Lock()
		if n := d.inFlight.Load(); n != 0 || d.waitQueue.Len() != 0 || d.breaker.probing || d.reserved.Load() != 0 {
			problem("%s is left with %d in flight, %d in line, probing %v, %d reserved", d.ID, n, d.waitQueue.Len(), d.breaker.probing, d.reserved.Load())
		}
		if n := r.limiter.(*LocalLimiter).InFlight(d.ID); n != 0 {
			problem("%s is left with %d permits", d.ID, n)
		}
		for _, o := range d.outages {
			if o.probing {
				problem("%s is left probing", d.ID)
			}
		}
		d.mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}

// one runs a request to its end, parked or not, and says what it broke.
func (m mix) one(r *Router) string {
	ctx := context.Background()
	if m.cancel > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, m.cancel, &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "deadline"})
		defer cancel()
	}
	req := Request{Body: g.Body, Timeout: m.timeout, NoPark: !m.parks}
	var out Outcome
	spent := time.Duration(0)
	for range 5000 {
		begin := time.Now()
		out = r.Do(ctx, req)
		spent += time.Since(begin)
		if out.Park == nil {
			break
		}
		if out.Status != "" || out.Error != nil || out.Park.Left <= 0 || !out.Park.ReadyAt.After(time.Now()) || len(out.Attempts) < len(req.Earlier) {
			return fmt.Sprintf("parked as %+v, %+v", out, out.Park)
		}
		req.Earlier, req.Timeout = out.Attempts, out.Park.Left
		pass(time.Until(out.Park.ReadyAt))
	}
	groups := 1
	if m.cfg.Fallbacks != nil {
		groups = 2
	}
	limit := min(m.timeout, 1000*time.Hour)
	if m.cancel > 0 && !m.parks {
		limit = min(limit, m.cancel)
	}
	classes := []schema.Class{
		schema.ClassTransient, schema.ClassRateLimited, schema.ClassUpstreamFatal, schema.ClassRequestFatal, schema.ClassContextWindow,
		schema.ClassContentPolicy, schema.ClassTimeout, schema.ClassExpired,
	}
	budget := groups * (*m.cfg.NumRetries + 1)
	counted := 0 // but for those that said they are busy: most of them cost nothing
	for _, a := range out.Attempts {
		if a.Error == nil || a.Error.Class != schema.ClassRateLimited {
			counted++
		}
	}
	switch {
	case out.Park != nil:
		return "parked for ever"
	case counted > budget:
		return fmt.Sprintf("%d attempts of a budget of %d", counted, budget)
	case len(out.Attempts) > budget+maxRateLimited:
		return fmt.Sprintf("%d attempts", len(out.Attempts))
	case spent > limit:
		return fmt.Sprintf("spent %v of %v", spent, limit)
	case (out.Error == nil) != (out.Status == schema.StatusSucceeded):
		return fmt.Sprintf("%s with %v", out.Status, out.Error)
	case out.Error != nil && !slices.Contains(classes, out.Error.Class):
		return fmt.Sprintf("ends in class %q: %v", out.Error.Class, out.Error)
	}
	for i, a := range out.Attempts {
		if a.Error != nil && a.Error.Class == schema.ClassUpstreamFatal && i+1 < len(out.Attempts) && out.Attempts[i+1].Deployment == a.Deployment {
			return fmt.Sprintf("attempts %d and %d go to %s", i, i+1, a.Deployment)
		}
		if last := i == len(out.Attempts)-1; a.Error == nil && (!last || out.Error != nil) {
			return "a success was not the end"
		}
	}
	return ""
}

func (f fate) answer(req *http.Request) (*http.Response, error) {
	switch f.kind {
	case "500":
		return status(500)(req)
	case "503":
		return status(503)(req)
	case "429":
		return status(429)(req)
	case "429 soon":
		return status(429, "Retry-After", "1")(req)
	case "429 late":
		return status(429, "Retry-After", "45")(req)
	case "401":
		return status(401)(req)
	case "404":
		return errorBody(404, `{"error":{"code":"model_not_found","message":"no such model"}}`)(req)
	case "400":
		return status(400)(req)
	case "too long":
		return tooLong(req)
	case "filtered":
		return filtered(req)
	case "EOF":
		return nil, io.EOF
	case "hang":
		return hang(req)
	case "error in 200":
		return body200(`{"error":{"message":"x"}}`)(req)
	case "no choices":
		return body200(`{"choices":[]}`)(req)
	case "last one":
		return status(200, "x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "3s")(req)
	}
	return status(200)(req)
}
