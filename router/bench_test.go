package router

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"pelton/schema"
)

// What the router itself costs is BenchmarkDo less BenchmarkBareCall: both send
// the same bytes through a transport that does nothing. Under 5 µs and 10
// allocations are asked for.

func BenchmarkDo(b *testing.B) { benchmarkDo(b, cheapRouter(b)) }

// BenchmarkDoLimited is the same with limits, prices and a strategy.
func BenchmarkDoLimited(b *testing.B) {
	one := Deployment{
		Group: "*", Model: "*", BaseURL: "http://a/v1", APIKey: NewSecret(testKey), RPM: 1e9, MaxParallel: 1e6,
		Prices: Prices{Input: ptr(1e-6), Output: ptr(1e-6)},
	}
	two := one
	two.BaseURL = "http://b/v1"
	r, err := New(&Config{Deployments: []Deployment{one, two}, Strategy: LatencyBased}, through(nothing))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDo(b, r)
}

func BenchmarkBareCall(b *testing.B) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := bareCall(roundTrip(nothing)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkDoHTTP measures it with a real server on loopback.
func BenchmarkDoHTTP(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(w, okChat)
	}))
	defer srv.Close()
	r, err := New(&Config{Deployments: []Deployment{deploymentAt("a", srv.URL)}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	benchmarkDo(b, r)
}

// The bound on allocations is a promise, so it is a test too.
func TestDoIsCheap(t *testing.T) {
	r, req := cheapRouter(t), benchRequest
	do := testing.AllocsPerRun(200, func() { r.Do(background, req) })
	bare := testing.AllocsPerRun(200, func() { _ = bareCall(roundTrip(nothing)) })
	if do > bare+10 {
		t.Errorf("a request makes %v allocations, the call alone %v", do, bare)
	}
}

var benchRequest = Request{Body: json.RawMessage(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello, how are you today?"}],"temperature":0}`)}

func nothing(*http.Request) (*http.Response, error) {
	return answerWith(200, noHeader, okChat), nil
}

var noHeader = http.Header{}

func cheapRouter(t testing.TB) *Router {
	t.Helper()
	r, err := New(&Config{Deployments: []Deployment{deploymentAt("a", "http://a")}}, through(nothing))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bareCall is the least that a program does for one call.
func bareCall(transport http.RoundTripper) error {
	req, err := http.NewRequestWithContext(background, "POST", "http://a/v1/chat/completions", bytes.NewReader(benchRequest.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

func benchmarkDo(b *testing.B, r *Router) {
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if out := r.Do(context.Background(), benchRequest); out.Status != schema.StatusSucceeded {
				b.Error(out.Error)
			}
		}
	})
}
