package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"pelton/internal/human"
	"pelton/schema"
)

type lsCmd struct {
	Conn  connection `embed:""`
	Queue string     `default:"default" placeholder:"Q" help:"The queue (${default})."`
	All   bool       `short:"a" help:"All queues."`
	State []string   `placeholder:"STATE,…" help:"Only jobs in these states: queued, running, succeeded, completed_with_errors, failed, cancelled, expired."`
	JSON  bool       `name:"json" help:"Print the states as a JSON array."`
}

func (lsCmd) Help() string { return "Example:\n\n\tpelton ls --all --state queued,running" }

var phases = []schema.Phase{schema.Queued, schema.Running, schema.Succeeded, schema.CompletedWithErrors,
	schema.Failed, schema.Cancelled, schema.Expired}

func (c *lsCmd) Run(a *app) error {
	for _, state := range c.State {
		if !slices.Contains(phases, schema.Phase(state)) {
			return usagef("--state %q: must be one of %v", state, phases)
		}
	}
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := a.brief()
	defer cancel()
	list := s.client.List
	if c.All {
		list = s.client.ListAll
	}
	states, err := list(ctx)
	if err != nil {
		return err
	}
	if len(c.State) > 0 {
		states = slices.DeleteFunc(states, func(s schema.State) bool { return !slices.Contains(c.State, string(s.State)) })
	}
	if c.JSON {
		if states == nil {
			states = []schema.State{}
		}
		return writeJSON(a.stdout, states)
	}
	width, _ := terminal(a.stdout)
	return jobsTable(states, c.All, width, time.Now()).write(a.stdout, width)
}

// jobsTable has one row per job. On a narrow terminal long ids give way.
func jobsTable(states []schema.State, queues bool, width int, now time.Time) table {
	t := table{{"JOB", "STATE", "DONE", "FAILED", "RATE", "AGE", "REASON"}}
	for _, s := range states {
		rate, reason := "", ""
		if s.State == schema.Running {
			rate = fmt.Sprintf("%.1f/s", s.Rate)
		}
		if s.Reason != nil {
			reason = s.Reason.Code
		}
		t = append(t, []string{s.ID, string(s.State), fmt.Sprintf("%d/%d", s.Counts.Stored(), s.Total),
			strconv.Itoa(s.Counts.Failed), rate, human.Ago(s.CreatedAt, now), reason})
	}
	if queues {
		t[0] = slices.Insert(t[0], 1, "QUEUE")
		for i, s := range states {
			t[i+1] = slices.Insert(t[i+1], 1, s.Queue)
		}
	}
	t.giveWay(width)
	return t
}
