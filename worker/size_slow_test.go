//go:build slow

package worker_test

import (
	"context"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// 10,000 jobs at once, the server, the upstream and all clients in one process:
// they all end, and cost at most 40 KiB of memory each.
func TestSizeTenThousandJobs(t *testing.T) {
	const n = 10_000
	grown, took := manySmall(t, n)
	t.Logf("%d jobs: %s, %.0f a second, the heap grew by %d MiB", n, took.Round(time.Second), n/took.Seconds(), grown>>20)
	if grown > n*40<<10 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// A reader stops for a minute in the middle of a job, longer than the server
// keeps its place: nobody waits for it, and it goes on where it was.
func TestSizeReaderStopsForAMinute(t *testing.T) {
	const total, stop = 5000, time.Minute
	e := testenv.New(t)
	e.Worker(defaultQueue)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	h, err := e.Client().Submit(ctx, schema.Job{ID: "stops", Requests: testenv.Chats(total), Concurrency: 64})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var back time.Time
	var slowest time.Duration
	for r, err := range h.Ordered(ctx) {
		if err != nil || r.Index != n {
			t.Fatalf("result %d: index %d, %v", n, r.Index, err)
		}
		if n++; n == total/10 {
			began := time.Now()
			if state, err := h.Wait(ctx); err != nil || state.State != schema.Succeeded {
				t.Fatalf("%+v, %v", state, err)
			}
			t.Logf("the job ended %s after its reader had stopped", time.Since(began).Round(time.Millisecond))
			select {
			case <-time.After(stop - time.Since(began)):
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
			back = time.Now()
		} else if !back.IsZero() {
			slowest = max(slowest, time.Since(back))
			back = time.Now()
		}
	}
	t.Logf("the longest wait for a result after that was %s", slowest.Round(time.Millisecond))
	if n != total || slowest > 10*time.Second {
		t.Errorf("%d results, the longest wait %s", n, slowest)
	}
}
