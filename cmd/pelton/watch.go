package main

import (
	"fmt"

	"pelton/internal/progress"
	"pelton/jobs"
	"pelton/schema"
)

type watchCmd struct {
	target
	Progress string `default:"auto" placeholder:"MODE" help:"auto, bar, plain, json or none (${default})."`
	Stream   bool   `help:"Show streamed answers as they come."`
}

func (watchCmd) Help() string {
	return "Follows a job on stderr until it ends, and exits by its state. Ctrl-C ends the watching, not the job.\n\nExample:\n\n\tpelton watch nightly-42"
}

func (c *watchCmd) Run(a *app) error {
	mode, err := progress.ParseMode(c.Progress)
	if err != nil {
		return usage(err)
	}
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	return a.watch(s.client.Job(c.Queue, c.Job), mode, c.Stream)
}

// watch follows a job of a service to its end.
func (a *app) watch(h *jobs.Handle, mode progress.Mode, stream bool) error {
	meter := progress.New(progress.Options{Out: a.stderr, Mode: mode, NoColor: !a.colours(a.stderr)})
	a.notes.through(meter)
	defer a.notes.through(a.stderr)
	defer meter.Close()
	shown := func(bool) {}
	if stream {
		shown = startStreams(h, meter, func(index int) int { return index })
		defer shown(false)
	}
	state, err := h.Wait(a.soft, jobs.OnProgress(meter.Update))
	if err != nil && a.soft.Err() != nil {
		a.say("the job %s goes on: pelton watch %s", h.ID(), h.ID())
	}
	if err != nil {
		return interruptedOr(a, err)
	}
	shown(true)
	meter.Finish(*state)
	return ended(state)
}

// ended is a job's final state as the end of a command. What no result tells is
// said.
func ended(state *schema.State) error {
	code := exitOf(state)
	if state.Reason != nil && (code == exitUsage || code == exitSetup && state.Reason.Code != schema.ReasonAllFailed) {
		return &Error{Code: code, Err: fmt.Errorf("the job ended %s (%s): %s", state.State, state.Reason.Code, state.Reason.Message)}
	}
	return exit(code)
}
