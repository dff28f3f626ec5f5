package jobs_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// One operation of these benchmarks is one request or result. Allocations are
// those of the whole process, the embedded server included: a round trip that is
// saved shows.

// answered is a result as the worker stores it.
func answered(index int) *schema.Result {
	now := time.Now().UTC()
	return &schema.Result{
		ID: fmt.Sprintf("bench.%d", index), Job: "bench", Index: index, Status: schema.StatusSucceeded,
		Response: &schema.Response{StatusCode: 200, RequestID: "req_1", Body: json.RawMessage(
			`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}`)},
		Attempts: []schema.Attempt{{Deployment: "one", Model: "m", StartedAt: now, LatencyMs: 812.4, StatusCode: 200}},
		Usage:    &schema.Usage{PromptTokens: 9, CompletionTokens: 7, TotalTokens: 16},
		QueuedAt: &now, StartedAt: &now, FinishedAt: &now,
	}
}

// BenchmarkStore stores results, 64 at a time.
func BenchmarkStore(b *testing.B) {
	e := testenv.New(b)
	broker := e.Store(queues)
	b.ReportAllocs()
	b.ResetTimer()
	storeAll(b, e, broker, b.N, func(i int) int { return i })
}

func storeAll(b *testing.B, e *testenv.Env, broker *store.Store, n int, index func(int) int) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	ctx := e.Ctx()
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if _, err := broker.Results.Put(ctx, "default", answered(index(i)), n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkCollect reads what is stored, in input order.
func BenchmarkCollect(b *testing.B) {
	benchmarkCollect(b, func(i int) int { return i })
}

// BenchmarkCollectShuffled has to put the results in order first.
func BenchmarkCollectShuffled(b *testing.B) {
	order := rand.New(rand.NewPCG(1, 2)).Perm(b.N)
	benchmarkCollect(b, func(i int) int { return order[i] })
}

func benchmarkCollect(b *testing.B, index func(int) int) {
	e := testenv.New(b)
	broker := e.Store(queues)
	h, err := jobs.ClientOn(broker, "default").Submit(e.Ctx(), schema.Job{ID: "bench", Requests: testenv.Chats(b.N)})
	if err != nil {
		b.Fatal(err)
	}
	storeAll(b, e, broker, b.N, index)
	ctx := e.Ctx()
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for r, err := range h.Ordered(ctx) {
		if err != nil || r.Index != n {
			b.Fatalf("result %d: %+v, %v", n, r, err)
		}
		if n++; n == b.N {
			break
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "results/s")
}
