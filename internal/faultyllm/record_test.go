package faultyllm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPeakOfHeldCalls(t *testing.T) {
	const n = 40
	u := start(t, Config{})
	release := u.Hold()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			body := fmt.Sprintf(`{"model":"m%d","messages":[{"role":"user","content":"%d"}]}`, i%2, i)
			equal(t, "status", u.post("/chat/completions", body).status, 200)
		})
	}
	u.until("all calls in flight", func(s Stats) bool { return s.InFlight == n })
	release()
	release() // does nothing
	wg.Wait()
	s := u.Stats()
	equal(t, "in flight", s.InFlight, 0)
	equal(t, "peak", s.Peak, n)
	equal(t, "peak of m0", s.PeakByModel["m0"], n/2)
	equal(t, "calls of m1", s.CallsByModel["m1"], n/2)
	equal(t, "answered", s.Answered, n)
	u.ask(chatBody("one more"), 200)
	equal(t, "peak", u.Stats().Peak, n)
}

// A client that keeps to the limit must never be refused, however fast it
// turns round: its former call has left before it can see the answer.
func TestPeakNeverExceedsTheClients(t *testing.T) {
	const n = 4
	for _, more := range []string{"", `"stream":true`} {
		u := start(t, Config{MaxParallel: n})
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				for k := range 200 {
					body := chatBody(fmt.Sprintf("%d %d", i, k))
					if more != "" {
						body = chatBody(fmt.Sprintf("%d %d", i, k), more)
					}
					if r := u.post("/chat/completions", body); r.status != 200 {
						t.Errorf("status %d, %v", r.status, r.err)
					}
				}
			})
		}
		wg.Wait()
		s := u.Stats()
		if s.Peak > n || s.Calls != n*200 || s.Answered != n*200 || s.InFlight != 0 || s.Duplicates != 0 {
			t.Errorf("the record is %+v", s)
		}
	}
}

func TestMaxParallel(t *testing.T) {
	u := start(t, Config{MaxParallel: 1, RetryAfter: time.Second})
	release := u.Hold()
	defer release()
	var wg sync.WaitGroup
	hold := func(text string, inFlight int) {
		wg.Go(func() { equal(t, text, u.post("/chat/completions", chatBody(text)).status, 200) })
		u.until(text, func(s Stats) bool { return s.InFlight == inFlight })
	}
	hold("a", 1)
	r := u.ask(chatBody("over"), 429)
	equal(t, "retry-after", r.header.Get("Retry-After"), "1")
	u.SetMaxParallel(2)
	hold("b", 2)
	u.ask(chatBody("over"), 429)
	u.SetMaxParallel(0)
	hold("c", 3)
	release()
	wg.Wait()
	s := u.Stats()
	equal(t, "refused", s.Refused, 2)
	equal(t, "peak", s.Peak, 3)
}

func TestRateLimit(t *testing.T) {
	u := start(t, Config{RateLimit: 3, RateWindow: time.Hour})
	for i := range 3 {
		r := u.ask(chatBody(fmt.Sprint(i)), 200)
		equal(t, "remaining", r.header.Get("x-ratelimit-remaining-requests"), fmt.Sprint(2-i))
		equal(t, "limit", r.header.Get("x-ratelimit-limit-requests"), "3")
	}
	r := u.ask(chatBody("over"), 429)
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	equal(t, "refused", u.Stats().Refused, 1)
	if err := u.Update(func(c *Config) { c.RateLimit = 4 }); err != nil {
		t.Fatal(err)
	}
	u.ask(chatBody("more room"), 200)
	u.ask(chatBody("over"), 429)
	u.Reset()
	u.ask(chatBody("afresh"), 200)
}

func TestRateWindowSlides(t *testing.T) {
	set, err := newSettings(Config{RateLimit: 2, RateWindow: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r, zero := newRecord(), time.Now()
	for _, tc := range []struct {
		at      time.Duration
		refused bool
		wait    time.Duration
	}{
		{0, false, 0},
		{4 * time.Second, false, 0},
		{9 * time.Second, true, time.Second},
		{10 * time.Second, false, 0},
		{11 * time.Second, true, 3 * time.Second},
		{14 * time.Second, false, 0},
		{30 * time.Second, false, 0},
	} {
		adm := r.admit(zero.Add(tc.at), set)
		equal(t, fmt.Sprint("refused at ", tc.at), adm.refused, tc.refused)
		equal(t, fmt.Sprint("wait at ", tc.at), adm.wait, tc.wait)
	}
}

func TestAborts(t *testing.T) {
	for name, c := range map[string]Config{
		"in the latency": {Latency: time.Hour},
		"in a hang":      {Faults: Rates{FaultHang: 1}},
		"in a stream":    {TokensPerSecond: 0.001},
		"in a drip":      {Faults: Rates{FaultSlow: 1}, SlowBytesPerSecond: 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			c.KeepCalls = 10
			u := start(t, c)
			body := chatBody("a b c", `"stream":true`)
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() {
				if r := u.do(ctx, "POST", u.URL()+"/chat/completions", body); r.err == nil {
					t.Errorf("an answer of status %d", r.status)
				}
			})
			u.until("the call", func(s Stats) bool { return s.InFlight == 1 })
			cancel()
			wg.Wait()
			u.until("the abort", func(s Stats) bool { return s.Aborted == 1 })
			s := u.Stats()
			equal(t, "in flight", s.InFlight, 0)
			equal(t, "answered", s.Answered, 0)
			equal(t, "no whole answers", s.Statuses[0], 1)
			equal(t, "call aborted", u.Calls()[0].Aborted, true)
		})
	}
}

func TestCloseEndsCallsWithoutAnswer(t *testing.T) {
	for name, c := range map[string]Config{
		"latency": {Latency: time.Hour},
		"hang":    {Faults: Rates{FaultHang: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			u := start(t, c)
			done := make(chan reply)
			go func() { done <- u.post("/chat/completions", chatBody("x")) }()
			u.until("the call", func(s Stats) bool { return s.InFlight == 1 })
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			if r := <-done; r.err == nil {
				t.Errorf("an answer of status %d", r.status)
			}
			s := u.Stats()
			equal(t, "in flight", s.InFlight, 0)
			equal(t, "aborted by the client", s.Aborted, 0)
		})
	}
}

func TestDuplicates(t *testing.T) {
	u := start(t, Config{})
	a, b := chatBody("a"), chatBody("b", `"mock":{"status":500,"times":1}`)
	for _, body := range []string{a, b, a, b, b, a} {
		u.post("/chat/completions", body)
	}
	s := u.Stats()
	equal(t, "calls", s.Calls, 6)
	equal(t, "identities", s.Identities, 2)
	equal(t, "duplicates", s.Duplicates, 4)
	equal(t, "duplicate answers", s.DuplicateAnswers, 3)
	equal(t, "calls of a", u.CallsOf(IdentityOf([]byte(a))), 3)
	equal(t, "statuses of b", fmt.Sprint(u.StatusesOf(IdentityOf([]byte(b)))), "[500 200 200]")
	equal(t, "statuses", fmt.Sprint(s.Statuses), "map[200:5 500:1]")
	equal(t, "calls of a stranger", u.CallsOf("stranger"), 0)
	equal(t, "identities listed", u.Identities()[IdentityOf([]byte(a))], 3)
}

func TestIdentities(t *testing.T) {
	u := start(t, Config{KeepCalls: 10})
	u.ask(chatBody("a", `"mock":{"key":"k"}`), 200)
	u.ask(chatBody("b", `"mock":{"key":"k"}`), 200)
	u.ask(chatBody("c"), 200, "X-Mock", `{"key":"k"}`)
	equal(t, "calls of k", u.CallsOf("k"), 3)
	equal(t, "listed", u.Identities()["k"], 3)
	equal(t, "in the list of calls", u.Calls()[2].Identity, "k")

	v := start(t, Config{Identity: func(r *http.Request, _ []byte) string { return r.Header.Get("X-Id") }})
	v.ask(chatBody("a"), 200, "X-Id", "1")
	v.ask(chatBody("b"), 200, "X-Id", "1")
	v.ask(chatBody("b"), 200)
	equal(t, "calls of 1", v.CallsOf("1"), 2)
	equal(t, "calls by body", v.CallsOf(IdentityOf([]byte(chatBody("b")))), 1)
}

func TestMaxIdentities(t *testing.T) {
	u := start(t, Config{MaxIdentities: 1})
	for _, text := range []string{"a", "b", "b", "a"} {
		u.ask(chatBody(text), 200)
	}
	s := u.Stats()
	equal(t, "identities", s.Identities, 1)
	equal(t, "untracked", s.Untracked, 2)
	equal(t, "duplicates", s.Duplicates, 1)
}

func TestKeeping(t *testing.T) {
	u := start(t, Config{KeepBodies: 2, KeepTimes: 3, KeepCalls: 2})
	for i := range 5 {
		u.ask(chatBody(fmt.Sprint(i)), 200)
	}
	equal(t, "bodies", fmt.Sprintf("%s", u.Bodies()), fmt.Sprintf("[%s %s]", chatBody("3"), chatBody("4")))
	times := u.Arrivals()
	equal(t, "times", len(times), 3)
	for i := range 2 {
		if times[i+1].Before(times[i]) {
			t.Error("arrivals run backwards")
		}
	}
	calls := u.Calls()
	equal(t, "calls", len(calls), 2)
	c := calls[1]
	equal(t, "identity", c.Identity, IdentityOf([]byte(chatBody("4"))))
	if c.Status != 200 || c.Model != "m" || c.Path != "/v1/chat/completions" || c.Number != 1 || c.End.Before(c.Start) || c.Aborted {
		t.Errorf("call is %+v", c)
	}
	if err := u.Update(func(c *Config) { c.KeepBodies = 3 }); err != nil {
		t.Fatal(err)
	}
	u.ask(chatBody("5"), 200)
	equal(t, "bodies", len(u.Bodies()), 3)
	if err := u.Update(func(c *Config) { c.KeepBodies = 1 }); err != nil {
		t.Fatal(err)
	}
	u.ask(chatBody("6"), 200)
	equal(t, "bodies", fmt.Sprintf("%s", u.Bodies()), "["+chatBody("6")+"]")
}

func TestResetKeepsCallsInFlight(t *testing.T) {
	u := start(t, Config{})
	u.ask(chatBody("before"), 200)
	release := u.Hold()
	done := make(chan reply)
	go func() { done <- u.post("/chat/completions", chatBody("x")) }()
	u.until("the call", func(s Stats) bool { return s.InFlight == 1 })
	u.Reset()
	s := u.Stats()
	equal(t, "in flight", s.InFlight, 1)
	equal(t, "peak", s.Peak, 1)
	equal(t, "calls", s.Calls, 0)
	release()
	equal(t, "status", (<-done).status, 200)
	s = u.Stats()
	equal(t, "in flight", s.InFlight, 0)
	equal(t, "statuses", len(s.Statuses), 0)
	u.ask(chatBody("before"), 200)
	equal(t, "duplicates", u.Stats().Duplicates, 0)
}

func TestControl(t *testing.T) {
	u := start(t, Config{APIKey: "secret", KeepBodies: 1, KeepCalls: 1})
	call := func(method, path, body string, status int) []byte {
		t.Helper()
		r := u.do(context.Background(), method, u.Root()+path, body)
		equal(t, method+" "+path+" "+body, r.status, status)
		return r.body
	}
	u.ask(chatBody("x"), 401)
	equal(t, "calls", pick(t, call("GET", "/mock/stats", "", 200), "calls"), any(json.Number("1")))
	equal(t, "statuses", pick(t, call("GET", "/mock/stats", "", 200), "statuses", "401"), any(json.Number("1")))
	equal(t, "identity", pick(t, call("GET", "/mock/identities", "", 200), IdentityOf([]byte(chatBody("x")))), any(json.Number("1")))
	equal(t, "body", pick(t, call("GET", "/mock/bodies", "", 200), 0), any(chatBody("x")))
	equal(t, "call", pick(t, call("GET", "/mock/calls", "", 200), 0, "status"), any(json.Number("401")))
	shown := call("GET", "/mock/config", "", 200)
	equal(t, "key shown", strings.Contains(string(shown), "api_key"), false)
	call("PUT", "/mock/config", string(shown), 200)
	equal(t, "key after putting it back", u.Config().APIKey, "secret")

	call("PUT", "/mock/config", `{"api_key":"","faults":{"418":1},"latency":"1ms"}`, 200)
	u.ask(chatBody("x"), 418)
	equal(t, "latency", pick(t, call("GET", "/mock/config", "", 200), "latency"), any("1ms"))
	call("PUT", "/mock/config", `{"faults":{}}`, 200)
	u.ask(chatBody("x"), 200)
	call("PUT", "/mock/config", `{"outage":true}`, 200)
	u.ask(chatBody("x"), 503)
	for _, bad := range []string{`{"latancy":"1s"}`, `{"latency":5}`, `{"faults":{"x":1}}`, `{"faults":{"reset":2}}`, `nonsense`, ``} {
		call("PUT", "/mock/config", bad, 400)
	}
	equal(t, "keep_calls left alone", u.Config().KeepCalls, 1)

	call("POST", "/mock/reset", "", 204)
	equal(t, "calls", u.Stats().Calls, 0)
	call("GET", "/mock/reset", "", 404)
	call("GET", "/mock/nothing", "", 404)
}
