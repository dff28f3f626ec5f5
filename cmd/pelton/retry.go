package main

import (
	"errors"

	"pelton/internal/progress"
	"pelton/jobs"
)

type retryCmd struct {
	target
	Wait     bool   `help:"Wait for the new job's end, show its progress, exit by its state."`
	Progress string `default:"auto" placeholder:"MODE" help:"With --wait: auto, bar, plain, json or none (${default})."`
	JSON     bool   `name:"json" help:"Print the new job's id and state as JSON."`
}

func (retryCmd) Help() string {
	return `Hands the requests of an ended job that did not succeed to the service again, as a new job with the same settings, and prints its id. Requests keep their custom ids; one without gets the id of its earlier result, JOB.INDEX.

Example:

	id=$(pelton retry nightly-42 --wait) && pelton results $id -o rest.jsonl`
}

func (c *retryCmd) Run(a *app) error {
	mode, err := progress.ParseMode(c.Progress)
	if err != nil {
		return usage(err)
	}
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	h, err := s.client.Job(c.Queue, c.Job).Retry(a.soft)
	if errors.Is(err, jobs.ErrNothingToRetry) {
		a.say("%v", err)
		return nil
	}
	if err != nil {
		return interruptedOr(a, err)
	}
	if err := printHandle(a, h, c.JSON, false); err != nil || !c.Wait {
		return err
	}
	return a.watch(h, mode, false)
}
