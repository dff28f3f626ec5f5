package schema_test

import (
	"fmt"
	"strings"

	"pelton/schema"
)

// A job is read with everything that is wrong with it.
func ExampleParseJob() {
	_, err := schema.ParseJob([]byte(`{
		"requests": [
			{"model": "gpt-4o-mini", "messages": []},
			{"custom_id": "b", "body": {"model": "gpt-4o-mini"}}
		],
		"concurency": 8,
		"timeout": 600
	}`), schema.Limits{})
	fmt.Println(err)
	// Output:
	// 3 problems:
	//   job: concurency: is no field of a job; did you mean "concurrency"?
	//   job: timeout: must be a duration with its unit, as a string: write "30s" for thirty seconds, not 600
	//   request 1: body.messages: missing; /v1/chat/completions needs it
}

func ExampleJob_AppendJSON() {
	job := schema.Job{
		Requests:    []schema.Request{schema.Chat("gpt-4o-mini", schema.User("Hello"))},
		Concurrency: 64,
		FailFast:    schema.FailFast{Failures: 1},
	}
	message, err := job.AppendJSON(nil)
	fmt.Println(string(message), err)
	// Output: {"concurrency":64,"fail_fast":true,"requests":[{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}]} <nil>
}

func ExampleLineReader() {
	input := `{"custom_id": "a", "body": {"messages": []}}

{"custom_id": "b", "body": {}}`
	lines := schema.NewLineReader(strings.NewReader(input), schema.Limits{}, []byte(`{"model": "gpt-4o-mini"}`))
	for lines.Next() {
		fmt.Println(lines.Index(), lines.Request().CustomID, lines.Request().Problem == nil)
	}
	fmt.Println(lines.Err())
	fmt.Println(lines.Problems())
	// Output:
	// 0 a true
	// 1 b false
	// <nil>
	// request 1 (line 3): body.messages: missing; /v1/chat/completions needs it
}

// A body is changed in one place; its other bytes stay.
func ExampleSetField() {
	body, err := schema.SetField([]byte(`{ "model": "mine", "seed": 18446744073709551616 }`), "model", []byte(`"gpt-4o-mini"`))
	fmt.Println(string(body), err)
	// Output: { "model": "gpt-4o-mini", "seed": 18446744073709551616 } <nil>
}
