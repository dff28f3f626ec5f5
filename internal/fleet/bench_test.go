package fleet

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
	"pelton/router"
	"pelton/schema"
)

func benchmarkFleet(b *testing.B) *Fleet {
	b.Helper()
	srv, err := embednats.Start(embednats.Options{StoreDir: b.TempDir(), Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(srv.Close)
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	f, err := Join(b.Context(), nc, schema.Names{}, "b", zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(f.Close)
	return f
}

// BenchmarkAdmit is one caller: the round trip to the coordinator and back.
func BenchmarkAdmit(b *testing.B) {
	f := benchmarkFleet(b)
	for b.Loop() {
		p, err := f.Admit(b.Context(), "d", router.Limits{RPM: 1 << 30, MaxParallel: 64}, 0)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(0, true)
	}
}

// BenchmarkWaitParallel is many callers, whose asks share messages.
func BenchmarkWaitParallel(b *testing.B) {
	f := benchmarkFleet(b)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, err := f.Wait(b.Context(), "d", router.Limits{RPM: 1 << 30, MaxParallel: 64}, 0)
			if err != nil {
				b.Error(err)
				return
			}
			p.Done(0, true)
		}
	})
}
