//go:build pagesize

package web

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// The page with 10,000 jobs and a job of 1,000,000 requests: how long each view
// takes, and what memory it holds. The streams are filled directly. It prints a
// table; what it asserts of times is generous, for the machine may be busy: the
// promise is 300 ms a view.
func TestPageSize(t *testing.T) {
	manyJobs, manyRequests := 10_000, 1_000_000
	if text := os.Getenv("SIZE"); text != "" {
		manyRequests, _ = strconv.Atoi(text)
	}
	env := testenv.New(t)
	broker := env.Store(map[string]int{"default": 8})
	js, err := jetstream.New(env.Conn(), jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	fillStates(t, js, manyJobs, manyRequests)
	fillResults(t, js, manyRequests)
	t.Logf("filled in %s", time.Since(began).Round(time.Second))

	s := serve(t, Config{Token: token})
	page, err := AddPage(s, broker, "default", testenv.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(page.Close)
	base := heap()
	last := strconv.Itoa(manyRequests - 50)
	t.Logf("%-44s %9s %9s %9s %9s", "view", "first", "median", "worst", "page")
	for _, view := range []struct{ name, path string }{
		{"jobs", "/"},
		{"jobs, the last of them", "/?from=" + strconv.Itoa(manyJobs-50)},
		{"jobs by state", "/?state=failed"},
		{"jobs by id", "/?id=job-9999"},
		{"the job of 1,000,000", "/jobs/default/big"},
		{"its middle", "/jobs/default/big?from=" + strconv.Itoa(manyRequests/2)},
		{"its end", "/jobs/default/big?from=" + last},
		{"its failed requests (1 of 1,000)", "/jobs/default/big?status=failed"},
		{"failed, from the middle on", "/jobs/default/big?status=failed&after=" + strconv.Itoa(manyRequests/2)},
		{"one custom id, a step of the search", "/jobs/default/big?custom_id=c" + strconv.Itoa(manyRequests-1)},
		{"one request", "/jobs/default/big/requests/" + last},
	} {
		var times []time.Duration
		size := 0
		for range 11 {
			began := time.Now()
			status, body, _ := call(t, s, "GET", view.path)
			times = append(times, time.Since(began))
			if size = len(body); status != http.StatusOK {
				t.Fatalf("%s: %d %s", view.path, status, body)
			}
		}
		first := times[0]
		slices.Sort(times)
		ms := func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
		t.Logf("%-44s %9s %9s %9s %7dKB", view.name, ms(first), ms(times[5]), ms(times[10]), size>>10)
		if times[5] > 3*time.Second {
			t.Errorf("%s takes %s", view.name, times[5])
		}
	}
	searchAll(t, s, manyRequests)
	download(t, s, manyRequests, base)
	grown := int64(heap()) - int64(base)
	t.Logf("heap beyond the start's %d MB: %d MB", base>>20, grown>>20)
	if grown > 64<<20 {
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
}

func fillStates(t *testing.T, js jetstream.JetStream, n, requests int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	phase := []schema.Phase{schema.Succeeded, schema.CompletedWithErrors, schema.Failed, schema.Running}
	now := time.Now().UTC()
	for i := range n + 1 {
		state := schema.State{ID: fmt.Sprintf("job-%d", i), Queue: "default", State: phase[i%4], Total: 100, Counts: schema.Counts{Succeeded: 90, Failed: i % 10},
			CreatedAt: now.Add(-time.Duration(i) * time.Second), StartedAt: &now, UpdatedAt: now,
			Errors: []schema.ErrorCount{{Code: "rate_limit_exceeded", Count: 3, FirstIndex: 7}}, Metadata: json.RawMessage(`{"team":"search"}`)}
		if i == n {
			state.ID, state.Total, state.State, state.FinishedAt = "big", requests, schema.CompletedWithErrors, &now
			state.Counts = schema.Counts{Succeeded: requests - requests/1000, Failed: requests / 1000}
		}
		data, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishAsync("$KV.PELTON_STATE.default."+state.ID, data, jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, ctx, js)
}

func fillResults(t *testing.T, js jetstream.JetStream, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	names := schema.Names{}
	at := time.Now().UTC()
	answer := json.RawMessage(`{"choices":[{"message":{"role":"assistant","content":"an answer of a length that is usual for such tests"}}]}`)
	for i := range n {
		r := schema.Result{ID: "big." + strconv.Itoa(i), Job: "big", Index: i, CustomID: "c" + strconv.Itoa(i), Status: schema.StatusSucceeded,
			Response: &schema.Response{StatusCode: 200, Body: answer}, QueuedAt: &at, StartedAt: &at, FinishedAt: &at,
			Attempts: []schema.Attempt{{Deployment: "openai-1", Model: "m", StartedAt: at, LatencyMs: 812, StatusCode: 200}}}
		if i%1000 == 999 {
			r.Status, r.Error = schema.StatusFailed, &schema.Error{Class: schema.ClassTimeout, Code: "timeout", Message: "no answer within 10m"}
		}
		data, err := r.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg(names.Result("default", "big", i))
		m.Data = data
		m.Header.Set(schema.HeaderJob, "big")
		m.Header.Set(schema.HeaderIndex, strconv.Itoa(i))
		m.Header.Set(schema.HeaderStatus, string(r.Status))
		m.Header.Set(schema.HeaderCustomID, r.CustomID)
		if r.Error != nil {
			m.Header.Set(schema.HeaderCode, r.Error.Code)
		}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	end := nats.NewMsg(names.End("default", "big"))
	end.Header.Set(schema.HeaderIndex, schema.EndToken)
	end.Data = []byte(`{"id":"big","queue":"default","state":"completed_with_errors","total":` + strconv.Itoa(n) + `,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","counts":{"succeeded":` + strconv.Itoa(n) + `}}`)
	if _, err := js.PublishMsgAsync(end); err != nil {
		t.Fatal(err)
	}
	wait(t, ctx, js)
}

func wait(t *testing.T, ctx context.Context, js jetstream.JetStream) {
	t.Helper()
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// searchAll looks for what is last, as the page's script does: step by step.
func searchAll(t *testing.T, s *Server, n int) {
	began, steps := time.Now(), 0
	path := "/jobs/default/big?custom_id=c" + strconv.Itoa(n-1)
	for path != "" {
		_, body, _ := call(t, s, "GET", path)
		steps++
		path = goOnLink(body)
	}
	t.Logf("a custom id among %d: found in %d steps, %s", n, steps, time.Since(began).Round(time.Millisecond))
}

var goOn = regexp.MustCompile(`<a rel="next" href="([^"]*)"[^>]*>Go on`)

func goOnLink(body string) string {
	if m := goOn.FindStringSubmatch(body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// download reads all results, and looks at the heap on the way.
func download(t *testing.T, s *Server, n int, base uint64) {
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/jobs/default/big/results.jsonl", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	began, lines, peak := time.Now(), 0, uint64(0)
	buffer := make([]byte, 1<<20)
	for reads := 0; ; reads++ {
		k, err := answer.Body.Read(buffer)
		for _, c := range buffer[:k] {
			if c == '\n' {
				lines++
			}
		}
		if reads%500 == 0 {
			peak = max(peak, heap())
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines != n {
		t.Errorf("%d lines of %d", lines, n)
	}
	t.Logf("download of %d results: %s, heap at most %d MB beyond the start's", lines, time.Since(began).Round(time.Millisecond), (max(peak, base)-base)>>20)
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
