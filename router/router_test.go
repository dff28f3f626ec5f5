package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

// upstream starts the fault-injecting server and a router on it.
func upstream(t *testing.T, config faultyllm.Config) (*Router, *faultyllm.Server) {
	t.Helper()
	srv, err := faultyllm.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	retries := 2
	cfg := &Config{
		Deployments: []Deployment{{ID: "one", Group: "*", Model: "*", BaseURL: srv.URL(), APIKey: NewSecret(testKey)}},
		NumRetries:  &retries,
	}
	return start(t, cfg, noWait), srv
}

// Each way to fail, with the class it must get and whether it is tried again.
func TestEveryFault(t *testing.T) {
	want := map[faultyllm.Fault]schema.Class{
		faultyllm.FaultBadRequest: schema.ClassRequestFatal, faultyllm.FaultContextLength: schema.ClassContextWindow,
		faultyllm.FaultContentFilter: schema.ClassContentPolicy, faultyllm.FaultAuth: schema.ClassUpstreamFatal,
		faultyllm.FaultForbidden: schema.ClassUpstreamFatal, faultyllm.FaultModelNotFound: schema.ClassUpstreamFatal,
		faultyllm.FaultTimeout: schema.ClassTransient, faultyllm.FaultTooLarge: schema.ClassRequestFatal,
		faultyllm.FaultUnprocessable: schema.ClassRequestFatal, faultyllm.FaultRateLimit: schema.ClassRateLimited,
		faultyllm.FaultQuota: schema.ClassUpstreamFatal, faultyllm.FaultServerError: schema.ClassTransient,
		faultyllm.FaultUnavailable: schema.ClassTransient, faultyllm.FaultOverloaded: schema.ClassTransient,
		faultyllm.FaultBadGateway: schema.ClassTransient, faultyllm.FaultHTML: schema.ClassTransient,
		faultyllm.FaultReset: schema.ClassTransient, faultyllm.FaultClose: schema.ClassTransient,
		faultyllm.FaultTruncated: schema.ClassTransient, faultyllm.FaultErrorIn200: schema.ClassTransient,
		faultyllm.FaultNoChoices: schema.ClassTransient, faultyllm.FaultEmpty: schema.ClassTransient,
		faultyllm.FaultContentType: "", faultyllm.FaultHang: schema.ClassTimeout,
	}
	for fault, class := range want {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			r, srv := upstream(t, faultyllm.Config{APIKey: testKey, Faults: faultyllm.Rates{fault: 1}})
			req := chat("m")
			req.Body = json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
			if fault == faultyllm.FaultHang {
				req.Timeout = 50 * time.Millisecond
			}
			out := r.Do(background, req)
			wantConsistent(t, out)
			calls := 1
			switch class {
			case "":
				if out.Status != schema.StatusSucceeded {
					t.Fatal(out.Error)
				}
				return
			case schema.ClassTransient, schema.ClassRateLimited:
				calls = 3
			}
			if out.Status != schema.StatusFailed || out.Error.Class != class {
				t.Errorf("got %s: %v, want %s", out.Status, out.Error, class)
			}
			if len(out.Attempts) != calls || srv.CallsOf(faultyllm.IdentityOf(req.Body)) != calls {
				t.Errorf("%d attempts on record, %d calls made, want %d", len(out.Attempts), srv.CallsOf(faultyllm.IdentityOf(req.Body)), calls)
			}
			for _, a := range out.Attempts {
				if a.Deployment != "one" || a.Model != "m" || a.Error == nil || a.StartedAt.IsZero() || a.LatencyMs <= 0 {
					t.Errorf("attempt %+v", a)
				}
			}
		})
	}
}

func TestRetriesUntilItSucceeds(t *testing.T) {
	r, _ := upstream(t, faultyllm.Config{APIKey: testKey})
	out := r.Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"hi"}],"mock":{"status":503,"times":2}}`)})
	wantConsistent(t, out)
	if out.Status != schema.StatusSucceeded || len(out.Attempts) != 3 || out.Response.StatusCode != 200 {
		t.Fatalf("%+v %v", out, out.Error)
	}
	a := out.Attempts
	if a[0].StatusCode != 503 || a[0].Error.Class != schema.ClassTransient || a[2].StatusCode != 200 || a[2].Error != nil || a[2].Usage == nil || *out.Usage != *a[2].Usage {
		t.Errorf("attempts %+v", a)
	}
}

func TestUsageIsSummed(t *testing.T) {
	calls := 0
	r, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			_, _ = io.WriteString(w, `{"choices":[],"usage":{"input_tokens":5,"output_tokens":1}}`)
			return
		}
		_, _ = io.WriteString(w, okChat)
	})
	out := r.Do(background, chat("m"))
	if out.Status != schema.StatusSucceeded || *out.Usage != (schema.Usage{PromptTokens: 14, CompletionTokens: 13, TotalTokens: 27}) {
		t.Errorf("usage %+v", out.Usage)
	}
}

func TestRequestsThatAreNotSent(t *testing.T) {
	var calls atomic.Int32
	_, srv := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	d := deploymentAt("a", srv.URL)
	d.Group, d.Model = "gpt-4o", "gpt-4o"
	r := start(t, &Config{Deployments: []Deployment{d}})
	for name, tt := range map[string]struct {
		req           Request
		code, message string
	}{
		"unknown model": {chat("nope"), "model_not_found", `no model group "nope"; configured: gpt-4o`},
		"long name":     {chat(strings.Repeat("x", 1<<20)), "model_not_found", "configured: gpt-4o"},
		"no body":       {Request{}, "invalid_request", "JSON object with a model"},
		"no object":     {Request{Body: json.RawMessage(`[1]`)}, "invalid_request", "JSON object"},
		"bad JSON":      {Request{Body: json.RawMessage(`{"model":`)}, "invalid_request", "JSON object"},
		"no model":      {Request{Body: json.RawMessage(`{"messages":[]}`)}, "invalid_request", "with a model"},
		"model a list":  {Request{Body: json.RawMessage(`{"model":["gpt-4o"]}`)}, "invalid_request", "with a model"},
		"endpoint":      {Request{Endpoint: "/v1/files", Body: json.RawMessage(`{"model":"gpt-4o"}`)}, "invalid_request", "/v1/files"},
	} {
		out := r.Do(background, tt.req)
		wantConsistent(t, out)
		if out.Status != schema.StatusFailed || out.Error.Class != schema.ClassRequestFatal || out.Error.Code != tt.code ||
			!strings.Contains(out.Error.Message, tt.message) || len(out.Attempts) != 0 || out.Response != nil {
			t.Errorf("%s: %+v %v", name, out, out.Error)
		}
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls", calls.Load())
	}
	if out := r.Do(background, Request{Body: json.RawMessage(`{"model":"gpt-4o","stream":false}`), Timeout: time.Second}); len(out.Attempts) == 0 {
		t.Errorf("a body that says stream false was not sent: %v", out.Error)
	}
}

func TestCancelEndsTheCall(t *testing.T) {
	for name, tt := range map[string]struct {
		cause  error
		status schema.Status
		class  schema.Class
		code   string
	}{
		"plain":     {nil, schema.StatusCancelled, schema.ClassCancelled, schema.CodeCancelled},
		"cancelled": {&schema.Error{Class: schema.ClassCancelled, Code: "fail_fast", Message: "another request failed"}, schema.StatusCancelled, schema.ClassCancelled, "fail_fast"},
		"expired":   {fmt.Errorf("job: %w", &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "deadline"}), schema.StatusExpired, schema.ClassExpired, "batch_expired"},
		"internal":  {&schema.Error{Class: schema.ClassInternal, Message: "heartbeat lost"}, schema.StatusFailed, schema.ClassInternal, ""},
		"other":     {errors.New("x"), schema.StatusCancelled, schema.ClassCancelled, schema.CodeCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(background)
			calls := 0
			aborted := make(chan struct{})
			r, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
				if calls++; calls == 1 {
					w.WriteHeader(500)
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				cancel(tt.cause)
				<-req.Context().Done()
				close(aborted)
			})
			out := r.Do(ctx, chat("m"))
			<-aborted // the upstream sees that nobody waits any more
			wantConsistent(t, out)
			if out.Status != tt.status || out.Error.Class != tt.class || out.Error.Code != tt.code {
				t.Errorf("%s: %+v", out.Status, out.Error)
			}
			if len(out.Attempts) != 2 || out.Attempts[0].StatusCode != 500 || out.Attempts[1].Error.Class != tt.class || out.Response.StatusCode != 500 {
				t.Errorf("attempts %+v, response %+v", out.Attempts, out.Response)
			}
			again := r.Do(ctx, chat("m"))
			if again.Status != tt.status || len(again.Attempts) != 0 {
				t.Errorf("after the end: %+v", again)
			}
		})
	}
}

func TestCallerDeadline(t *testing.T) {
	r, _ := upstream(t, faultyllm.Config{APIKey: testKey, Faults: faultyllm.Rates{faultyllm.FaultHang: 1}})
	ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
	defer cancel()
	out := r.Do(ctx, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`)})
	if out.Status != schema.StatusFailed || out.Error.Class != schema.ClassTimeout || len(out.Attempts) != 1 {
		t.Errorf("%+v %v", out, out.Error)
	}
}

// A group of three: one refuses the connection, one has a bad key, one works.
func TestOtherDeploymentsOfTheGroup(t *testing.T) {
	gone := httptest.NewServer(nil)
	_, bad := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"error":{"code":"invalid_api_key","message":"Incorrect API key: `+testKey+`"}}`)
	})
	_, good := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, okChat) })
	gone.Close() // not before the others have ports: one of them could get this one
	cfg := &Config{Deployments: []Deployment{deploymentAt("gone", gone.URL), deploymentAt("bad", bad.URL), deploymentAt("good", good.URL)}}
	var logged bytes.Buffer
	r := start(t, cfg, noWait, WithLogger(zerolog.New(&logged).Level(zerolog.InfoLevel)))
	for i := range 3 {
		out := r.Do(background, chat("m"))
		wantConsistent(t, out)
		if want := []string{"gone bad good", "gone good"}[min(i, 1)]; out.Status != schema.StatusSucceeded || went(out) != want {
			t.Fatalf("went to %s, want %s: %v", went(out), want, out.Error)
		}
		if i > 0 { // the bad one is known
			continue
		}
		a := out.Attempts
		if a[0].Deployment != "gone" || a[0].Error.Code != schema.CodeConnection || a[1].Deployment != "bad" || a[2].Deployment != "good" {
			t.Errorf("attempts %+v", a)
		}
		if host := strings.TrimPrefix(gone.URL, "http://"); !strings.Contains(a[0].Error.Message, "cannot reach "+host+": connection refused") {
			t.Error(a[0].Error.Message)
		}
	}
	if log := logged.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "cannot serve") || strings.Contains(log, testKey) {
		t.Errorf("logged: %s", log)
	}
}

// went names the deployments of an outcome's attempts.
func went(out Outcome) string {
	var ids []string
	for _, a := range out.Attempts {
		ids = append(ids, a.Deployment)
	}
	return strings.Join(ids, " ")
}

func TestChoiceIsUniform(t *testing.T) {
	var counts [3]atomic.Int32
	var ds []Deployment
	for i := range counts {
		_, srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { counts[i].Add(1); _, _ = io.WriteString(w, okChat) })
		ds = append(ds, deploymentAt(fmt.Sprint(i), srv.URL))
	}
	r := start(t, &Config{Deployments: ds})
	for range 300 {
		r.Do(background, chat("m"))
	}
	for i := range counts {
		if n := counts[i].Load(); n < 50 || n > 150 {
			t.Errorf("deployment %d got %d of 300", i, n)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	r, srv := upstream(t, faultyllm.Config{APIKey: testKey, Faults: faultyllm.Rates{
		faultyllm.FaultServerError: 0.1, faultyllm.FaultReset: 0.05, faultyllm.FaultRateLimit: 0.1, faultyllm.FaultBadRequest: 0.1,
	}})
	var wg sync.WaitGroup
	var attempts atomic.Int64
	for i := range 1000 {
		wg.Go(func() {
			text := fmt.Sprintf("request %d", i)
			out := r.Do(background, Request{Body: json.RawMessage(fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":%q}]}`, text))})
			wantConsistent(t, out)
			attempts.Add(int64(len(out.Attempts)))
			if out.Status == schema.StatusSucceeded && !bytes.Contains(out.Response.Body, []byte(text+`"`)) {
				t.Errorf("request %d got another's answer: %s", i, out.Response.Body)
			}
		})
	}
	wg.Wait()
	if got := srv.Stats().Calls; int64(got) != attempts.Load() {
		t.Errorf("%d attempts on record, %d calls made", attempts.Load(), got)
	}
}

// Calls that a cancel aborts are cancelled, however many they are and whoever hears
// of it first: none is a failure of its deployment.
func TestCancelOfManyIsNoFailure(t *testing.T) {
	const calls = 300
	begun := make(chan struct{}, calls)
	r, _ := serve(t, func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		begun <- struct{}{}
		<-req.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(background)
	outs := make(chan Outcome, calls)
	for range calls {
		go func() { outs <- r.Do(ctx, chat("m")) }()
	}
	for range calls {
		<-begun
	}
	cancel(&schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "the job was cancelled"})
	for range calls {
		if out := <-outs; out.Status != schema.StatusCancelled || out.Error.Message != "the job was cancelled" {
			t.Errorf("%s: %v", out.Status, out.Error)
		}
	}
}
