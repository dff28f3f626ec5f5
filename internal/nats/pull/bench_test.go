package pull_test

import (
	"sync/atomic"
	"testing"

	"pelton/internal/nats/pull"
)

// BenchmarkPull takes and acknowledges messages, 64 at a time. Allocations are
// those of the whole process, the embedded server included.
func BenchmarkPull(b *testing.B) {
	q := newQueue(b, "a")
	q.publish("a", b.N)
	var n atomic.Int64
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	p := q.start(b.Context(), "a", pull.NewSlots(64), func(d *pull.Delivery) {
		d.Ack()
		if n.Add(1) == int64(b.N) {
			close(done)
		}
	})
	<-done
	b.StopTimer()
	p.Stop()
}
