package main

type cancelCmd struct {
	target
	Reason string `placeholder:"TEXT" help:"Why, for the job's state."`
}

func (cancelCmd) Help() string {
	return "Nothing more is started, calls in flight are aborted, what has finished is kept. Returns once the cancel is durable.\n\nExample:\n\n\tpelton cancel nightly-42 --reason 'wrong prompts'"
}

func (c *cancelCmd) Run(a *app) error {
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := a.brief()
	defer cancel()
	h := s.client.Job(c.Queue, c.Job)
	state, err := h.State(ctx)
	if err != nil {
		return err
	}
	if state.State.Final() {
		a.say("job %s had ended already: %s", c.Job, state.State)
		return nil
	}
	if err := h.Cancel(ctx, c.Reason); err != nil {
		return err
	}
	a.say("job %s is cancelled", c.Job)
	return nil
}
