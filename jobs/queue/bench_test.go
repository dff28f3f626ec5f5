package queue_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs/queue"
	"pelton/schema"
)

// BenchmarkDecode decodes a message of the work stream.
func BenchmarkDecode(b *testing.B) {
	e := testenv.New(b)
	caps := map[string]int{"default": 8}
	broker := e.Store(caps)
	fed := e.Listen(broker.Names.WorkIn("default"))
	item := &queue.Item{
		Queue: "default", Job: "bench", Total: 1, Endpoint: schema.ChatCompletions, Timeout: time.Minute,
		Deadline: time.Now().Add(time.Hour), QueuedAt: time.Now(), FedAt: time.Now(), Body: testenv.Chats(1)[0].Body,
	}
	if err := queue.NewStream(broker, testenv.Logger(b)).Put(e.Ctx(), item, 1, 0, func(int) { b.Error("not put in") }); err != nil {
		b.Fatal(err)
	}
	m, err := fed.NextMsg(30 * time.Second)
	if err != nil {
		b.Fatal(err)
	}
	ctx := e.Ctx()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := queue.Decode(ctx, broker, m); err != nil {
			b.Fatal(err)
		}
	}
}
