package router

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"pelton/schema"
)

// forgetful answers the first request of each connection and ends the connection
// when the next comes, as one that it had closed for its age.
func forgetful(t *testing.T) *httptest.Server {
	t.Helper()
	type key struct{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		if calls := req.Context().Value(key{}).(*atomic.Int32); calls.Add(1) > 1 {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		_, _ = io.WriteString(w, okChat)
	}))
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, key{}, new(atomic.Int32))
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// A kept connection that the server had closed costs a request nothing: no retry,
// no pause, no attempt of those that are allowed, and its deployment no health. It
// is listed as what it was.
func TestStaleConnectionCostsNothing(t *testing.T) {
	none, allowed := 0, 0
	srv := forgetful(t)
	r := start(t, &Config{
		Deployments: []Deployment{deploymentAt("one", srv.URL)}, NumRetries: &none, MaxAttempts: 1, AllowedFails: &allowed,
	}, func(s *settings) { s.rand = func() float64 { t.Error("a pause was drawn"); return 0 } })
	stale := 0
	for range 20 {
		out := r.Do(background, chat("m"))
		wantConsistent(t, out)
		if out.Error != nil {
			t.Fatal(out.Error)
		}
		if len(out.Attempts) == 1 {
			continue
		}
		stale++
		first, last := out.Attempts[0], out.Attempts[1]
		if len(out.Attempts) != 2 || first.Error == nil || first.Error.Code != schema.CodeStaleConnection || first.StatusCode != 0 || last.Error != nil || last.WaitedMs != 0 || first.UsageUnknown {
			t.Errorf("%+v", out.Attempts)
		}
	}
	if stale == 0 {
		t.Error("no connection was closed before its call")
	}
	if s := r.Status()[0]; !s.CooldownUntil.IsZero() || s.ErrorRate != 0 || s.UsedCalls != 20 {
		t.Errorf("%+v", s)
	}
}

// A request that was parked after such an attempt has all its attempts left.
func TestStaleConnectionReplayed(t *testing.T) {
	none := 0
	srv := forgetful(t)
	r := start(t, &Config{Deployments: []Deployment{deploymentAt("one", srv.URL)}, NumRetries: &none, MaxAttempts: 1}, noWait)
	req := chat("m")
	req.Earlier = []schema.Attempt{{
		Deployment: "one", Model: "m", StartedAt: time.Now(),
		Error: &schema.Error{Class: schema.ClassTransient, Code: schema.CodeStaleConnection, Message: "closed"},
	}}
	if out := r.Do(background, req); out.Error != nil || len(out.Attempts) != 2 {
		t.Errorf("%+v", out)
	}
}
