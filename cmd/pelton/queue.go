package main

import (
	"fmt"
	"strconv"

	"pelton/internal/config"
	"pelton/jobs"
	"pelton/schema"
)

type queueCmd struct {
	Ls  queueLsCmd  `cmd:"" help:"List queues with their caps and what is in flight."`
	Set queueSetCmd `cmd:"" help:"Change a queue's cap while it works."`
}

func (queueCmd) Help() string {
	return "Example:\n\n\tpelton queue ls\n\tpelton queue set default 64"
}

type queueLsCmd struct {
	Conn connection `embed:""`
	JSON bool       `name:"json" help:"Print JSON."`
}

func (queueLsCmd) Help() string { return "Example:\n\n\tpelton queue ls --json" }

func (c *queueLsCmd) Run(a *app) error {
	s, err := a.dial(&c.Conn, schema.DefaultQueue)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := a.brief()
	defer cancel()
	queues, err := s.client.Queues(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if queues == nil {
			queues = []jobs.QueueInfo{}
		}
		return writeJSON(a.stdout, queues)
	}
	t := table{{"QUEUE", "CAP", "IN FLIGHT", "WAITING", "JOBS RUNNING", "JOBS QUEUED"}}
	for _, q := range queues {
		t = append(t, []string{q.Name, strconv.Itoa(q.Cap), strconv.Itoa(q.InFlight), strconv.Itoa(q.Waiting), strconv.Itoa(q.Owned), strconv.Itoa(q.Queued)})
	}
	width, _ := terminal(a.stdout)
	if err := t.write(a.stdout, width); err != nil {
		return err
	}
	running, _ := s.client.ListAll(ctx) // who may see queues need not see jobs
	for _, text := range waitTexts(running) {
		if _, err := fmt.Fprintln(a.stdout, text); err != nil {
			return err
		}
	}
	return nil
}

// waitTexts are lines on what requests of jobs that run wait for.
func waitTexts(states []schema.State) (lines []string) {
	for _, s := range states {
		for _, w := range s.Waiting {
			lines = append(lines, "queue "+s.Queue+", job "+s.ID+": "+waitText(w))
		}
	}
	return lines
}

type queueSetCmd struct {
	Conn  connection `embed:""`
	Queue string     `arg:"" help:"The queue."`
	Cap   int        `arg:"" help:"Requests in flight at most, on all workers together."`
}

func (queueSetCmd) Help() string { return "Example:\n\n\tpelton queue set bulk 64" }

func (c *queueSetCmd) Run(a *app) error {
	if c.Cap < 1 || c.Cap > config.MaxQueueCap {
		return usagef("cap %d: must be from 1 to %d", c.Cap, config.MaxQueueCap)
	}
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := a.brief()
	defer cancel()
	if err := s.client.SetQueueCap(ctx, c.Queue, c.Cap); err != nil {
		return err
	}
	a.say("queue %s: at most %d in flight", c.Queue, c.Cap)
	return nil
}
