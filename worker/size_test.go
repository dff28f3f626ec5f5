package worker_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// Bodies and answers from 100 bytes to 4 MiB in one job, on both sides of the
// broker's message limit, come back in order with their own bytes.
func TestBodiesOfAllSizes(t *testing.T) {
	e := testenv.New(t, testenv.MaxPayload(1<<20))
	e.Worker(defaultQueue)
	var requests []schema.Request
	var want []string
	for _, size := range []int{100, 1 << 10, 10 << 10, 100 << 10, 1<<20 - 20<<10, 4 << 20} {
		text := fmt.Sprintf("%d ", size) + strings.Repeat("x", size)
		requests = append(requests, testenv.Chat(text, ""), testenv.Chat("small", `{"answer":"`+text+`"}`))
		want = append(want, fmt.Sprintf("You said: %d ", size), text) // the first is repeated in part
	}
	results, err := e.Client().Run(e.Ctx(), schema.Job{ID: "sizes", Requests: requests, IncludeRequest: true})
	if err != nil || len(results) != len(requests) {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for i := range results {
		r := &results[i]
		if r.Index != i || r.Err() != nil || !strings.HasPrefix(testenv.Answer(r), want[i]) || i%2 == 1 && testenv.Answer(r) != want[i] {
			t.Errorf("result %d: %v, an answer of %d bytes, want %d", i, r.Err(), len(testenv.Answer(r)), len(want[i]))
		}
		if string(r.Request) != string(requests[i].Body) {
			t.Errorf("result %d: the request has %d bytes, want %d", i, len(r.Request), len(requests[i].Body))
		}
	}
}

func TestJobOfOneRequest(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{ID: "one", Requests: testenv.Chats(1)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range h.Results(e.Ctx()) {
		if err != nil || r.Index != 0 || testenv.Answer(r) != "You said: 0" {
			t.Fatalf("%+v, %v", r, err)
		}
		n++
	}
	state, err := h.State(e.Ctx())
	if err != nil || n != 1 || state.State != schema.Succeeded || state.Total != 1 || state.Counts.Succeeded != 1 {
		t.Errorf("%d results, %+v, %v", n, state, err)
	}
}

// A reader that comes when all is over reads the same as one that was there, in
// both orders.
func TestReaderAfterTheEnd(t *testing.T) {
	const total = 300
	e := testenv.New(t)
	w := e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{ID: "over", Requests: testenv.Chats(total), Concurrency: 32})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Wait(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	e.Settled()
	if err := w.Drain(); err != nil {
		t.Fatal(err)
	}
	for _, order := range []schema.Order{schema.OrderInput, schema.OrderCompletion} {
		var got []int
		for r, err := range e.Client().Job("default", "over").Collect(e.Ctx(), order) {
			if err != nil || testenv.Answer(r) != fmt.Sprintf("You said: %d", r.Index) {
				t.Fatalf("%+v, %v", r, err)
			}
			got = append(got, r.Index)
		}
		if inOrder := slices.IsSorted(got); order == schema.OrderInput && !inOrder {
			t.Errorf("not in order: %v", got)
		}
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != total {
			t.Errorf("%d results", len(got))
		}
	}
}

// manySmall submits n jobs of one request from several clients and waits for
// each. It returns the most that the heap grew, and how long it took.
func manySmall(t *testing.T, n int) (grown int64, took time.Duration) {
	t.Helper()
	e := testenv.New(t, testenv.LLM(faultyllm.Config{KeepTimes: 1}))
	e.Worker(defaultQueue)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	client, began := e.Client(), time.Now()
	before := heap()
	handles := make([]*jobs.Handle, n)
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < n; i += 8 {
				h, err := client.Submit(ctx, schema.Job{ID: fmt.Sprintf("s-%d", i), Requests: testenv.Chats(1)})
				if err != nil {
					t.Errorf("job %d: %v", i, err)
					return
				}
				handles[i] = h
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	grown = heap() - before
	for i, h := range handles {
		state, err := h.Wait(ctx)
		if err != nil || state.State != schema.Succeeded {
			t.Fatalf("job %d: %+v, %v", i, state, err)
		}
		if i%max(1, n/10) == 0 {
			grown = max(grown, heap()-before)
		}
	}
	if calls := e.LLM.Stats().Calls; calls != n {
		t.Errorf("%d calls for %d jobs", calls, n)
	}
	return grown, time.Since(began)
}

// Many small jobs at once all end, each called once. The full 10,000 are among
// the slow tests.
func TestManySmallJobs(t *testing.T) {
	grown, took := manySmall(t, 200)
	t.Logf("200 jobs: %s, the heap grew by %d MiB", took.Round(time.Millisecond), grown>>20)
}
