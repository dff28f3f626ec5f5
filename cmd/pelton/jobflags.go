package main

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"pelton/schema"
)

// jobFlags say how a job is run; run and submit share them. What a job
// document says stands where the flag is not given.
type jobFlags struct {
	Concurrency    string        `short:"c" group:"job" placeholder:"N" help:"Requests in flight at most (8); auto finds the number (experimental)."`
	FailFast       bool          `group:"job" help:"End the job with the first request that fails."`
	Timeout        time.Duration `group:"job" placeholder:"D" help:"For one attempt of a request; what takes longer is tried again (learned: three times what the slowest calls of its model take, 1m at least)."`
	RequestTimeout time.Duration `group:"job" placeholder:"D" help:"For one request with its retries and all waits (until the deadline)."`
	Deadline       string        `group:"job" placeholder:"D" help:"For the whole job: a duration, or a time as 2030-01-02T15:04:05Z (24h)."`
	MaxCost        float64       `group:"job" placeholder:"USD" help:"End the job when it has cost so much; needs the prices of its models."`
	Tags           []string      `name:"tag" group:"job" placeholder:"TAG" help:"Use only deployments with this tag; repeatable."`
	IncludeRequest bool          `group:"job" help:"Results repeat the request's body."`
	Queue          string        `group:"job" default:"default" placeholder:"Q" help:"Queue of the job (${default})."`
}

// job makes the job without its requests.
func (f *jobFlags) job(in *input, skip bool) (schema.Job, error) {
	job := schema.Job{}
	if in.job != nil {
		job = *in.job
	}
	if !schema.ValidQueue(f.Queue) {
		return job, usagef("--queue %q: must be 1 to %d letters, digits, - and _", f.Queue, schema.MaxIDLength)
	}
	for _, given := range []struct{ field, text string }{
		{"concurrency", f.Concurrency},
		{"deadline", f.Deadline},
		{"fail_fast", textIf(f.FailFast, "true")},
		{"include_request", textIf(f.IncludeRequest, "true")},
		{"invalid", textIf(skip, "skip")},
		{"max_cost", textIf(f.MaxCost != 0, fmt.Sprint(f.MaxCost))},
		{"request_timeout", textIf(f.RequestTimeout != 0, f.RequestTimeout.String())},
		{"timeout", textIf(f.Timeout != 0, f.Timeout.String())},
	} {
		if given.text == "" {
			continue
		}
		// Whether "auto" is switched on is for the workers to say.
		if err := job.SetText(given.field, given.text, schema.Limits{AutoConcurrency: true}); err != nil {
			return job, usagef("--%s: %w", strings.ReplaceAll(given.field, "_", "-"), err)
		}
	}
	if len(f.Tags) > 0 {
		job.Tags = f.Tags
	}
	if job.Concurrency == 0 {
		job.Concurrency = schema.DefaultConcurrency
	}
	return job, nil
}

func textIf(given bool, text string) string {
	if given {
		return text
	}
	return ""
}

// subset is the indexes of the input that a job has, in their order: it turns
// the job's indexes back into the input's. nil is all of them.
type subset []uint32

func (s subset) original(index int) int {
	if s == nil || index >= len(s) {
		return index
	}
	return int(s[index])
}

// pick streams the lines whose index is in want.
type pick struct {
	lines *bufio.Reader
	want  subset
	index int
	rest  []byte // of a line that goes out
}

func (p *pick) Read(out []byte) (int, error) {
	for len(p.rest) == 0 {
		wanted := len(p.want) > 0 && int(p.want[0]) == p.index
		// To the end even when nothing more is wanted: it tells whether the input
		// is what it was.
		part, err := p.lines.ReadSlice('\n')
		if wanted {
			p.rest = part
		}
		switch {
		case err == nil:
			p.index++
			if wanted {
				p.want = p.want[1:]
			}
		case err != bufio.ErrBufferFull && len(p.rest) == 0:
			return 0, err
		}
	}
	n := copy(out, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
