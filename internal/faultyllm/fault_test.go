package faultyllm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faultChecks says for each named fault what the client must see.
var faultChecks = map[Fault]func(*testing.T, reply){
	FaultBadRequest:    wantError(400, nil),
	FaultContextLength: wantError(400, "context_length_exceeded"),
	FaultContentFilter: wantError(400, "content_filter"),
	FaultAuth:          wantError(401, "invalid_api_key"),
	FaultForbidden:     wantError(403, "unsupported_country_region_territory"),
	FaultModelNotFound: wantError(404, "model_not_found"),
	FaultTimeout:       wantError(408, nil),
	FaultTooLarge:      wantError(413, nil),
	FaultUnprocessable: wantError(422, nil),
	FaultRateLimit:     wantError(429, "rate_limit_exceeded"),
	FaultQuota:         wantError(429, "insufficient_quota"),
	FaultServerError:   wantError(500, nil),
	FaultUnavailable:   wantError(503, nil),
	FaultOverloaded:    wantError(529, "server_is_overloaded"),
	"418":              wantError(418, nil),
	"599":              wantError(599, nil),
	FaultErrorIn200:    wantError(200, nil),
	FaultBadGateway:    wantHTML(502),
	FaultHTML:          wantHTML(200),
	FaultReset: func(t *testing.T, r reply) {
		if !errors.Is(r.err, syscall.ECONNRESET) {
			t.Errorf("got %v, %v, want a reset connection", r.status, r.err)
		}
	},
	FaultClose: func(t *testing.T, r reply) {
		if !errors.Is(r.err, io.EOF) {
			t.Errorf("got %v, %v, want EOF", r.status, r.err)
		}
	},
	FaultHang: func(t *testing.T, r reply) {
		if !errors.Is(r.err, context.Canceled) {
			t.Errorf("got %v, %v, want a cancelled call", r.status, r.err)
		}
	},
	FaultTruncated: func(t *testing.T, r reply) {
		if r.err != nil || r.status != 200 || len(r.body) == 0 || json.Valid(r.body) {
			t.Errorf("got %d %q, %v", r.status, r.body, r.err)
		}
	},
	FaultNoChoices: func(t *testing.T, r reply) {
		equal(t, "choices", len(pick(t, r.body, "choices").([]any)), 0)
	},
	FaultEmpty: func(t *testing.T, r reply) {
		equal(t, "status", r.status, 200)
		equal(t, "length", len(r.body), 0)
	},
	FaultContentType: func(t *testing.T, r reply) {
		equal(t, "answer", pick(t, r.body, "choices", 0, "message", "content"), any("You said: x"))
		equal(t, "content type", r.header.Get("Content-Type"), "text/html; charset=utf-8")
	},
	FaultSlow: func(t *testing.T, r reply) {
		equal(t, "answer", pick(t, r.body, "choices", 0, "message", "content"), any("You said: x"))
	},
}

func wantError(status int, code any) func(*testing.T, reply) {
	return func(t *testing.T, r reply) {
		t.Helper()
		if r.err != nil {
			t.Fatal(r.err)
		}
		equal(t, "status", r.status, status)
		equal(t, "code", pick(t, r.body, "error", "code"), code)
		if pick(t, r.body, "error", "message") == "" || pick(t, r.body, "error", "type") == "" {
			t.Errorf("no message or type in %s", r.body)
		}
	}
}

func wantHTML(status int) func(*testing.T, reply) {
	return func(t *testing.T, r reply) {
		equal(t, "status", r.status, status)
		if !strings.HasPrefix(string(r.body), "<html>") || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("no HTML: %s", r.body)
		}
	}
}

// askFaulty makes one call and gives up on it once a hang has begun.
func askFaulty(u *upstream, fault Fault, body string) reply {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if fault == FaultHang {
		go func() {
			defer cancel()
			_ = u.Wait(ctx, func(s Stats) bool { return s.InFlight == 1 })
		}()
	}
	return u.do(ctx, "POST", u.URL()+"/chat/completions", body)
}

func TestFaults(t *testing.T) {
	for _, f := range Faults() {
		if faultChecks[f] == nil {
			t.Errorf("%s has no test", f)
		}
	}
	for f, check := range faultChecks {
		t.Run(string(f), func(t *testing.T) {
			t.Run("by rate", func(t *testing.T) {
				u := start(t, Config{Faults: Rates{f: 1}, SlowBytesPerSecond: 4000})
				check(t, askFaulty(u, f, chatBody("x")))
				u.until("the end of the call", func(s Stats) bool { return s.InFlight == 0 && s.Calls == 1 })
				equal(t, "faults", u.Stats().Faults[f], 1)
			})
			t.Run("by script", func(t *testing.T) {
				u := start(t, Config{SlowBytesPerSecond: 4000})
				check(t, askFaulty(u, f, chatBody("x", `"mock":{"fault":"`+string(f)+`"}`)))
				u.until("the end of the call", func(s Stats) bool { return s.InFlight == 0 && s.Calls == 1 })
			})
			switch f {
			case FaultNoChoices, FaultContentType, FaultSlow: // an outage does not answer
				return
			}
			t.Run("by outage", func(t *testing.T) {
				u := start(t, Config{Outage: true, OutageFault: f})
				check(t, askFaulty(u, f, chatBody("x")))
			})
		})
	}
}

// In somebody else's server the connections are not ours to count.
func TestFaultsAsHandler(t *testing.T) {
	for _, f := range []Fault{FaultReset, FaultClose} {
		s, err := New(Config{Faults: Rates{f: 1}})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(s)
		resp, err := srv.Client().Post(srv.URL+"/v1/chat/completions", "application/json", strings.NewReader(chatBody("x")))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		faultChecks[f](t, reply{err: err})
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRecorderCannotBeHijacked(t *testing.T) {
	s, err := New(Config{Faults: Rates{FaultReset: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { equal(t, "panic", recover(), any(http.ErrAbortHandler)) }()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(chatBody("x"))))
}

func TestStreamReset(t *testing.T) {
	u := start(t, Config{Faults: Rates{FaultReset: 1}})
	faultChecks[FaultReset](t, u.post("/chat/completions", chatBody("x", `"stream":true`)))
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		form         RetryAfterForm
		wait         time.Duration
		header, want string
	}{
		{"", 1500 * time.Millisecond, "Retry-After", "1.5"},
		{RetryAfterSeconds, 2 * time.Second, "Retry-After", "2"},
		{RetryAfterMS, 1500 * time.Millisecond, "retry-after-ms", "1500"},
	} {
		u := start(t, Config{Faults: Rates{FaultRateLimit: 1}, RetryAfter: tc.wait, RetryAfterForm: tc.form})
		r := u.ask(chatBody("x"), 429)
		equal(t, string(tc.form), r.header.Get(tc.header), tc.want)
	}
	u := start(t, Config{Faults: Rates{FaultUnavailable: 1}, RetryAfter: time.Hour, RetryAfterForm: RetryAfterDate})
	at, err := http.ParseTime(u.ask(chatBody("x"), 503).header.Get("Retry-After"))
	if err != nil || at.Before(time.Now()) {
		t.Errorf("retry at %v, %v", at, err)
	}
	q := start(t, Config{Faults: Rates{FaultQuota: 1}, RetryAfter: time.Hour})
	equal(t, "quota", q.ask(chatBody("x"), 429).header.Get("Retry-After"), "")
}

func TestRefusals(t *testing.T) {
	u := start(t, Config{Models: []string{"m"}, MaxBodyBytes: 200})
	for _, tc := range []struct {
		name, path, body string
		status           int
		param            any
	}{
		{"no JSON", "/chat/completions", `{"model":`, 400, nil},
		{"no object", "/chat/completions", `[]`, 400, nil},
		{"trailing", "/chat/completions", `{"model":"m","messages":[]} x`, 400, nil},
		{"empty", "/chat/completions", ``, 400, nil},
		{"no model", "/chat/completions", `{"messages":[]}`, 400, "model"},
		{"odd model", "/chat/completions", `{"model":3,"messages":[]}`, 400, "model"},
		{"unknown model", "/chat/completions", `{"model":"x","messages":[]}`, 404, "model"},
		{"no messages", "/chat/completions", `{"model":"m"}`, 400, "messages"},
		{"no prompt", "/completions", `{"model":"m","prompt":null}`, 400, "prompt"},
		{"no input", "/embeddings", `{"model":"m"}`, 400, "input"},
		{"too large", "/chat/completions", chatBody(strings.Repeat("x", 200)), 413, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := u.post(tc.path, tc.body)
			equal(t, "status", r.status, tc.status)
			equal(t, "param", pick(t, r.body, "error", "param"), tc.param)
		})
	}
}

func TestAPIKey(t *testing.T) {
	u := start(t, Config{APIKey: "secret"})
	u.ask(chatBody("x"), 401)
	u.ask(chatBody("x"), 401, "Authorization", "Bearer wrong")
	u.ask(chatBody("x"), 200, "Authorization", "Bearer secret")
	u.ask(chatBody("x"), 200, "api-key", "secret")
}

func TestOutage(t *testing.T) {
	u := start(t, Config{})
	u.SetOutage(true)
	u.ask(chatBody("x"), 503)
	u.SetOutage(false)
	u.ask(chatBody("x"), 200)
	for _, tc := range []struct {
		from, to time.Duration
		status   int
	}{
		{0, time.Hour, 503},
		{1, 0, 503},
		{time.Hour, 0, 200},
		{time.Hour, 2 * time.Hour, 200},
		{0, 1, 200},
	} {
		u := start(t, Config{OutageFrom: tc.from, OutageTo: tc.to})
		u.ask(chatBody("x"), tc.status)
	}
}
