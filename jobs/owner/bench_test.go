package owner_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/owner"
	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// One operation of these benchmarks is one request or result. Allocations are
// those of the whole process, the embedded server included: a round trip that is
// saved shows.

var queues = map[string]int{"default": 64}

// BenchmarkFeed is from a job's submit to its last request in the work stream.
func BenchmarkFeed(b *testing.B) {
	e := testenv.New(b)
	caps := map[string]int{"default": b.N + 1}
	broker := e.Store(caps)
	defer ownerOf(b, broker, caps)()
	fed := e.Listen(broker.Names.WorkIn("default"))
	if err := fed.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	client, requests := jobs.ClientOn(broker, "default"), testenv.Chats(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	// A job may have no more in flight: as many jobs as it takes.
	for from := 0; from < b.N; from += schema.MaxConcurrency {
		part := requests[from:min(b.N, from+schema.MaxConcurrency)]
		if _, err := client.Submit(e.Ctx(), schema.Job{Requests: part, Concurrency: len(part)}); err != nil {
			b.Fatal(err)
		}
	}
	for range b.N {
		if _, err := fed.NextMsg(30 * time.Second); err != nil {
			b.Fatal(err)
		}
	}
}

func ownerOf(b *testing.B, st *store.Store, caps map[string]int) (stop func()) {
	b.Helper()
	cancels, err := st.Cancels.Watch()
	if err != nil {
		b.Fatal(err)
	}
	o, err := owner.Start(b.Context(), owner.Config{Store: st, Feeder: queue.New(st, testenv.Logger(b)), Queues: caps, Name: "owner", Cancels: cancels, Log: testenv.Logger(b)})
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		o.Stop()
		cancels.Close()
	}
}

// BenchmarkRelay passes stored results on to a reply subject: those of a job that
// is submitted again.
func BenchmarkRelay(b *testing.B) {
	e := testenv.New(b)
	e.Worker(queues)
	client := e.Client()
	job := schema.Job{ID: "bench", Requests: testenv.Chats(b.N), Concurrency: 64, Reply: "answers"}
	answers := e.Listen("answers")
	if err := answers.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	relayed := func() {
		if _, err := client.Submit(e.Ctx(), job); err != nil {
			b.Fatal(err)
		}
		for n := 0; ; n++ {
			m, err := answers.NextMsg(30 * time.Second)
			if err != nil {
				b.Fatal(err)
			}
			if isEnd(m) {
				if n != b.N {
					b.Fatalf("%d of %d results", n, b.N)
				}
				return
			}
		}
	}
	relayed()
	b.ReportAllocs()
	b.ResetTimer()
	relayed()
}

func isEnd(m *nats.Msg) bool { return m.Header.Get(schema.HeaderIndex) == schema.EndToken }
