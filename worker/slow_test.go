//go:build slow

package worker_test

import (
	"context"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// An upstream is away for 20 seconds: nothing is lost, no request is tried more
// often than it may be, and what the upstream sees are probes.
func TestLongOutage(t *testing.T) {
	const total, concurrency = 1000, 16
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 50 * time.Millisecond}))
	e.Worker(defaultQueue)
	run := func(id string, outage time.Duration) (took time.Duration, refused int) {
		t.Helper()
		before := e.LLM.Stats()
		began := time.Now()
		h, err := e.Client().Submit(e.Ctx(), schema.Job{ID: id, Requests: testenv.Chats(total), Concurrency: concurrency})
		if err != nil {
			t.Fatal(err)
		}
		if outage > 0 {
			if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.Answered-before.Answered > total/2 }); err != nil {
				t.Fatal(err)
			}
			e.LLM.SetOutage(true)
			timer := time.AfterFunc(outage, func() { e.LLM.SetOutage(false) })
			defer timer.Stop()
		}
		n := 0
		for r, err := range h.Results(e.Ctx()) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Err() != nil || len(r.Attempts) > 1+router.DefaultNumRetries {
				t.Errorf("result %d: %v after %d attempts", r.Index, r.Err(), len(r.Attempts))
			}
			n++
		}
		if n != total {
			t.Errorf("%d results", n)
		}
		return time.Since(began), e.LLM.Stats().Statuses[503] - before.Statuses[503]
	}
	plain, _ := run("plain", 0)
	const away = 20 * time.Second
	took, refused := run("outage", away)
	t.Logf("without: %s; with 20 s of outage: %s, which is %s more than the outage; %d calls were refused meanwhile",
		plain.Round(time.Millisecond), took.Round(time.Millisecond), (took - plain - away).Round(time.Millisecond), refused)
	if late := took - plain - away; late > 10*time.Second {
		t.Errorf("it ended %s later than the outage accounts for, at most 10 s are asked", late.Round(time.Millisecond))
	}
	if refused > 3*concurrency {
		t.Errorf("%d calls while the upstream was away", refused)
	}
}

// The upstream's capacity changes under the run. What adaptive concurrency
// finds out is held against a run that is told each capacity in advance.
func TestAdaptiveConcurrency(t *testing.T) {
	const perPhase, latency = 16000, 100 * time.Millisecond
	capacities := []int{64, 16, 128}
	weights := []int{4, 1, 8} // so that the phases take alike
	upstream := func() *testenv.Env {
		return testenv.New(t, testenv.LLM(faultyllm.Config{Latency: latency, MaxParallel: capacities[0]}))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	size := func(phase int) int { return perPhase * weights[phase] / 8 }

	told := upstream()
	told.Worker(defaultQueue)
	began := time.Now()
	for phase, capacity := range capacities {
		told.LLM.SetMaxParallel(capacity)
		if _, err := told.Client().Run(ctx, schema.Job{Requests: testenv.Chats(size(phase)), Concurrency: capacity}); err != nil {
			t.Fatal(err)
		}
	}
	inAdvance := time.Since(began)

	e := upstream()
	e.Worker(defaultQueue, func(c *worker.Config) {
		c.Router = e.Router(func(rc *router.Config) { rc.Adaptive = true })
	})
	total := 0
	for phase := range capacities {
		total += size(phase)
	}
	began = time.Now()
	h, err := e.Client().Submit(ctx, schema.Job{Requests: testenv.Chats(total), Concurrency: 256})
	if err != nil {
		t.Fatal(err)
	}
	answered := 0
	for phase := range 2 {
		answered += size(phase)
		if err := e.LLM.Wait(ctx, func(s faultyllm.Stats) bool { return s.Answered >= answered }); err != nil {
			t.Fatal(err)
		}
		e.LLM.SetMaxParallel(capacities[phase+1])
	}
	state, err := h.Wait(ctx)
	if err != nil || state.Counts.Succeeded != total {
		t.Fatalf("%+v, %v", state, err)
	}
	adaptive := time.Since(began)
	s := e.LLM.Stats()
	ratio, refused := adaptive.Seconds()/inAdvance.Seconds(), float64(s.Refused)/float64(s.Calls)
	t.Logf("told in advance %s, adaptive %s: ratio %.3f; %.2f %% of %d calls answered 429", inAdvance.Round(time.Millisecond),
		adaptive.Round(time.Millisecond), ratio, 100*refused, s.Calls)
	if ratio > 1.15 {
		t.Errorf("ratio %.3f, at most 1.15 is asked", ratio)
	}
	if refused > 0.02 {
		t.Errorf("%.2f %% of calls were answered 429, under 2 %% is asked", 100*refused)
	}
}
