package router

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pelton/schema"
)

// hangs answers as f does, but for the calls of which which says so: they get no answer.
func hangs(which func(call int) bool, f respond) respond {
	var calls atomic.Int64
	return func(req *http.Request) (*http.Response, error) {
		if which(int(calls.Add(1) - 1)) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		return f(req)
	}
}

func everyTenth(until int) func(int) bool {
	return func(call int) bool { return call < until && call%10 == 0 }
}

// A call that hangs is tried again, and holds its slot no longer than its kind takes:
// with a bound that is set, with one that is learned, and where all began at once, so
// that nothing was known of any.
func TestHungCallsAreTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		bound  time.Duration
		atOnce bool
		most   time.Duration
	}{
		"set":              {bound: 10 * time.Second, most: 100 * time.Second},
		"set, all at once": {bound: 10 * time.Second, atOnce: true, most: 20 * time.Second},
		"learned at once":  {atOnce: true, most: 2*time.Minute + 10*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			answers := map[string]respond{"a": hangs(everyTenth(50), after(time.Second, status(200)))}
			inWorld(t, Config{}, answers, func(t *testing.T, r *Router, w *world) {
				req := waiting(g)
				req.AttemptTimeout, req.Timeout = tt.bound, time.Hour
				begin := time.Now()
				var outs []Outcome
				if tt.atOnce {
					outs = doAll(r, 50, req)
				} else {
					for range 50 {
						outs = append(outs, r.Do(background, req))
					}
				}
				for _, out := range outs {
					wantConsistent(t, out)
					if out.Error != nil {
						t.Errorf("%v", out.Error)
					}
				}
				if took := time.Since(begin); took > tt.most {
					t.Errorf("took %v, want at most %v", took, tt.most)
				}
			})
		})
	}
}

// The bound is learned: a call among quick ones is ended after a minute, one among slow
// ones is not, and what needs longer than it looked gets twice as long the next time.
func TestBoundIsLearned(t *testing.T) {
	req := waiting(g)
	req.Timeout = 24 * time.Hour
	train := func(t *testing.T, r *Router, n int) {
		t.Helper()
		for range n {
			if out := r.Do(background, req); out.Error != nil {
				t.Fatal(out.Error)
			}
		}
	}
	inWorld(t, Config{}, map[string]respond{"a": after(time.Second, status(200))}, func(t *testing.T, r *Router, w *world) {
		train(t, r, 10)
		w.set("a", after(100*time.Second, status(200)))
		out := r.Do(background, req)
		if out.Error != nil || len(out.Attempts) != 2 || out.Attempts[0].LatencyMs != 60_000 || out.Attempts[0].Error.Code != schema.CodeTimeout {
			t.Errorf("%v, %+v", out.Error, out.Attempts)
		}
		if out := r.Do(background, req); out.Error != nil || len(out.Attempts) != 1 {
			t.Errorf("what a call takes was not learned: %+v", out.Attempts)
		}
		short := req
		short.Timeout = 30 * time.Second
		w.set("a", hang)
		begin := time.Now()
		if out := r.Do(background, short); out.Error.Class != schema.ClassTimeout || time.Since(begin) != 30*time.Second {
			t.Errorf("%v after %v", out.Error, time.Since(begin))
		}
	})
	inWorld(t, Config{}, map[string]respond{"a": after(5*time.Minute, status(200))}, func(t *testing.T, r *Router, w *world) {
		for _, out := range doAll(r, 8, req) {
			if out.Error != nil || len(out.Attempts) != 1 {
				t.Errorf("%v, %+v", out.Error, out.Attempts)
			}
		}
		w.set("a", after(14*time.Minute, status(200)))
		train(t, r, 1)
		w.set("a", hangs(everyTenth(1), status(200)))
		begin := time.Now()
		if out := r.Do(background, req); out.Error != nil || time.Since(begin) < 41*time.Minute || time.Since(begin) > 43*time.Minute {
			t.Errorf("%v after %v", out.Error, time.Since(begin))
		}
	})
	// With nothing known it is ten minutes.
	inWorld(t, Config{}, map[string]respond{"a": hangs(everyTenth(1), status(200))}, func(t *testing.T, r *Router, w *world) {
		begin := time.Now()
		if out := r.Do(background, req); out.Error != nil || time.Since(begin) < schema.DefaultTimeout || time.Since(begin) > schema.DefaultTimeout+time.Minute {
			t.Errorf("%v after %v", out.Error, time.Since(begin))
		}
	})
}

// trickle is a stream that says something, and then nothing.
func trickle(said string) respond {
	return func(req *http.Request) (*http.Response, error) {
		resp := answerWith(200, http.Header{"Content-Type": {"text/event-stream"}}, "")
		from, to := io.Pipe()
		resp.Body = from
		context.AfterFunc(req.Context(), func() { _ = to.CloseWithError(req.Context().Err()) })
		go func() { _, _ = io.WriteString(to, said) }()
		return resp, nil
	}
}

// A stream that falls silent, in its middle or before its first token, is tried again.
func TestSilentStreamIsTriedAgain(t *testing.T) {
	const piece = `data: {"choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n"
	for name, said := range map[string]string{"mid-stream": piece, "at first": ": ping\n\n"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Config{}, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
				req := waiting(chat("g"))
				req.Timeout = 24 * time.Hour
				for range 5 {
					r.Do(background, req)
				}
				w.set("a", trickle(said))
				time.AfterFunc(30*time.Second, func() { w.set("a", status(200)) })
				req.Body = []byte(strings.Replace(string(req.Body), "{", `{"stream":true,`, 1))
				out := r.Do(background, req)
				wantConsistent(t, out)
				if out.Error != nil || len(out.Attempts) != 2 || out.Attempts[0].LatencyMs != 60_000 || !strings.Contains(out.Attempts[0].Error.Message, "token within 1m0s") {
					t.Errorf("%v, %+v", out.Error, out.Attempts)
				}
			})
		})
	}
}

// A request that is told to wait for longer than it has waits as long as it can, and
// says what for when it comes back; by its own time, or by that of its job.
func TestWaitsAsLongAsItCan(t *testing.T) {
	answers := map[string]respond{"a": status(429, "Retry-After", "90")}
	for name, class := range map[string]schema.Class{"its own time": schema.ClassTimeout, "its job's": schema.ClassExpired} {
		inWorld(t, Config{}, answers, func(t *testing.T, r *Router, w *world) {
			req, end := g, time.Now().Add(30*time.Second)
			if req.Timeout = 30 * time.Second; class == schema.ClassExpired {
				req.Timeout, req.Expires = time.Hour, end
			}
			out := r.Do(background, req)
			wantConsistent(t, out)
			if out.Park == nil || !out.Park.ReadyAt.Equal(end) || out.Park.Left != 30*time.Second || out.Park.Model != "g" {
				t.Fatalf("%s: %+v", name, out.Park)
			}
			pass(time.Until(out.Park.ReadyAt))
			req.Earlier, req.Waited, req.Timeout = out.Attempts, out.Park.Reason, out.Park.Left-30*time.Second-1
			if class == schema.ClassExpired {
				req.Timeout = time.Hour
			}
			out = r.Do(background, req)
			wantConsistent(t, out)
			if out.Error == nil || out.Error.Class != class || len(out.Attempts) != 1 || !strings.Contains(out.Error.Message, "while it waited: a cools down: rate_limited") {
				t.Errorf("%s: %v, %d attempts", name, out.Error, len(out.Attempts))
			}
			if (out.Status == schema.StatusExpired) != (class == schema.ClassExpired) {
				t.Errorf("%s: %s", name, out.Status)
			}
		})
	}
}
