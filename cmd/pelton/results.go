package main

import (
	"pelton/internal/outfile"
	"pelton/jobs"
	"pelton/schema"
)

type resultsCmd struct {
	target
	outputFlags
	From      int  `placeholder:"N" help:"Begin at this index; in completion order, leave out so many results."`
	Overwrite bool `group:"output" help:"Replace FILE."`
}

func (resultsCmd) Help() string {
	return `Writes the results of a job, of one that still runs as they come. Exits by the job's state.

Example:

	pelton results nightly-42 -o answers.jsonl
	pelton results nightly-42 --order completion | jq .response.body`
}

func (c *resultsCmd) Run(a *app) error {
	if c.From < 0 {
		return usagef("--from %d: must not be negative", c.From)
	}
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	h := s.client.Job(c.Queue, c.Job)
	ctx, cancel := a.brief()
	_, err = h.State(ctx)
	cancel()
	if err != nil {
		return interruptedOr(a, err)
	}
	mode := outfile.Refuse
	if c.Overwrite {
		mode = outfile.Overwrite
	}
	out, err := c.open(a, mode, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	order := schema.Order(c.Order)
	var from []jobs.CollectOption
	skip := c.From
	if order == schema.OrderInput && c.From > 0 {
		from, skip = append(from, jobs.FromIndex(c.From)), 0
	}
	for r, err := range h.Collect(a.soft, order, from...) {
		if err = early(err); err != nil {
			return interruptedOr(a, err)
		}
		if r == nil {
			break
		}
		if skip > 0 {
			skip--
			continue
		}
		if err := out.Write(r); err != nil {
			return writeError{err}
		}
	}
	if err := out.Close(); err != nil {
		return writeError{err}
	}
	state, err := h.Wait(a.soft)
	if err != nil {
		return interruptedOr(a, err)
	}
	return ended(state)
}
