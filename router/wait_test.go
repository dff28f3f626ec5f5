package router

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pelton/schema"
)

func TestShortWaitStaysInside(t *testing.T) {
	inWorld(t, Config{}, map[string]respond{"a": status(429, "Retry-After", "1.5")}, func(t *testing.T, r *Router, w *world) {
		time.AfterFunc(time.Second, func() { w.set("a", status(200)) })
		out := r.Do(background, g)
		wantConsistent(t, out)
		wantTimes(t, w.at(), 0, 1.5)
		if out.Error != nil || out.Park != nil || out.Attempts[1].WaitedMs != 1500 {
			t.Errorf("%+v", out)
		}
	})
}

func TestLongWaitIsParked(t *testing.T) {
	inWorld(t, Config{}, map[string]respond{"a": after(time.Second, status(429, "Retry-After", "30"))}, func(t *testing.T, r *Router, w *world) {
		req := g
		req.Timeout = time.Minute
		out := r.Do(background, req)
		wantConsistent(t, out)
		p := out.Park
		if p == nil || len(out.Attempts) != 1 || p.Left != 59*time.Second || time.Until(p.ReadyAt) != 30*time.Second || !strings.Contains(p.Reason, "a cools down") {
			t.Fatalf("%+v %+v", out, p)
		}
		var late *NotReadyError
		if !errors.As(out.Err(), &late) || late.ReadyAt != p.ReadyAt || late.Model != "g" {
			t.Errorf("as an error: %v", out.Err())
		}
		// A second one is parked without a call.
		if again := r.Do(background, req); again.Park == nil || len(again.Attempts) != 0 || again.Park.Left != time.Minute {
			t.Errorf("%+v", again)
		}
		// Back again, the time between has not cost it anything.
		pass(time.Until(p.ReadyAt))
		w.set("a", status(200))
		req.Timeout, req.Earlier = p.Left, out.Attempts
		out = r.Do(background, req)
		wantConsistent(t, out)
		if out.Error != nil || len(out.Attempts) != 2 || out.Attempts[1].WaitedMs != 30000 || out.Attempts[0].StatusCode != 429 {
			t.Errorf("%+v", out)
		}
	})
}

// 27823, 40718: who cannot wait is told until when it would have to.
func TestCannotWait(t *testing.T) {
	inWorld(t, Config{}, map[string]respond{"a": status(429, "Retry-After", "30")}, func(t *testing.T, r *Router, w *world) {
		r.Do(background, g)
		req := waiting(g)
		req.Timeout = 10 * time.Second
		out := r.Do(background, req)
		wantConsistent(t, out)
		var late *NotReadyError
		var e *schema.Error
		if !errors.As(out.Err(), &late) || !errors.As(out.Err(), &e) || time.Until(late.ReadyAt) != 30*time.Second ||
			e.Class != schema.ClassRateLimited || e.Code != codeNotReady || !strings.Contains(e.Message, "due in 30s, and the request has 10s left") {
			t.Errorf("%v", out.Err())
		}
		if len(w.calls) != 1 {
			t.Errorf("%d calls", len(w.calls))
		}
	})
}

// Waiting is not an attempt, yet there is an end to it.
func TestPacedAnswersAreBounded(t *testing.T) {
	inWorld(t, Config{}, map[string]respond{"a": status(429, "Retry-After", "1")}, func(t *testing.T, r *Router, w *world) {
		out := r.Do(background, waiting(g))
		wantConsistent(t, out)
		if len(out.Attempts) != 1+maxRateLimited || out.Error.Class != schema.ClassRateLimited {
			t.Errorf("%d attempts: %v", len(out.Attempts), out.Error)
		}
		// Parked in between, it comes to the same.
		req, calls := g, 0
		for {
			out = r.Do(background, req)
			wantConsistent(t, out)
			if out.Park == nil {
				break
			}
			if calls++; calls > 100 {
				t.Fatal("it goes on for ever")
			}
			req.Earlier, req.Timeout = out.Attempts, out.Park.Left
			pass(time.Until(out.Park.ReadyAt))
		}
		if len(out.Attempts) != 1+maxRateLimited || out.Error == nil {
			t.Errorf("parked: %d attempts: %v", len(out.Attempts), out.Error)
		}
	})
	// An answer that says nothing of a time is a failure like others.
	inWorld(t, Config{CooldownTime: new(time.Duration)}, map[string]respond{"a": status(429)}, func(t *testing.T, r *Router, w *world) {
		if out := r.Do(background, waiting(g)); len(out.Attempts) != 1+DefaultNumRetries {
			t.Errorf("%d attempts", len(out.Attempts))
		}
	})
}

// Places go in the order of arrival, at the rate there is.
func TestLineIsFair(t *testing.T) {
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.MaxParallel = 1 })}
	inWorld(t, Config{Deployments: ds}, map[string]respond{"a": after(100*time.Millisecond, status(200))}, func(t *testing.T, r *Router, w *world) {
		r.Do(background, g)
		begin := time.Now()
		ended := make(chan int, 10)
		for i := range 10 {
			go func() {
				out := r.Do(background, g)
				if out.Error != nil {
					t.Error(out.Error)
				}
				ended <- i
			}()
			pass(time.Millisecond)
		}
		for i := range 10 {
			if got := <-ended; got != i {
				t.Errorf("%d ended as number %d", got, i)
			}
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestRateIsKeptByWaiting(t *testing.T) {
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.RPM = 600 })}
	inWorld(t, Config{Deployments: ds}, map[string]respond{"a": after(50*time.Millisecond, status(200))}, func(t *testing.T, r *Router, w *world) {
		asked := atomic.Int64{}
		r.limiter = counting{r.limiter, &asked}
		for _, out := range doAll(r, 300, waiting(g)) {
			if out.Error != nil || len(out.Attempts) != 1 {
				t.Fatal(out.Error)
			}
		}
		calls := w.at()
		if last := calls[len(calls)-1]; last < 29*time.Second || last > 30*time.Second {
			t.Errorf("the last of 300 at %v", last)
		}
		for i := range calls {
			if i+15 < len(calls) && calls[i+15]-calls[i] < time.Second {
				t.Fatalf("16 calls within %v", calls[i+15]-calls[i])
			}
		}
		if n := asked.Load(); n > 1000 { // all ask once, each first in line twice, and some collide
			t.Errorf("the limiter was asked %d times for 300 places", n)
		}
	})
}

type counting struct {
	Limiter
	n *atomic.Int64
}

func (c counting) Admit(ctx context.Context, d string, l Limits, tokens int) (Permit, error) {
	c.n.Add(1)
	return c.Limiter.Admit(ctx, d, l, tokens)
}

// The long end of a line is parked, and comes back when its turn should be.
func TestLongLineIsParked(t *testing.T) {
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.RPM = 600 })}
	inWorld(t, Config{Deployments: ds}, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
		parked, latest := 0, time.Duration(0)
		for _, out := range doAll(r, 100, g) {
			wantConsistent(t, out)
			if out.Park != nil {
				parked++
				latest = max(latest, time.Until(out.Park.ReadyAt))
			} else if out.Error != nil {
				t.Error(out.Error)
			}
		}
		// Five at once, some twenty in two seconds.
		if done := len(w.calls); done < 20 || done > 27 || parked != 100-done {
			t.Errorf("%d done, %d parked", done, parked)
		}
		if latest < 50*time.Millisecond || latest > 10*time.Second {
			t.Errorf("the last comes back in %v", latest)
		}
	})
}

func TestEveryRequestEndsThoughAllAreParked(t *testing.T) {
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.MaxParallel = 4 })}
	inWorld(t, Config{Deployments: ds}, map[string]respond{"a": after(time.Second, status(200))}, func(t *testing.T, r *Router, w *world) {
		done := make(chan Outcome)
		for range 100 {
			go func() {
				req := g
				for {
					out := r.Do(background, req)
					if out.Park == nil {
						done <- out
						return
					}
					req.Earlier, req.Timeout = out.Attempts, out.Park.Left
					pass(time.Until(out.Park.ReadyAt))
				}
			}()
		}
		begin := time.Now()
		for range 100 {
			if out := <-done; out.Error != nil || len(out.Attempts) != 1 {
				t.Fatal(out.Error)
			}
		}
		if took := time.Since(begin); took > 30*time.Second || w.peak["a"] != 4 {
			t.Errorf("25 s of work took %v, %d at once", took, w.peak["a"])
		}
	}, func(s *settings) { s.rand = rand.Float64 })
}

func TestNoShortWait(t *testing.T) {
	inWorld(t, Config{ShortWait: -1}, map[string]respond{"a": status(429, "retry-after-ms", "300")}, func(t *testing.T, r *Router, w *world) {
		begin := time.Now()
		if out := r.Do(background, g); out.Park == nil || time.Since(begin) != 0 || time.Until(out.Park.ReadyAt) != 300*time.Millisecond {
			t.Errorf("%+v", out)
		}
	})
}

func TestNoDeployment(t *testing.T) {
	cfg := Config{
		Deployments: []Deployment{at("a", "g"), at("b", "g"), at("c", "h")},
		Fallbacks:   map[string][]string{"g": {"h"}},
	}
	inWorld(t, cfg, map[string]respond{"a": status(401), "b": errorBody(429, `{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}`), "c": status(403)},
		func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, g)
			wantConsistent(t, out)
			if went(out) != "a b c" || out.Error.Class != schema.ClassUpstreamFatal {
				t.Errorf("went to %s: %v", went(out), out.Error)
			}
			for range 3 {
				out = r.Do(background, g)
				wantConsistent(t, out)
				e := out.Error
				if e == nil || e.Class != schema.ClassUpstreamFatal || e.Code != schema.CodeNoDeployment || len(out.Attempts) != 0 {
					t.Fatalf("%v", e)
				}
				for _, part := range []string{"a (", "b (", "c (", "401", "quota"} {
					if !strings.Contains(e.Message, part) {
						t.Errorf("%q lacks %q", e.Message, part)
					}
				}
			}
			if len(w.calls) != 3 {
				t.Errorf("%d calls", len(w.calls))
			}
		})
	// One that only cools down may come back: no such error.
	inWorld(t, Config{Deployments: []Deployment{at("a", "g"), at("b", "g")}}, map[string]respond{"a": status(401), "b": status(429, "Retry-After", "60")},
		func(t *testing.T, r *Router, w *world) {
			for range 2 {
				if out := r.Do(background, g); out.Park == nil {
					t.Errorf("%+v", out)
				}
			}
		})
}

func TestCallerEndsAWaitInLine(t *testing.T) {
	ds := []Deployment{at("a", "g", func(d *Deployment) { d.MaxParallel = 1 })}
	inWorld(t, Config{Deployments: ds}, map[string]respond{"a": after(time.Minute, status(200))}, func(t *testing.T, r *Router, w *world) {
		go r.Do(background, g)
		pass(time.Millisecond)
		ctx, cancel := context.WithCancelCause(background)
		time.AfterFunc(time.Second, func() {
			cancel(&schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "deadline"})
		})
		begin := time.Now()
		out := r.Do(ctx, waiting(g))
		wantConsistent(t, out)
		if out.Status != schema.StatusExpired || time.Since(begin) != time.Second || len(out.Attempts) != 0 {
			t.Errorf("%+v", out)
		}
		if n := r.deployments[0].waitQueue.Len(); n != 0 {
			t.Errorf("%d in line", n)
		}
		pass(time.Minute)
	})
}
