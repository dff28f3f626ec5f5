package router

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

func TestCheck(t *testing.T) {
	srv, err := faultyllm.New(faultyllm.Config{APIKey: testKey, Models: []string{"gpt-4o"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	gone := httptest.NewServer(nil)
	gone.Close()
	_, listless := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != "GET" || req.Body != http.NoBody {
			t.Errorf("%s with a body", req.Method)
		}
		w.WriteHeader(404)
		_, _ = io.WriteString(w, "404 page not found\n")
	})
	_, short := serve(t, func(w http.ResponseWriter, req *http.Request) { // as infinity serves, without /v1
		if req.URL.Path != "/models" {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"detail":"Not Found"}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"gpt-4o"}]}`)
	})
	at := func(id, group, model, base, key string) Deployment {
		return Deployment{ID: id, Group: group, Model: model, BaseURL: base, APIKey: NewSecret(key)}
	}
	r := start(t, &Config{Deployments: []Deployment{
		at("good", "g", "gpt-4o", srv.URL(), testKey),
		at("absent", "h", "gpt-9", srv.URL(), testKey),
		at("any", "*", "*", srv.URL(), testKey),
		at("bad key", "i", "gpt-4o", srv.URL(), "sk-wrong-key-000000"),
		at("gone", "j", "gpt-4o", gone.URL+"/v1", testKey),
		at("listless", "k", "gpt-4o", listless.URL, testKey),
		at("too little", "l", "gpt-4o", strings.TrimSuffix(srv.URL(), "/v1"), testKey),
		at("too much", "m", "gpt-4o", short.URL+"/v1", testKey),
	}})
	want := []struct {
		reachable, authorised bool
		model                 Listing
		message               string
	}{
		{true, true, Listed, "good: " + srv.URL() + " answered in "},
		{true, true, NotListed, "model not_listed"},
		{true, true, ListedUnknown, "model unknown"},
		{true, false, ListedUnknown, "bad key: "},
		{false, false, ListedUnknown, "connection refused"},
		{true, true, ListedUnknown, "is it complete?"},
		{true, true, ListedUnknown, "it lists its models at " + srv.URL() + ": set api_base to that"},
		{true, true, ListedUnknown, "it lists its models at " + short.URL + ": set api_base to that"},
	}
	for i, got := range r.Check(background) {
		w := want[i]
		if got.Reachable != w.reachable || got.Authorised != w.authorised || got.Model != w.model || !strings.Contains(got.String(), w.message) {
			t.Errorf("%+v (%s), want %+v", got, got, w)
		}
		if strings.Contains(got.String(), "sk-wrong") || strings.Contains(got.String(), testKey) {
			t.Errorf("the key leaks: %s", got)
		}
		if (got.Error == nil) != (i < 3) {
			t.Errorf("%s: error %v", got.Deployment.ID, got.Error)
		}
	}
	full := at("good", "g", "gpt-4o", srv.URL(), testKey)
	full.RPM, full.MaxParallel, full.Prices = 600, 20, Prices{Input: ptr(0.0), Output: ptr(0.0)}
	got := start(t, &Config{Deployments: []Deployment{full}}).Check(background)[0]
	if !strings.HasSuffix(got.String(), "model listed, 600 requests/min, 20 at once, price known") || !got.PriceKnown || got.RPM != 600 {
		t.Errorf("%s", got)
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	if got := r.Check(ctx)[0]; got.Reachable || got.Error.Class != schema.ClassCancelled {
		t.Errorf("cancelled: %+v", got)
	}
}
