// Command plain is a client that knows nothing of Pelton but its subjects: it
// publishes a job and reads the results with an ordered consumer, as a client in
// any language can.
//
//	pelton worker &
//	go run ./examples/plain
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const job = `{
  "concurrency": 4,
  "requests": [
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name the capital of Norway."}]},
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name the capital of Peru."}]}
  ]
}`

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}

	ack, err := js.Publish(ctx, "pelton.jobs.default", []byte(job))
	if err != nil {
		return err
	}
	id := fmt.Sprintf("j%d", ack.Sequence) // a job without an id is named after its place

	consumer, err := js.OrderedConsumer(ctx, "PELTON_RESULTS", jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"pelton.results.default." + id + ".>"},
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		fmt.Printf("%s %s\n", m.Headers().Get("Pelton-Index"), m.Data())
		if m.Headers().Get("Pelton-Index") == "end" {
			return nil
		}
	}
}
