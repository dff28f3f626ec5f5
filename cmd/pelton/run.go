package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/outfile"
	"pelton/internal/progress"
	"pelton/router"
	"pelton/schema"
)

// outputFlags say where results go; run and results share them.
type outputFlags struct {
	Output string `short:"o" group:"output" placeholder:"FILE" help:"Write the results there instead of to stdout."`
	Errors string `group:"output" placeholder:"FILE" help:"Write results that did not succeed there instead."`
	Text   bool   `group:"output" help:"Write the answers only, one per line."`
	Order  string `group:"output" default:"input" enum:"input,completion" placeholder:"ORDER" help:"input or completion (${default})."`
}

type runCmd struct {
	inputFlags
	jobFlags
	outputFlags
	Resume    bool   `group:"output" xor:"existing" help:"Go on with FILE: run all that has not succeeded in it."`
	Overwrite bool   `group:"output" xor:"existing" help:"Replace FILE."`
	Progress  string `group:"output" default:"auto" placeholder:"MODE" help:"auto, bar, plain, json or none (${default})."`
	Stream    bool   `group:"output" help:"Stream the answers, and show them on stderr as they come."`
	DryRun    bool   `group:"output" help:"Check the input, count and estimate tokens; run nothing."`

	Local bool       `group:"connection" help:"Run in this process, whatever NATS_URL says."`
	Conn  connection `embed:""`

	Mock      bool      `group:"mock" help:"Answer from a mock upstream in this process: no key, no cost."`
	MockKnobs mockFlags `embed:"" prefix:"mock-"`
}

func (runCmd) Help() string {
	return `Runs in this process, with a NATS server and a worker of its own, unless NATS_URL, NATS_CONTEXT or -s names a service. Each line of the output is a result; the progress goes to stderr.

Ctrl-C finishes the calls in flight; what is left is run later with --resume.

Examples:

	pelton run prompts.jsonl -o answers.jsonl
	pelton run questions.csv --prompt '{{.question}}' --model gpt-4o-mini --text
	pelton run --mock --mock-latency 100ms prompts.jsonl > answers.jsonl`
}

// local reports whether the run is to be in this process.
func (c *runCmd) local(cfg *config.Config) bool { return c.Local || c.Mock || !cfg.Remote() }

func (c *runCmd) Run(a *app) error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.Mock && c.Prompt != "" && c.Model == "" {
		c.Model = "mock" // it answers for any
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
	if c.Stream {
		if err := asStreams(&job); err != nil {
			return usage(err)
		}
	}
	if c.DryRun {
		a.say("%s", in.describe())
		if in.problems != nil {
			a.say("these would be skipped:\n%s", in.problems)
		}
		return nil
	}
	cfg, log, err := a.load(&c.Conn, "warn")
	if err != nil {
		return err
	}
	var models *router.Config
	if c.local(cfg) && !c.Mock {
		if models, err = a.models(cfg, log); err != nil {
			return err
		}
	}
	if in.problems != nil && in.stats.Bad > 0 {
		a.say("%d of %d requests are invalid and become failed results", in.stats.Bad, in.total())
	}
	if !c.keeps() {
		return c.runOnce(a, cfg, log, models, in, job)
	}
	return c.runBeside(a, cfg, log, models, in, job)
}

// validate checks what flags do not allow together.
func (c *runCmd) validate() error {
	if _, err := progress.ParseMode(c.Progress); err != nil {
		return usage(err)
	}
	if (c.Local || c.Mock) && (c.Conn.Server != "" || c.Conn.Context != "") {
		return usagef("--local and --mock run in this process: leave out --server and --context")
	}
	if knobs := c.MockKnobs; !c.Mock && (knobs.Latency != 0 || knobs.Jitter != 0 || len(knobs.Errors) > 0 || knobs.Seed != 0 || knobs.Answer != "") {
		return usagef("--mock-…: needs --mock")
	}
	switch {
	case c.Resume && (c.Output == "" || c.Output == "-"):
		return usagef("--resume: needs the output file of the run to go on with: -o FILE")
	case c.Resume && c.Text:
		return usagef("--resume: cannot be used with --text: lines of text do not say which request they answer")
	case c.Resume && !c.keeps():
		return usagef("--resume: %s is no file", c.Output)
	}
	return nil
}

// keeps reports whether the output is a file, so that a run can be gone on with.
func (c *runCmd) keeps() bool {
	if c.Output == "" || c.Output == "-" || c.Text {
		return false
	}
	info, err := os.Stat(c.Output)
	return err != nil || info.Mode().IsRegular()
}

// open opens the output.
func (c *outputFlags) open(a *app, mode outfile.Mode, total int) (*outfile.Writer, error) {
	out, err := outfile.Open(outfile.Options{
		Path: c.Output, Stdout: a.stdout, Errors: c.Errors, Mode: mode, Text: c.Text, Total: total,
	})
	var exists *outfile.ExistsError
	var system syscall.Errno
	switch {
	case errors.As(err, &exists):
		return nil, usage(err)
	case errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist) && system != syscall.EISDIR:
		return nil, setup(err)
	case err != nil:
		return nil, usage(err)
	}
	return out, nil
}

// start makes the place where the job runs. dir is the store of an own server.
func (c *runCmd) start(a *app, cfg *config.Config, log zerolog.Logger, models *router.Config, dir string, concurrency int) (*site, error) {
	if !c.local(cfg) {
		return a.remote(cfg, log, c.Queue)
	}
	s, err := a.openStore(cfg, log, dir, c.Queue)
	if err != nil {
		return nil, err
	}
	if c.Mock {
		var end func()
		if models, end, err = startMock(c.MockKnobs.config()); err != nil {
			s.close()
			return nil, err
		}
		s.closers = append(s.closers, end)
	}
	if err := s.work(a, cfg, log, models, concurrency); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// runOnce is a run whose output cannot be gone on with: to stdout, a pipe or a
// device. Its store is temporary.
func (c *runCmd) runOnce(a *app, cfg *config.Config, log zerolog.Logger, models *router.Config, in *input, job schema.Job) error {
	mode := outfile.Refuse
	if c.Overwrite {
		mode = outfile.Overwrite // the file of --errors
	}
	out, err := c.open(a, mode, in.total())
	if err != nil {
		return err
	}
	defer out.Close()
	dir := ""
	if c.local(cfg) {
		var remove func()
		if dir, remove, err = temporaryStore(); err != nil {
			return err
		}
		defer remove()
	}
	place, err := c.start(a, cfg, log, models, dir, job.Concurrency)
	if err != nil {
		return err
	}
	defer place.close()
	s := &session{a: a, site: place, out: out, order: schema.Order(c.Order), id: newJobID(in.hash)}
	if job.ID != "" {
		s.id = job.ID
	}
	err = c.see(s, job, in, 0, out.Close)
	if codeOf(err) == exitInterrupted && !closedStdout(err) {
		a.say("stopped: %d of %d results were written; a run with -o FILE (and without --text) could be gone on with", s.count, in.total())
	}
	return err
}

// see submits the job, sees it to its end and sums it up. finish is called once
// all results are written.
func (c *runCmd) see(s *session, job schema.Job, in *input, before int, finish func() error) error {
	a := s.a
	mode, _ := progress.ParseMode(c.Progress)
	s.meter = progress.New(progress.Options{Out: a.stderr, Mode: mode, Before: before, NoColor: !a.colours(a.stderr)})
	a.notes.through(s.meter)
	defer func() {
		s.meter.Close()
		a.notes.through(a.stderr)
	}()
	shown := func(bool) {}
	if c.Stream {
		shown = startStreams(s.site.client().Expect(s.id), s.meter, s.subset.original)
		defer shown(false)
	}
	h, err := s.submit(job, in)
	if err != nil {
		return s.site.reason(err)
	}
	state, err := s.follow(h)
	if err != nil {
		return err
	}
	if err := finish(); err != nil {
		return writeError{err}
	}
	s.ended = true
	shown(true)
	s.meter.Finish(s.inTerms(*state))
	return ended(state)
}
