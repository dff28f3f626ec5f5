package router

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pelton/schema"
)

const (
	geminiZero = `{"error":{"code":429,"message":"Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: x. Please retry in 39.7s.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"39s"}]}}`
	perDay     = `{"error":{"message":"Too many tokens per day, please wait before trying again."}}`
)

// A quota that does not come back in time takes the model out at its second sign;
// fallbacks take over.
func TestQuotaOfADay(t *testing.T) {
	for name, body := range map[string]string{"of nothing": geminiZero, "of a day, with no end known": perDay} {
		inWorld(t, Config{}, map[string]respond{"a": errorBody(429, body)}, func(t *testing.T, r *Router, w *world) {
			begin := time.Now()
			out := r.Do(background, waiting(g))
			wantConsistent(t, out)
			if out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal || len(out.Attempts) != 2 || time.Since(begin) > time.Minute {
				t.Errorf("%s: %v after %d attempts and %v", name, out.Error, len(out.Attempts), time.Since(begin))
			}
			if out := r.Do(background, waiting(g)); out.Error.Code != schema.CodeNoDeployment || w.count("a") != 2 {
				t.Errorf("%s: %v, %d calls", name, out.Error, w.count("a"))
			}
		})
		cfg := Config{Deployments: []Deployment{at("a", "g"), at("b", "h")}, Fallbacks: map[string][]string{"g": {"h"}}}
		inWorld(t, cfg, map[string]respond{"a": errorBody(429, body), "b": status(200)}, func(t *testing.T, r *Router, w *world) {
			for range 20 {
				if out := r.Do(background, waiting(g)); out.Error != nil {
					t.Fatal(name, out.Error)
				}
			}
			if n := w.count("a"); n > 3 {
				t.Errorf("%s: %d calls of what has no quota", name, n)
			}
		})
	}
}

// One whose end is known is waited for where that is before the request's time is over,
// and counts as gone where it is not.
func TestQuotaOfADayThatEnds(t *testing.T) {
	const body = `{"error":{"message":"Rate limit reached on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.","code":"rate_limit_exceeded"}}`
	var calls atomic.Int64
	answer := func(req *http.Request) (*http.Response, error) {
		if calls.Add(1) == 1 {
			return answerWith(429, nil, body), nil
		}
		return status(200)(req)
	}
	inWorld(t, Config{}, map[string]respond{"a": answer}, func(t *testing.T, r *Router, w *world) {
		req := waiting(g)
		req.Timeout = time.Hour
		begin := time.Now()
		if out := r.Do(background, req); out.Error != nil || time.Since(begin) < 432*time.Second {
			t.Errorf("%v after %v", out.Error, time.Since(begin))
		}
	})
	inWorld(t, Config{}, map[string]respond{"a": errorBody(429, body)}, func(t *testing.T, r *Router, w *world) {
		req := waiting(g)
		req.Timeout = time.Minute
		out := r.Do(background, req)
		if out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal || len(out.Attempts) != 2 {
			t.Errorf("%v after %d attempts", out.Error, len(out.Attempts))
		}
	})
}

// Calls that were under way together are one sign, and a success takes signs back.
func TestQuotaSignsAreOfCallsOneAfterTheOther(t *testing.T) {
	zero := 0
	inWorld(t, Config{NumRetries: &zero}, map[string]respond{"a": after(time.Second, errorBody(429, perDay))}, func(t *testing.T, r *Router, w *world) {
		for _, out := range doAll(r, 4, waiting(g)) {
			if out.Error.Class != schema.ClassRateLimited {
				t.Errorf("%v", out.Error)
			}
		}
		w.set("a", status(200))
		if out := r.Do(background, waiting(g)); out.Error != nil {
			t.Error(out.Error)
		}
		w.set("a", errorBody(429, perDay))
		if out := r.Do(background, waiting(g)); out.Error.Class != schema.ClassRateLimited {
			t.Errorf("%v", out.Error)
		}
		if out := r.Do(background, waiting(g)); out.Error.Class != schema.ClassUpstreamFatal {
			t.Errorf("%v", out.Error)
		}
	})
}

// A thing that one request names, and that is not there, is nobody else's matter.
func TestMissingItemIsOneRequests(t *testing.T) {
	for name, body := range map[string]string{
		"an item": `{"error":{"message":"Item with id 'rs_1' not found.","type":"invalid_request_error","param":"input","code":null}}`,
		"a file":  `{"error":{"message":"No such File object: file-abc","type":"invalid_request_error","param":"file_id","code":null}}`,
	} {
		inWorld(t, Config{}, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
			for i := range 20 {
				w.set("a", body200(`{"output":[{"type":"message"}],"status":"completed"}`))
				if i%2 == 0 {
					w.set("a", errorBody(404, body))
				}
				req := chat("g")
				req.Endpoint = schema.Responses
				out := r.Do(background, req)
				if (out.Error != nil) != (i%2 == 0) || out.Error != nil && out.Error.Class != schema.ClassRequestFatal {
					t.Errorf("%s, request %d: %v", name, i, out.Error)
				}
			}
			if w.count("a") != 20 {
				t.Errorf("%s: %d calls", name, w.count("a"))
			}
		})
	}
}

// A model that is retired is out for all, once two requests were told so.
func TestRetiredModel(t *testing.T) {
	cfg := Config{Deployments: []Deployment{at("a", "g"), at("b", "h")}, Fallbacks: map[string][]string{"g": {"h"}}}
	for _, code := range []int{410, 404} {
		answers := map[string]respond{"a": errorBody(code, `{"error":{"message":"The model m has been retired"}}`), "b": status(200)}
		inWorld(t, cfg, answers, func(t *testing.T, r *Router, w *world) {
			for range 50 {
				if out := r.Do(background, g); out.Error != nil {
					t.Fatal(out.Error)
				}
			}
			if w.count("a") != 2 {
				t.Errorf("%d: %d calls of a retired model", code, w.count("a"))
			}
		})
	}
}

// What can never fit is one call, goes where more fits, and stops nobody.
func TestNeverFits(t *testing.T) {
	const body = `{"error":{"message":"Request too large for m on tokens per min (TPM): Limit 30000, Requested 342389.","type":"tokens","code":"rate_limit_exceeded"}}`
	for _, code := range []int{429, 413} {
		tooLarge := errorBody(code, body, "Retry-After", "60", "X-RateLimit-Remaining-Tokens", "0", "X-RateLimit-Reset-Tokens", "1m0s")
		answer := func(req *http.Request) (*http.Response, error) {
			if strings.Contains(req.Header.Get("Traceparent"), "large") {
				return tooLarge(req)
			}
			return status(200)(req)
		}
		inWorld(t, Config{}, map[string]respond{"a": answer}, func(t *testing.T, r *Router, w *world) {
			begin := time.Now()
			for i := range 60 {
				req := chat("g")
				if i%20 == 0 {
					req.Header = http.Header{"Traceparent": {"large"}}
				}
				out := r.Do(background, req)
				if (out.Error != nil) != (i%20 == 0) || out.Error != nil && (out.Error.Class != schema.ClassContextWindow || len(out.Attempts) != 1) {
					t.Errorf("%d: %v after %d attempts", i, out.Error, len(out.Attempts))
				}
			}
			if time.Since(begin) > time.Second || w.count("a") != 60 {
				t.Errorf("%v, %d calls", time.Since(begin), w.count("a"))
			}
		})
	}
}
