package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pelton/jobs"
)

type rmCmd struct {
	Conn  connection `embed:""`
	Queue string     `default:"default" placeholder:"Q" help:"The jobs' queue (${default})."`
	Force bool       `short:"f" help:"Cancel a job that has not ended, then erase it."`
	Jobs  []string   `arg:"" name:"job" help:"The jobs' ids."`
}

func (rmCmd) Help() string {
	return "Erases messages, inputs, results and states for good, without asking.\n\nExample:\n\n\tpelton rm nightly-42\n\tpelton rm --force nightly-43"
}

func (c *rmCmd) Run(a *app) error {
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	for _, id := range c.Jobs {
		h := s.client.Job(c.Queue, id)
		err := c.remove(a, h)
		if errors.Is(err, jobs.ErrRunning) {
			return hinted(exitUsage, "pelton rm --force "+id+" cancels it first", fmt.Errorf("job %s: %w", id, err))
		}
		if err != nil {
			return err
		}
		a.say("removed job %s", id)
	}
	return nil
}

func (c *rmCmd) remove(a *app, h *jobs.Handle) error {
	ctx, cancel := context.WithTimeout(a.soft, time.Minute)
	defer cancel()
	state, err := h.State(ctx)
	if err != nil {
		return err
	}
	if !state.State.Final() && c.Force {
		if err := h.Cancel(ctx, "removed with pelton rm --force"); err != nil {
			return err
		}
		if _, err := h.Wait(ctx); errors.Is(err, context.DeadlineExceeded) {
			return hinted(exitSetup, "no worker serves its queue: start one, and repeat this", errors.New("the job was cancelled, but has not ended within a minute"))
		} else if err != nil {
			return err
		}
	}
	return h.Remove(ctx)
}
