package main

import "github.com/alecthomas/kong"

const about = `Runs batches of LLM requests: each request once, in order or as they complete, within limits, and loses none.

To begin, without a key or a server: pelton run --mock FILE, where FILE has one JSON request a line, or any rows with --prompt '{{.column}}' --model M. With OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own, leave --mock out: pelton run prompts.jsonl -o answers.jsonl

As a service: pelton worker, then pelton submit, watch and results; or publish jobs from any NATS client.`

// commands is the command line. Each verb is a file.
type commands struct {
	Run    runCmd    `cmd:"" group:"batch" help:"Run a file of requests and write the answers."`
	Submit submitCmd `cmd:"" group:"batch" help:"Hand a file of requests to a running service; prints the job's id."`

	Results resultsCmd `cmd:"" group:"jobs" help:"Write a job's results."`
	Watch   watchCmd   `cmd:"" group:"jobs" help:"Show a job's progress until it ends."`
	Status  statusCmd  `cmd:"" group:"jobs" help:"Show how a job stands."`
	Cancel  cancelCmd  `cmd:"" group:"jobs" help:"End a job: what has finished is kept."`
	Retry   retryCmd   `cmd:"" group:"jobs" help:"Run again what did not succeed, as a new job."`
	Ls      lsCmd      `cmd:"" group:"jobs" help:"List jobs."`
	Rm      rmCmd      `cmd:"" group:"jobs" help:"Erase jobs with their prompts and results."`

	Worker  workerCmd  `cmd:"" group:"service" help:"Serve queues until stopped."`
	Gateway gatewayCmd `cmd:"" group:"service" help:"Serve OpenAI's batch API for the workers of a service."`
	Queue   queueCmd   `cmd:"" group:"service" help:"List queues, change their caps."`
	Check   checkCmd   `cmd:"" group:"service" help:"Check configuration, connection, streams and deployments."`

	Mock    mockCmd    `cmd:"" group:"tools" help:"Serve an OpenAI-compatible upstream with set latency and faults."`
	Bench   benchCmd   `cmd:"" group:"tools" help:"Measure the queue against programs that have none."`
	Schema  schemaCmd  `cmd:"" group:"tools" help:"Print the JSON Schemas of all messages."`
	Version versionCmd `cmd:"" group:"tools" help:"Print the version."`

	Completion completionCmd `cmd:"" group:"tools" help:"Print a shell's completion of verbs, flags and values."`
	Complete   completeCmd   `cmd:"" hidden:"" help:"What the completion of a shell asks."`
	Reference  referenceCmd  `cmd:"" hidden:"" help:"Print the reference of all verbs, as Markdown."`

	BenchPart  benchPartCmd  `cmd:"" hidden:"" help:"A process of bench."`
	BenchPlain benchPlainCmd `cmd:"" hidden:"" help:"The plain program of bench files."`
}

var groups = []kong.Group{
	{Key: "batch", Title: "Batches:"},
	{Key: "jobs", Title: "Jobs of a service:"},
	{Key: "service", Title: "The service:"},
	{Key: "tools", Title: "Tools:"},
	{Key: "connection", Title: "Connection (as in the nats CLI):"},
	{Key: "input", Title: "Input:"},
	{Key: "job", Title: "Job:"},
	{Key: "output", Title: "Output:"},
	{Key: "mock", Title: "Mock upstream:"},
	{Key: "profile", Title: "Profiles:"},
}
