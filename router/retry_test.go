package router

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pelton/schema"
)

// scripted answers one call after the other and notes when each came.
type scripted struct {
	answers []func(*http.Request) (*http.Response, error)
	start   time.Time
	at      []time.Duration
	hosts   []string
}

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	n := len(s.at)
	s.at = append(s.at, time.Since(s.start))
	s.hosts = append(s.hosts, req.URL.Host)
	return s.answers[min(n, len(s.answers)-1)](req)
}

func status(code int, header ...string) func(*http.Request) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	body := "{}"
	if code == 200 {
		body = okChat
	}
	return func(*http.Request) (*http.Response, error) { return answerWith(code, h, body), nil }
}

func hang(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

// slowly fails after d.
func slowly(d time.Duration) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { <-time.After(d); return nil, io.EOF }
}

// runScript runs one request in fake time on deployments at the hosts.
func runScript(t *testing.T, cfg Config, req Request, dice float64, hosts []string, script ...func(*http.Request) (*http.Response, error)) (out Outcome, s *scripted, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s = &scripted{answers: script, start: time.Now()}
		for _, host := range hosts {
			cfg.Deployments = append(cfg.Deployments, Deployment{ID: host, Group: "*", Model: "*", BaseURL: "http://" + host + "/v1"})
		}
		if cfg.CooldownTime == nil {
			cfg.CooldownTime = new(time.Duration) // these are about one request
		}
		req.NoPark = true
		r := start(t, &cfg, func(set *settings) { set.transport, set.rand = s, func() float64 { return dice } })
		out = r.Do(background, req)
		took = time.Since(s.start)
		wantConsistent(t, out)
	})
	return out, s, took
}

var (
	oneHost  = []string{"a"}
	ten      = 10
	noBody   = chat("m")
	retries0 = 0
)

// waiting is req that is not parked.
func waiting(req Request) Request { req.NoPark = true; return req }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func wantTimes(t *testing.T, got []time.Duration, want ...float64) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = got[i].Round(time.Millisecond) == seconds(want[i])
	}
	if !ok {
		t.Errorf("calls at %v, want %v", got, want)
	}
}

func TestBackoff(t *testing.T) {
	out, s, took := runScript(t, Config{NumRetries: &ten}, noBody, 0.5, oneHost, status(500))
	// Half of 0.5, 1, 2, 4 and then always 8 s; nothing after the last call.
	wantTimes(t, s.at, 0, 0.25, 0.75, 1.75, 3.75, 7.75, 11.75, 15.75, 19.75, 23.75, 27.75)
	if took != s.at[10] || out.Attempts[1].WaitedMs != 250 || out.Attempts[10].WaitedMs != 4000 || out.Attempts[0].WaitedMs != 0 {
		t.Errorf("took %v: %+v", took, out.Attempts)
	}
	out, s, _ = runScript(t, Config{}, noBody, 0.999, oneHost, status(500))
	if len(s.at) != 1+DefaultNumRetries || s.at[2] > seconds(1.5) || out.Error.Class != schema.ClassTransient {
		t.Errorf("by default: %v", s.at)
	}
	if _, s, _ = runScript(t, Config{NumRetries: &retries0}, noBody, 0, oneHost, status(500)); len(s.at) != 1 {
		t.Errorf("without retries: %v", s.at)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	out, s, _ := runScript(t, Config{}, noBody, 0.5, oneHost, status(429, "Retry-After", "30"), status(503, "retry-after-ms", "1500", "Retry-After", "99"), status(200))
	wantTimes(t, s.at, 0, 30, 31.5)
	if out.Status != schema.StatusSucceeded || out.Attempts[0].Error.Class != schema.ClassRateLimited {
		t.Errorf("%+v", out)
	}
	// The latest word counts, not the longest.
	_, s, _ = runScript(t, Config{}, noBody, 0, oneHost, status(429, "Retry-After", "30"), status(429, "Retry-After", "1"), status(200))
	wantTimes(t, s.at, 0, 30, 31)
}

func TestWaitThatDoesNotFit(t *testing.T) {
	req := noBody
	req.Timeout = 20 * time.Second
	out, s, took := runScript(t, Config{}, req, 0, oneHost, status(429, "Retry-After", "30"))
	if len(s.at) != 1 || took != 0 || out.Error.Class != schema.ClassRateLimited ||
		!strings.Contains(out.Error.Message, "not tried again: that is due in 30s, and the request has 20s left") {
		t.Errorf("took %v: %v", took, out.Error)
	}
	if strings.Contains(out.Attempts[0].Error.Message, "not tried again") {
		t.Error("the attempt's own error was changed")
	}
	// Less than the floor is left after a slow failure.
	req.Timeout = 1010 * time.Millisecond
	out, s, _ = runScript(t, Config{}, req, 0, oneHost, slowly(time.Second))
	if len(s.at) != 1 || !strings.Contains(out.Error.Message, "the request has 10ms left") {
		t.Errorf("%v: %v", s.at, out.Error)
	}
	// The caller's own deadline counts as well.
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(background, 10*time.Second)
		defer cancel()
		r := start(t, &Config{Deployments: []Deployment{deploymentAt("a", "http://a")}}, noWait, through(status(429, "Retry-After", "30")))
		if out := r.Do(ctx, waiting(noBody)); out.Error == nil || !strings.Contains(out.Error.Message, "10s left") {
			t.Error(out.Error)
		}
	})
}

func TestRequestTimeoutCoversAllAttempts(t *testing.T) {
	req := noBody
	req.Timeout = 5 * time.Second
	out, s, took := runScript(t, Config{}, req, 0, oneHost, slowly(2*time.Second), hang)
	wantTimes(t, s.at, 0, 2)
	if took != 5*time.Second || out.Status != schema.StatusFailed || out.Error.Class != schema.ClassTimeout ||
		out.Error.Message != "the request's time of 5s ran out" || out.Attempts[1].Error.Class != schema.ClassTimeout || out.Attempts[1].LatencyMs != 3000 {
		t.Errorf("took %v: %v", took, out.Error)
	}
	req.Timeout = -1
	if out, s, _ = runScript(t, Config{}, req, 0, oneHost, hang); len(s.at) != 0 || out.Error.Class != schema.ClassTimeout {
		t.Errorf("without any time: %+v", out)
	}
	if _, _, took = runScript(t, Config{}, noBody, 0, oneHost, hang); took != schema.DefaultTimeout {
		t.Errorf("by default %v", took)
	}
}

func TestAttemptTimeout(t *testing.T) {
	out, s, took := runScript(t, Config{Timeout: 3 * time.Second}, noBody, 0, oneHost, hang)
	wantTimes(t, s.at, 0, 3, 6)
	if took != 9*time.Second || out.Error.Class != schema.ClassTransient || out.Error.Code != schema.CodeTimeout || out.Error.Message != "no answer within the attempt's 3s" {
		t.Errorf("took %v: %v", took, out.Error)
	}
	cfg := Config{Timeout: 3 * time.Second, Deployments: []Deployment{{Group: "*", Model: "m", BaseURL: "http://own", Timeout: time.Second}}}
	_, s, _ = runScript(t, cfg, noBody, 0, nil, hang, hang, status(200))
	wantTimes(t, s.at, 0, 1, 2)
}

func TestOtherDeploymentsFirst(t *testing.T) {
	// b has not failed yet: no wait. Then a is ready before b, which asked for more.
	out, s, _ := runScript(t, Config{NumRetries: &ten}, noBody, 0, []string{"a", "b"},
		status(429, "Retry-After", "5"), status(429, "Retry-After", "9"), status(500), status(500), status(200))
	wantTimes(t, s.at, 0, 0, 5, 5, 5)
	if got := strings.Join(s.hosts, ""); got != "abaaa" || out.Attempts[2].WaitedMs != 5000 {
		t.Errorf("went to %s", got)
	}
	// Who can serve nobody is not asked again, and when nobody is left it ends.
	out, s, _ = runScript(t, Config{NumRetries: &ten}, noBody, 0, []string{"a", "b"}, status(401), status(404))
	if got := strings.Join(s.hosts, ""); got != "ab" || out.Error.StatusCode != 404 {
		t.Errorf("went to %s: %v", got, out.Error)
	}
	// x-should-retry: false rules out the deployment, not the group.
	_, s, _ = runScript(t, Config{}, noBody, 0, []string{"a", "b"}, status(500, "x-should-retry", "false"), status(200))
	if got := strings.Join(s.hosts, ""); got != "ab" {
		t.Errorf("went to %s", got)
	}
	// What no deployment would take ends it at once.
	_, s, _ = runScript(t, Config{}, noBody, 0, []string{"a", "b"}, status(400))
	if got := strings.Join(s.hosts, ""); got != "a" {
		t.Errorf("went to %s", got)
	}
}

func TestCancelEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		time.AfterFunc(7*time.Second, cancel)
		r := start(t, &Config{Deployments: []Deployment{deploymentAt("a", "http://a")}}, noWait, through(status(429, "Retry-After", "60")))
		begin := time.Now()
		out := r.Do(ctx, waiting(noBody))
		if took := time.Since(begin); took != 7*time.Second || out.Status != schema.StatusCancelled || len(out.Attempts) != 1 {
			t.Errorf("took %v: %+v", took, out)
		}
	})
}
