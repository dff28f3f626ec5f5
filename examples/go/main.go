// Command go hands a job to a running service and prints the answers in input
// order, each as soon as it and all before it are there:
//
//	pelton worker &
//	go run ./examples/go
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"

	"pelton/jobs"
	"pelton/schema"
)

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

	client, err := jobs.NewClient(nc)
	if err != nil {
		return err
	}
	handle, err := client.Submit(ctx, schema.Job{
		Concurrency: 4,
		Requests: []schema.Request{
			schema.Chat("gpt-4o-mini", schema.User("Name the capital of Norway.")),
			schema.Chat("gpt-4o-mini", schema.User("Name the capital of Peru.")),
		},
	})
	if err != nil {
		return err
	}
	for result, err := range handle.Ordered(ctx) {
		if err != nil {
			return err // the job ended early, or cannot be read
		}
		if err := result.Err(); err != nil {
			fmt.Println(result.Index, "failed:", err)
			continue
		}
		fmt.Printf("%d %s\n", result.Index, result.Response.Body)
	}
	return nil
}
