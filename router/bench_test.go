package router

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"pelton/schema"
)

// BenchmarkDo measures a request's way through the router alone: the upstream
// is a function.
func BenchmarkDo(b *testing.B) {
	r, err := New(&Config{Deployments: []Deployment{deploymentAt("a", "http://a")}},
		through(func(*http.Request) (*http.Response, error) { return answerWith(200, http.Header{}, okChat), nil }))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDo(b, r)
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

func benchmarkDo(b *testing.B, r *Router) {
	req := Request{Body: json.RawMessage(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello, how are you today?"}],"temperature":0}`)}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if out := r.Do(context.Background(), req); out.Status != schema.StatusSucceeded {
				b.Error(out.Error)
			}
		}
	})
}
