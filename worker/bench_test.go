package worker_test

import (
	"fmt"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

// BenchmarkJob is the whole way of a request, upstream included: one job of b.N
// requests over an embedded server, read back in input order.
func BenchmarkJob(b *testing.B) {
	for _, inFlight := range []int{8, 64, 256} {
		b.Run(fmt.Sprintf("in-flight-%d", inFlight), func(b *testing.B) {
			e := testenv.New(b)
			e.Worker(map[string]int{"default": inFlight})
			client := e.Client()
			requests := testenv.Chats(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			h, err := client.Submit(e.Ctx(), schema.Job{Requests: requests, Concurrency: inFlight})
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for _, err := range h.Ordered(e.Ctx()) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != b.N {
				b.Fatalf("%d of %d results", n, b.N)
			}
		})
	}
}
