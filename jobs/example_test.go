package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// Run is one call for the whole of a small job: the results come as a slice, in
// input order. A request that fails is a result with an error.
func ExampleClient_Run() {
	nc, stop := service()
	defer stop()

	client, err := jobs.NewClient(nc)
	if err != nil {
		panic(err)
	}
	results, err := client.Run(context.Background(), schema.Job{Requests: []schema.Request{
		schema.Chat("gpt-4o-mini", schema.User("Hello")),
		{Body: json.RawMessage(`{"model": "gpt-4o-mini", "messages": [], "mock": {"status": 400, "message": "no messages"}}`)},
		schema.Chat("gpt-4o-mini", schema.User("Goodbye")),
	}})
	if err != nil {
		panic(err)
	}
	for _, r := range results {
		if err := r.Err(); err != nil {
			fmt.Println(r.Index, err)
			continue
		}
		fmt.Println(r.Index, testenv.Answer(&r))
	}
	// Output:
	// 0 You said: Hello
	// 1 request_fatal (http_400): no messages
	// 2 You said: Goodbye
}

// With fail-fast the first failure ends the job. What had finished is kept.
func ExampleResultError() {
	nc, stop := service()
	defer stop()

	client, err := jobs.NewClient(nc)
	if err != nil {
		panic(err)
	}
	_, err = client.Run(context.Background(), schema.Job{
		Concurrency: 1,
		FailFast:    schema.FailFast{Failures: 1},
		Requests: []schema.Request{
			schema.Chat("gpt-4o-mini", schema.User("Hello")),
			{Body: json.RawMessage(`{"model": "gpt-4o-mini", "messages": [], "mock": {"status": 400}}`)},
			schema.Chat("gpt-4o-mini", schema.User("never sent")),
		},
	})
	var failed *jobs.ResultError
	if errors.As(err, &failed) {
		fmt.Println("request", failed.Index, "ended the job:", failed.Result.Error.Class)
		fmt.Printf("%+v\n", failed.State.Counts)
	}
	// Output:
	// request 1 ended the job: request_fatal
	// {Succeeded:1 Failed:1 Cancelled:0 Expired:0 NotStarted:1}
}

// Submit returns once the broker has the job. Ordered yields each result as
// soon as it and all before it are there, whoever finishes first.
func ExampleHandle_Ordered() {
	nc, stop := service()
	defer stop()
	ctx := context.Background()

	client, err := jobs.NewClient(nc)
	if err != nil {
		panic(err)
	}
	handle, err := client.Submit(ctx, schema.Job{ID: "greetings", Requests: []schema.Request{
		{Body: json.RawMessage(`{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "slow"}], "mock": {"latency_ms": 100}}`)},
		schema.Chat("gpt-4o-mini", schema.User("fast")),
	}})
	if err != nil {
		panic(err)
	}
	for r, err := range handle.Ordered(ctx) {
		if err != nil {
			panic(err)
		}
		fmt.Println(r.ID, testenv.Answer(r))
	}
	// Output:
	// greetings.0 You said: slow
	// greetings.1 You said: fast
}

// Wait returns the final state; OnProgress sees the states on the way to it.
func ExampleHandle_Wait() {
	nc, stop := service()
	defer stop()
	ctx := context.Background()

	client, err := jobs.NewClient(nc)
	if err != nil {
		panic(err)
	}
	handle, err := client.Submit(ctx, schema.Job{Requests: testenv.Chats(20)})
	if err != nil {
		panic(err)
	}
	var last schema.State
	state, err := handle.Wait(ctx, jobs.OnProgress(func(s schema.State) { last = s }))
	if err != nil {
		panic(err)
	}
	fmt.Println(state.State, state.Counts.Succeeded, "of", state.Total)
	fmt.Println("the last snapshot is the final state:", last.State == state.State)
	// Output:
	// succeeded 20 of 20
	// the last snapshot is the final state: true
}

// Cancel returns once the cancel is durable; Wait tells when the job has ended.
func ExampleHandle_Cancel() {
	nc, stop := service()
	defer stop()
	ctx := context.Background()

	client, err := jobs.NewClient(nc)
	if err != nil {
		panic(err)
	}
	handle, err := client.Submit(ctx, schema.Job{Requests: []schema.Request{
		{Body: json.RawMessage(`{"model": "gpt-4o-mini", "messages": [], "mock": {"fault": "hang"}}`)},
	}})
	if err != nil {
		panic(err)
	}
	if err := handle.Cancel(ctx, "wrong prompts"); err != nil {
		panic(err)
	}
	state, err := handle.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s (%s): %s\n", state.State, state.Reason.Code, state.Reason.Message)
	// Output: cancelled (cancelled): wrong prompts
}

// service starts a NATS server, a worker and an upstream that repeats what it
// is told. A program of your own connects with nats.Connect instead.
func service() (nc *nats.Conn, stop func()) {
	host := &host{}
	env := testenv.New(host)
	env.Worker(map[string]int{"default": 16})
	return env.Conn(), host.end
}

// host is what testenv needs of a test, for examples, which have none.
type host struct {
	testing.TB
	cleanups []func()
}

func (h *host) Helper()           {}
func (h *host) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (h *host) Cleanup(f func())  { h.cleanups = append(h.cleanups, f) }

func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "pelton-example-*")
	if err != nil {
		panic(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (h *host) end() {
	for _, f := range slices.Backward(h.cleanups) {
		f()
	}
}
