package router

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pelton/router/internal/adaptive"
)

// capacity is an upstream that takes so many calls at once and refuses the rest.
type capacity struct {
	mu       sync.Mutex
	limit    int
	busy     int
	peak     int
	calls    int
	refusals int
	latency  time.Duration
}

func (c *capacity) answer(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.calls++
	if c.busy >= c.limit {
		c.refusals++
		c.mu.Unlock()
		<-time.After(2 * time.Millisecond)
		return status(429)(req)
	}
	c.busy++
	c.peak = max(c.peak, c.busy)
	c.mu.Unlock()
	<-time.After(c.latency)
	c.mu.Lock()
	c.busy--
	c.mu.Unlock()
	return status(200)(req)
}

func (c *capacity) set(limit int) {
	c.mu.Lock()
	c.limit = limit
	c.mu.Unlock()
}

// Five: the capacity goes from 64 to 16 to 128. The run is to take at most 15 %
// longer than one that knows, and under 2 % of its calls are to be refused.
func TestAdaptiveFollowsCapacity(t *testing.T) {
	const latency, phase = 100 * time.Millisecond, 20 * time.Second
	limits := []int{64, 16, 128}
	known := 0 // what could be done
	for _, limit := range limits {
		known += limit * int(phase/latency)
	}
	up := &capacity{limit: limits[0], latency: latency}
	inWorld(t, Config{Adaptive: true, MaxConnsHint: 256}, map[string]respond{"a": up.answer}, func(t *testing.T, r *Router, w *world) {
		time.AfterFunc(phase, func() { up.set(limits[1]) })
		time.AfterFunc(2*phase, func() { up.set(limits[2]) })
		todo := make(chan struct{}, known)
		for range known {
			todo <- struct{}{}
		}
		close(todo)
		begin := time.Now()
		var wg sync.WaitGroup
		for range 256 {
			wg.Go(func() {
				for range todo {
					if out := r.Do(background, waiting(g)); out.Error != nil {
						t.Errorf("after %d attempts: %v", len(out.Attempts), out.Error)
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(begin)
		share := float64(up.refusals) / float64(up.calls)
		t.Logf("took %v instead of %v, %.2f %% refused, limit %+v", took, 3*phase, 100*share, r.Status()[0])
		if took > 3*phase*115/100 || share > 0.02 {
			t.Errorf("took %v instead of %v, %.2f %% refused", took, 3*phase, 100*share)
		}
	}, func(s *settings) { s.rand = rand.Float64 })
}

func TestLoss(t *testing.T) {
	limit := adaptive.New(20)
	callEnd{aborted: true, err: judge("http://h/v1", "", 429, nil, "").err, began: time.Now()}.teach(&limit, time.Now())
	if limit.Allowed() != 4 {
		t.Error("a call that we ended is a loss")
	}
	for _, code := range []int{400, 401, 404, 500, 502} {
		if (callEnd{err: judge("http://h/v1", "", code, nil, "").err}).loss() {
			t.Errorf("%d is a loss", code)
		}
	}
	for _, code := range []int{429, 503, 529} {
		if !(callEnd{err: judge("http://h/v1", "", code, nil, "").err}).loss() {
			t.Errorf("%d is no loss", code)
		}
	}
}

func TestStatus(t *testing.T) {
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.RPM, d.MaxParallel = 600, 3 }), at("b", "h"), at("c", "i")}
	inWorld(t, Config{Deployments: ds}, map[string]respond{"a": after(time.Second, status(200)), "b": status(401), "c": status(429, "Retry-After", "60")}, func(t *testing.T, r *Router, w *world) {
		r.Do(background, g)
		r.Do(background, chat("h"))
		r.Do(background, chat("i"))
		for range 5 {
			go r.Do(background, g)
		}
		pass(time.Millisecond)
		s := r.Status()
		if a := s[0]; a.ID != "a" || a.InFlight != 3 || a.Waiting != 2 || a.Limit != 3 || a.RPM != 600 || a.LatencyMs != 1000 || a.UsedTokens != 21 || a.UsedCalls != 1 || a.ErrorRate != 0 {
			t.Errorf("%+v", a)
		}
		if b := s[1]; !strings.Contains(b.Fatal, "401") || time.Until(b.FatalUntil) < time.Minute {
			t.Errorf("%+v", b)
		}
		if c := s[2]; time.Until(c.CooldownUntil) < 58*time.Second || c.CooldownReason == "" || c.ErrorRate != 1 {
			t.Errorf("%+v", c)
		}
		pass(5 * time.Second)
	})
}
