package main

import (
	"fmt"

	"pelton/internal/progress"
	"pelton/jobs"
	"pelton/schema"
)

type submitCmd struct {
	inputFlags
	jobFlags
	JobID    string     `name:"job-id" group:"job" placeholder:"ID" help:"The job's id; the same job again with the same id is not run twice."`
	Reply    string     `group:"job" placeholder:"SUBJECT" help:"Where the service is to send the results as well."`
	Callback string     `group:"job" placeholder:"NAME" help:"Webhook of the workers' configuration to tell the end to."`
	Notify   string     `group:"job" placeholder:"SUBJECT" help:"Where the service is to send the final state as well."`
	Wait     bool       `help:"Wait for the job's end, show its progress, exit by its state."`
	Progress string     `default:"auto" placeholder:"MODE" help:"With --wait: auto, bar, plain, json or none (${default})."`
	JSON     bool       `name:"json" help:"Print id, state and whether the job was there already, as JSON."`
	Conn     connection `embed:""`
}

func (submitCmd) Help() string {
	return `Checks the input, hands it to a running service and prints the job's id. Takes the same inputs as run, and job documents.

Example:

	id=$(pelton submit prompts.jsonl) && pelton results $id -o answers.jsonl`
}

func (c *submitCmd) Run(a *app) error {
	mode, err := progress.ParseMode(c.Progress)
	if err != nil {
		return usage(err)
	}
	in, err := c.read(a)
	if err != nil {
		return err
	}
	defer in.close()
	job, err := c.job(in, c.SkipInvalid)
	if err != nil {
		return err
	}
	over(&job.ID, c.JobID)
	over(&job.Reply, c.Reply)
	over(&job.Callback, c.Callback)
	over(&job.Notify, c.Notify)
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	var before *schema.State // of a job with this id
	if job.ID != "" {
		ctx, cancel := a.brief()
		before, _ = s.client.Job(c.Queue, job.ID).State(ctx) // there is none, as a rule
		cancel()
	}
	h, err := c.submit(a, s.client, job, in)
	if err != nil {
		return interruptedOr(a, err)
	}
	if before != nil {
		a.say("%s", alreadyThere(before))
	}
	if err := printHandle(a, h, c.JSON, before != nil); err != nil || !c.Wait {
		return err
	}
	return a.watch(h, mode, false)
}

func (c *submitCmd) submit(a *app, client *jobs.Client, job schema.Job, in *input) (*jobs.Handle, error) {
	if in.open == nil {
		job.Requests = requests(in.lines)
		return client.Submit(a.soft, job)
	}
	reader, err := in.reader()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return client.Submit(a.soft, job, jobs.WithInput(reader))
}

// alreadyThere says what a job is that was submitted again, with the same requests,
// and what can be done where it did not succeed.
func alreadyThere(s *schema.State) string {
	text := fmt.Sprintf("%s is there already, and was not submitted again: %s, %d of %d succeeded", s.ID, s.State, s.Counts.Succeeded, s.Total)
	if s.Reason != nil {
		text += fmt.Sprintf(" (%s: %s)", s.Reason.Code, s.Reason.Message)
	}
	if !s.State.Final() || s.State == schema.Succeeded {
		return text
	}
	return text + fmt.Sprintf("\nto run what did not succeed: pelton retry %s; to run all of it under the same id: pelton rm %s, and submit it again", s.ID, s.ID)
}

// printHandle prints what a job that was handed in is known by.
func printHandle(a *app, h *jobs.Handle, asJSON, duplicate bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(a.stdout, h.ID())
		return err
	}
	ctx, cancel := a.brief()
	defer cancel()
	answer := struct {
		ID        string       `json:"id"`
		Queue     string       `json:"queue"`
		State     schema.Phase `json:"state"`
		Duplicate bool         `json:"duplicate"`
	}{h.ID(), h.Queue(), schema.Queued, duplicate}
	if state, err := h.State(ctx); err == nil {
		answer.State = state.State
	}
	return writeJSON(a.stdout, answer)
}
