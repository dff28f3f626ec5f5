package main

import (
	"bufio"
	"strconv"
	"time"

	"pelton/schema"
)

// jobFlags say how a job is run; run and submit share them. What a job
// document says stands where the flag is not given.
type jobFlags struct {
	Concurrency    string        `short:"c" group:"job" placeholder:"N" help:"Requests in flight at most (8); auto finds the number (experimental)."`
	FailFast       bool          `group:"job" help:"End the job with the first request that fails."`
	Timeout        time.Duration `group:"job" placeholder:"D" help:"For one request with all its retries (10m)."`
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
	concurrency, err := parseConcurrency(f.Concurrency)
	if err != nil {
		return job, err
	}
	if f.Timeout < 0 {
		return job, usagef("--timeout %s: must not be negative", f.Timeout)
	}
	if f.MaxCost < 0 {
		return job, usagef("--max-cost %v: must not be negative", f.MaxCost)
	}
	over(&job.MaxCost, f.MaxCost)
	if len(f.Tags) > 0 {
		job.Tags = f.Tags
	}
	over(&job.Concurrency, concurrency)
	over(&job.Concurrency, orZero(job.Concurrency == 0, schema.DefaultConcurrency))
	over(&job.Timeout, f.Timeout)
	over(&job.IncludeRequest, f.IncludeRequest)
	over(&job.SkipInvalid, skip)
	if f.FailFast {
		job.FailFast = schema.FailFast{Failures: 1}
	}
	if f.Deadline == "" {
		return job, nil
	}
	if after, err := time.ParseDuration(f.Deadline); err == nil && after > 0 {
		job.Deadline = schema.Deadline{After: after}
	} else if at, err := time.Parse(time.RFC3339, f.Deadline); err == nil {
		job.Deadline = schema.Deadline{At: at}
	} else {
		return job, usagef("--deadline %q: must be a duration like 2h30m, or a time like 2030-01-02T15:04:05Z", f.Deadline)
	}
	return job, nil
}

// parseConcurrency reads -c; 0 is "not given".
func parseConcurrency(text string) (int, error) {
	switch text {
	case "":
		return 0, nil
	case "auto":
		return schema.AutoConcurrency, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > schema.MaxConcurrency {
		return 0, usagef("--concurrency %s: must be from 1 to %d, or auto", text, schema.MaxConcurrency)
	}
	return n, nil
}

func orZero(is bool, n int) int {
	if is {
		return n
	}
	return 0
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
