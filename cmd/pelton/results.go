package main

import (
	"pelton/internal/outfile"
	"pelton/jobs"
	"pelton/schema"
)

type resultsCmd struct {
	target
	outputFlags
	From      uint64 `placeholder:"N" help:"Begin at this index, in completion order behind so many stored messages."`
	Overwrite bool   `group:"output" help:"Replace FILE."`
}

func (resultsCmd) Help() string {
	return `Writes the results of a job, of one that still runs as they come. Exits by the job's state.

Example:

	pelton results nightly-42 -o answers.jsonl
	pelton results nightly-42 --order completion | jq .response.body`
}

func (c *resultsCmd) Run(a *app) error {
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
	from := jobs.FromIndex(int(c.From))
	if order == schema.OrderCompletion {
		from = jobs.After(c.From)
	}
	for r, err := range h.Collect(a.soft, order, from) {
		if err = early(err); err != nil {
			return interruptedOr(a, err)
		}
		if r == nil {
			break
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
