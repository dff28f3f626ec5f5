package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pelton/jobs"
)

type rmCmd struct {
	Conn         connection `embed:""`
	Queue        string     `default:"default" placeholder:"Q" help:"The jobs' queue (${default})."`
	Force        bool       `short:"f" help:"Cancel a job that has not ended, then erase it."`
	OverwriteAll bool       `help:"Overwrite messages on the server's disk also where they are many (over 2,000 in one stream), which takes long."`
	JSON         bool       `name:"json" help:"Print what was erased as JSON, one line per job."`
	Jobs         []string   `arg:"" name:"job" help:"The jobs' ids."`
}

func (rmCmd) Help() string {
	return `Erases messages, inputs, results and states for good, without asking, and looks whether anything is left. The messages' bytes are overwritten on the server's disk.

Example:

	pelton rm nightly-42
	pelton rm --force nightly-43`
}

func (c *rmCmd) Run(a *app) error {
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	for _, id := range c.Jobs {
		removed, err := c.remove(a, s.client.Job(c.Queue, id))
		if errors.Is(err, jobs.ErrRunning) {
			return hinted(exitUsage, "pelton rm --force "+id+" cancels it first", fmt.Errorf("job %s: %w", id, err))
		}
		if err != nil {
			return err
		}
		if err := c.report(a, id, removed); err != nil {
			return err
		}
	}
	return nil
}

func (c *rmCmd) report(a *app, id string, r jobs.Removed) error {
	if c.JSON {
		line, err := json.Marshal(struct {
			ID string `json:"id"`
			jobs.Removed
		}{id, r})
		if err == nil {
			_, err = a.stdout.Write(append(line, '\n'))
		}
		return err
	}
	a.say("removed job %s: %d results, %d objects, %d messages in all; nothing is left", id, max(0, r.Results-1), r.Objects, r.Messages)
	if r.Unlinked > 0 {
		a.say("%d messages were too many to overwrite: their bytes leave the server's disk when it writes the files anew (--overwrite-all does it at once)", r.Unlinked)
	}
	return nil
}

// removeWithin bounds a removal; one that overwrites everything takes its time.
const removeWithin = 10 * time.Minute

func (c *rmCmd) remove(a *app, h *jobs.Handle) (jobs.Removed, error) {
	if c.Force {
		if err := c.end(a, h); err != nil {
			return jobs.Removed{}, err
		}
	}
	if c.OverwriteAll {
		return h.Remove(a.soft, jobs.OverwriteAll())
	}
	ctx, cancel := context.WithTimeout(a.soft, removeWithin)
	defer cancel()
	return h.Remove(ctx)
}

// end cancels a job that has not ended, and waits for its end.
func (c *rmCmd) end(a *app, h *jobs.Handle) error {
	ctx, cancel := context.WithTimeout(a.soft, time.Minute)
	defer cancel()
	state, err := h.State(ctx)
	if errors.Is(err, jobs.ErrNotFound) {
		return nil // what an earlier removal left is looked for all the same
	}
	if err != nil || state.State.Final() {
		return err
	}
	if err := h.Cancel(ctx, "removed with pelton rm --force"); err != nil {
		return err
	}
	if _, err := h.Wait(ctx); errors.Is(err, context.DeadlineExceeded) {
		return hinted(exitSetup, "no worker serves its queue: start one, and repeat this", errors.New("the job was cancelled, but has not ended within a minute"))
	} else if err != nil {
		return err
	}
	return nil
}
