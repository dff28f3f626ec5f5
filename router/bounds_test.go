package router

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pelton/router/internal/bearer"
	"pelton/router/internal/route"
	"pelton/router/protocol"
	"pelton/schema"
)

// boundsRouter is a router with one upstream that answers as handle does.
func boundsRouter(t *testing.T, limit int64, handle http.HandlerFunc) *Router {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	r, err := New(&Config{Deployments: []Deployment{{ID: "d", Group: "*", Model: "*", BaseURL: server.URL}}, MaxResponseBytes: limit, NumRetries: new(int)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// An answer that unpacks to more than is read costs no more than that.
func TestGzipBombIsBounded(t *testing.T) {
	const limit = 1 << 20
	r := boundsRouter(t, limit, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(rw)
		zeros := make([]byte, 1<<20)
		for range 512 {
			if _, err := zip.Write(zeros); err != nil {
				return // nobody reads on
			}
		}
		_ = zip.Close()
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out := r.Do(t.Context(), Request{Body: json.RawMessage(`{"model":"m","messages":[]}`)})
	runtime.ReadMemStats(&after)
	if out.Status != schema.StatusFailed || out.Error == nil {
		t.Errorf("%+v", out)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated for an answer of at most 1", grown>>20)
	}
}

// Headers without end are not read to their end.
func TestHeadersAreBounded(t *testing.T) {
	r := boundsRouter(t, 0, func(rw http.ResponseWriter, _ *http.Request) {
		for i := range 1000 {
			rw.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 4<<10))
		}
		_, _ = rw.Write([]byte("{}"))
	})
	out := r.Do(t.Context(), Request{Body: json.RawMessage(`{"model":"m","messages":[]}`)})
	if out.Status != schema.StatusFailed || out.Error == nil || !strings.Contains(out.Error.Message, "header") {
		t.Errorf("%+v", out.Error)
	}
}

// A success that nests as deep as JSON may can still be read in a result.
func TestDeepAnswerCanBeRead(t *testing.T) {
	for _, depth := range []int{10, 9890, 9999} {
		deep := `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
		c := &call{reply: protocol.Reply{Status: 200}, answer: protocol.Answer{Body: []byte(deep), JSON: true}}
		r := schema.Result{ID: "j.0", Job: "j", Status: schema.StatusSucceeded, Response: c.response(judgement{}, nil)}
		text, err := r.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := schema.ParseResult(text); err != nil {
			t.Errorf("depth %d: %v", depth, err)
		}
		if is := string(r.Response.Body) == deep; is != (depth < 9900) {
			t.Errorf("depth %d: bytes kept: %v", depth, is)
		}
	}
}

// What is read whole is read up to a bound, so that a device is no key.
func TestFilesAreBounded(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	file, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(1<<30), file.Close()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := bearer.New(large, nil).Get(t.Context()); err == nil {
		t.Error("it is no token")
	}
	if _, err := route.ReadCAs(large); err == nil {
		t.Error("it is no certificate")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}
