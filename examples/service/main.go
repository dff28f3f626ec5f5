// Command service calls the micro service: one request with a job, one answer
// with all results in input order, as parallel_acompletions does. For lists that
// fit a message, and callers that wait.
//
//	pelton worker &
//	go run ./examples/service
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
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
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()

	answer, err := nc.RequestWithContext(ctx, "pelton.svc.run.default", []byte(job))
	if err != nil {
		return err
	}
	if code := answer.Header.Get("Nats-Service-Error-Code"); code != "" {
		return fmt.Errorf("%s: %s", code, answer.Header.Get("Nats-Service-Error"))
	}
	var results []struct {
		Index    int
		Status   string
		Response struct{ Body json.RawMessage }
		Error    *struct{ Class, Message string }
	}
	if err := json.Unmarshal(answer.Data, &results); err != nil {
		return err
	}
	for _, r := range results {
		if r.Error != nil {
			fmt.Println(r.Index, r.Status, r.Error.Class, r.Error.Message)
			continue
		}
		fmt.Printf("%d %s\n", r.Index, r.Response.Body)
	}
	return nil
}
