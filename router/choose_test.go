package router

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pelton/schema"
)

func shares(t *testing.T, strategy Strategy, ds []Deployment, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	ok := map[string]respond{}
	for _, d := range ds {
		ok[d.ID] = status(200)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	inWorld(t, Config{Strategy: strategy, Deployments: ds}, ok, func(t *testing.T, r *Router, w *world) {
		for range n {
			if out := r.Do(background, g); out.Error != nil {
				t.Fatal(out.Error)
			}
		}
		for _, d := range ds {
			got[d.ID] = w.count(d.ID)
		}
	}, func(s *settings) { s.rand = dice.Float64; s.limiter = freeLimiter{} })
	return got
}

func TestSimpleShuffle(t *testing.T) {
	weight := func(w float64) func(*Deployment) { return func(d *Deployment) { d.Weight = &w } }
	rpm := func(n int) func(*Deployment) { return func(d *Deployment) { d.RPM = n } }
	tpm := func(n int) func(*Deployment) { return func(d *Deployment) { d.TPM = n } }
	for _, tt := range []struct {
		name string
		ds   []Deployment
		want map[string]int // of 1000
	}{
		{"weight", []Deployment{at("a", "g", weight(3)), at("b", "g", weight(1))}, map[string]int{"a": 750, "b": 250}},
		{"weight on the second only", []Deployment{at("a", "g"), at("b", "g", weight(9))}, map[string]int{"a": 100, "b": 900}},
		{"weight zero", []Deployment{at("a", "g", weight(0)), at("b", "g", weight(1))}, map[string]int{"a": 0, "b": 1000}},
		{"all zero", []Deployment{at("a", "g", weight(0)), at("b", "g", weight(0))}, map[string]int{"a": 500, "b": 500}},
		{"weight before rpm", []Deployment{at("a", "g", weight(1), rpm(9000)), at("b", "g", weight(1), rpm(1))}, map[string]int{"a": 500, "b": 500}},
		{"rpm", []Deployment{at("a", "g", rpm(9000)), at("b", "g", rpm(1000))}, map[string]int{"a": 900, "b": 100}},
		{"rpm on the second only", []Deployment{at("a", "g"), at("b", "g", rpm(9000))}, map[string]int{"a": 500, "b": 500}},
		{"tpm", []Deployment{at("a", "g", tpm(8000)), at("b", "g", tpm(2000))}, map[string]int{"a": 800, "b": 200}},
		{"nothing", []Deployment{at("a", "g"), at("b", "g"), at("c", "g"), at("d", "g")}, map[string]int{"a": 250, "b": 250, "c": 250, "d": 250}},
	} {
		got := shares(t, SimpleShuffle, tt.ds, 1000)
		for id, want := range tt.want {
			if n := got[id]; n < want-60 || n > want+60 {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
		}
	}
}

func TestLeastBusy(t *testing.T) {
	inWorld(t, Config{Strategy: LeastBusy}, map[string]respond{"a": after(10*time.Second, status(200)), "b": after(time.Second, status(200)), "c": after(3*time.Second, status(200))},
		func(t *testing.T, r *Router, w *world) {
			doAll(r, 30, g)
			if w.peak["a"] < 7 || w.peak["b"] < 7 || w.peak["c"] < 7 { // they choose at the same moment
				t.Errorf("at once: %v", w.peak)
			}
		})
}

func TestUsageBased(t *testing.T) {
	big := strings.Replace(okChat, `"total_tokens":21`, `"total_tokens":2100`, 1)
	inWorld(t, Config{Strategy: UsageBased}, map[string]respond{"a": body200(big), "b": status(200)}, func(t *testing.T, r *Router, w *world) {
		for range 52 {
			r.Do(background, g)
		}
		if w.count("a") != 1 {
			t.Errorf("the one that uses a hundred times as much got %d", w.count("a"))
		}
		// Calls in flight count as well, before anything is known of them.
		w.set("a", after(time.Second, status(200)))
		w.set("b", after(time.Second, status(200)))
		pass(5 * time.Minute)
		doAll(r, 40, Request{Body: []byte(`{"model":"g","max_tokens":1000}`)})
		if w.peak["a"] < 16 || w.peak["b"] < 16 { // they choose at the same moment
			t.Errorf("at once: %v", w.peak)
		}
	})
}

func TestLatencyBased(t *testing.T) {
	// b is slower in all, but writes ten times as much.
	long := strings.Replace(okChat, `"completion_tokens":12`, `"completion_tokens":1200`, 1)
	inWorld(t, Config{Strategy: LatencyBased}, map[string]respond{"a": after(time.Second, status(200)), "b": after(10*time.Second, body200(long))},
		func(t *testing.T, r *Router, w *world) {
			for range 12 {
				r.Do(background, g)
			}
			if w.count("a") != 1 || w.count("b") != 11 {
				t.Errorf("went to %s", w.went())
			}
			// What was seen long ago says nothing any more: one call looks again.
			pass(10 * time.Minute)
			w.set("a", after(time.Millisecond, status(200)))
			for range 5 {
				r.Do(background, g)
			}
			if n := w.count("a"); n < 4 {
				t.Errorf("the one that became quick got %d: %s", n, w.went())
			}
		})
}

func TestCostBased(t *testing.T) {
	price := func(in, out float64) func(*Deployment) {
		return func(d *Deployment) { d.Prices = Prices{Input: &in, Output: &out} }
	}
	got := shares(t, CostBased, []Deployment{at("unknown", "g"), at("dear", "g", price(1, 1)), at("cheap", "g", price(1, 0.5)), at("half", "g", func(d *Deployment) { d.Prices.Input = ptr(0.0) })}, 10)
	if got["cheap"] != 10 {
		t.Errorf("%v", got)
	}
	// An unknown price comes last, but it does come.
	ds := []Deployment{at("unknown", "g"), at("dear", "g", price(1, 1))}
	inWorld(t, Config{Strategy: CostBased, Deployments: ds}, map[string]respond{"unknown": status(200), "dear": status(500)}, func(t *testing.T, r *Router, w *world) {
		r.Do(background, g)
		if w.went() != "dear unknown" {
			t.Errorf("went to %s", w.went())
		}
	})
}

func TestOrderLevels(t *testing.T) {
	order := func(n int) func(*Deployment) { return func(d *Deployment) { d.Order = n } }
	ds := []Deployment{at("none", "g"), at("two", "g", order(2)), at("one", "g", order(1)), at("uno", "g", order(1))}
	inWorld(t, Config{Deployments: ds, NumRetries: &ten}, map[string]respond{"one": status(500), "uno": status(500), "two": status(500), "none": status(500)},
		func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, waiting(g))
			if got := went(out); !strings.HasPrefix(got, "one uno two none one") {
				t.Errorf("went to %s", got)
			}
		})
	// A level that is busy is passed over.
	ds[2].MaxParallel, ds[3].MaxParallel = 1, 1
	inWorld(t, Config{Deployments: ds}, map[string]respond{"one": after(time.Second, status(200)), "uno": after(time.Second, status(200)), "two": status(200), "none": status(200)},
		func(t *testing.T, r *Router, w *world) {
			doAll(r, 3, g)
			if w.count("one") != 1 || w.count("uno") != 1 || w.count("two") != 1 {
				t.Errorf("went to %s", w.went())
			}
		})
}

func TestTags(t *testing.T) {
	tags := func(tags ...string) func(*Deployment) { return func(d *Deployment) { d.Tags = tags } }
	mixed := []Deployment{at("free", "g", tags("free")), at("paid", "g", tags("paid", "eu")), at("std", "g", tags("default")), at("none", "g")}
	for _, tt := range []struct {
		name  string
		ds    []Deployment
		asked []string
		want  []string // empty: an error
	}{
		{"match", mixed, []string{"paid"}, []string{"paid"}},
		{"any of them", mixed, []string{"x", "eu", "free"}, []string{"free", "paid"}},
		{"no match", mixed, []string{"gold"}, []string{"std"}},
		{"none asked", mixed, nil, []string{"std"}},
		{"none asked, no default", mixed[:2], nil, []string{"free", "paid"}},
		{"no match, no default", mixed[:2], []string{"gold"}, nil},
		{"group without tags", mixed[3:], []string{"gold"}, nil},
		{"nothing at all", mixed[3:], nil, []string{"none"}},
	} {
		ok := map[string]respond{}
		for _, d := range tt.ds {
			ok[d.ID] = status(200)
		}
		inWorld(t, Config{Deployments: tt.ds, Strategy: LeastBusy}, ok, func(t *testing.T, r *Router, w *world) {
			req := g
			req.Tags = tt.asked
			for range 40 {
				out := r.Do(background, req)
				wantConsistent(t, out)
				if (out.Error == nil) != (len(tt.want) > 0) || out.Error != nil && (out.Error.Code != codeNoTag || out.Error.Class != schema.ClassRequestFatal) {
					t.Fatalf("%s: %v", tt.name, out.Error)
				}
			}
			for _, id := range tt.want {
				if w.count(id) == 0 {
					t.Errorf("%s: %s got none", tt.name, id)
				}
			}
			for _, d := range tt.ds {
				if w.count(d.ID) > 0 && !slices.Contains(tt.want, d.ID) {
					t.Errorf("%s: %s got one", tt.name, d.ID)
				}
			}
		}, func(s *settings) { s.rand = rand.Float64 })
	}
	inWorld(t, Config{Deployments: mixed, IgnoreTags: true}, map[string]respond{"free": status(200)}, func(t *testing.T, r *Router, w *world) {
		req := g
		req.Tags = []string{"gold"}
		if out := r.Do(background, req); out.Error != nil {
			t.Error(out.Error)
		}
	})
}

// freeLimiter admits everything.
type freeLimiter struct{ Limiter }

func (freeLimiter) Admit(_ context.Context, _ string, _ Limits, _ int) (Permit, error) {
	return freePermit{}, nil
}

type freePermit struct{}

func (freePermit) Done(int, bool) {}

// 18444, 38968, 21377: a failed deployment is not chosen again while others are left.
func TestFailedIsNotChosenAgain(t *testing.T) {
	names := strings.Fields("a b c d e")
	all := map[string]respond{}
	for _, name := range names {
		all[name] = status(500)
	}
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 1))
		inWorld(t, Config{NumRetries: ptr(9), CooldownTime: new(time.Duration)}, all, func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, waiting(g))
			if len(out.Attempts) != 10 {
				t.Fatalf("%d attempts", len(out.Attempts))
			}
			first := strings.Fields(went(out))[:5]
			slices.Sort(first)
			if !slices.Equal(first, names) {
				t.Errorf("went to %s", went(out))
			}
		}, func(s *settings) { s.rand = dice.Float64 })
	}
}

// Choosing and taking are one step: a place is never given twice, and one that
// has none is passed over at once (LiteLLM blocks on the first it chose).
func TestChoosingIsTaking(t *testing.T) {
	ds := []Deployment{at("small", "g", func(d *Deployment) { d.MaxParallel = 3 }), at("large", "g", func(d *Deployment) { d.MaxParallel = 17 })}
	slow := after(time.Second, status(200))
	inWorld(t, Config{Deployments: ds}, map[string]respond{"small": slow, "large": slow}, func(t *testing.T, r *Router, w *world) {
		begin := time.Now()
		for _, out := range doAll(r, 20, g) {
			if out.Error != nil || out.Attempts[0].WaitedMs != 0 {
				t.Errorf("%v, waited %v", out.Error, out.Attempts)
			}
		}
		if took := time.Since(begin); took != time.Second || w.peak["small"] != 3 || w.peak["large"] != 17 {
			t.Errorf("took %v, at once %v", took, w.peak)
		}
	}, func(s *settings) { s.rand = rand.Float64 })
}

func TestLimiterThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &brokenLimiter{until: time.Now().Add(time.Second)}
		ds := []Deployment{at("a", "g", func(d *Deployment) { d.MaxParallel = 1 })}
		r := start(t, &Config{Deployments: ds}, noWait, WithLimiter(l), through(status(200)))
		begin := time.Now()
		out := r.Do(background, g)
		if took := time.Since(begin); out.Error != nil || took < time.Second || took > 1100*time.Millisecond || l.asked > 12 {
			t.Errorf("took %v, asked %d: %v", took, l.asked, out.Error)
		}
		l.until = time.Now().Add(time.Hour)
		out = r.Do(background, g)
		if out.Park == nil || !strings.Contains(out.Park.Reason, "away") || len(out.Attempts) != 0 {
			t.Errorf("%+v", out)
		}
	})
}

type brokenLimiter struct {
	until time.Time
	asked int
}

func (l *brokenLimiter) Admit(_ context.Context, _ string, _ Limits, _ int) (Permit, error) {
	if l.asked++; time.Now().Before(l.until) {
		return nil, errors.New("the coordinator is away")
	}
	return freePermit{}, nil
}
