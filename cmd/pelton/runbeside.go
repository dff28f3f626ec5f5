package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/nats/natsconn"
	"pelton/internal/outfile"
	"pelton/router"
	"pelton/schema"
)

// runBeside is a run into a file, which can be gone on with: what that needs
// lies beside the file (see beside) until all has succeeded.
//
// A run that goes on takes, in this order: what is in the output; what the old
// job has stored and the output lacks; and the rest as a new job on a fresh
// store. What was paid for is in the output, flushed, before the old store goes.
func (c *runCmd) runBeside(a *app, cfg *config.Config, log zerolog.Logger, models *router.Config, in *input, job schema.Job) (err error) {
	b := beside{c.Output}
	if dir := filepath.Dir(c.Output); dir != "." {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usagef("%s: there is no directory %s", c.Output, dir)
		}
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	out, r, err := c.prepare(a, in)
	if err != nil {
		return err
	}
	defer out.Close()
	s := &session{a: a, out: out, order: schema.Order(c.Order), id: newJobID(in.hash)}
	before := 0
	if r != nil {
		if before, err = c.takeUp(a, cfg, log, r, s, in); err != nil {
			return c.explain(a, s, in, err)
		}
		if before == in.total() {
			return c.allDone(a, out, b, in)
		}
	}
	if err := b.removeStore(); err != nil {
		return setup(err)
	}
	if job.ID != "" && r == nil {
		s.id = job.ID
	}
	s.site, err = c.begin(a, cfg, log, models, s, in, job.Concurrency)
	if err == nil {
		err = c.see(s, job, in, before, func() error {
			if r != nil {
				return out.Compact()
			}
			return out.Close()
		})
		s.site.close()
	}
	if err != nil && r == nil && s.count == 0 && (s.site == nil || s.ended) {
		// Nothing has come of it, and nothing is to be gone on with.
		_ = out.Close()
		_ = b.remove()
		_ = removeEmpty(c.Output)
		return err
	}
	return c.settle(a, s, b, in, err)
}

// takeUp brings what was done before into the output and finds what is left. It
// returns how many requests have succeeded.
func (c *runCmd) takeUp(a *app, cfg *config.Config, log zerolog.Logger, r *resumption, s *session, in *input) (before int, err error) {
	harvested, err := c.harvestOld(a, cfg, log, r, s.out, in)
	if err != nil {
		return 0, err
	}
	if err := s.out.Flush(); err != nil {
		return 0, writeError{err}
	}
	if s.subset = remaining(in.total(), s.out.Done(), harvested); s.subset == nil {
		return 0, nil
	}
	before = in.total() - len(s.subset)
	if before < in.total() {
		a.say("%s: %d of %d have succeeded already, %d to run", c.Output, before, in.total(), len(s.subset))
	}
	return before, nil
}

// prepare opens the output as the flags say.
func (c *runCmd) prepare(a *app, in *input) (out *outfile.Writer, r *resumption, err error) {
	b := beside{c.Output}
	mode := outfile.Refuse
	switch {
	case c.Resume:
		mode = outfile.Resume
		if r, err = c.resumable(in); err != nil {
			return nil, nil, err
		}
	case c.Overwrite:
		mode = outfile.Overwrite
	case b.there():
		return nil, nil, usagef("%s holds results of a run that did not end; go on with it with --resume, or replace it with --overwrite", b.dir())
	}
	out, err = c.open(a, mode, in.total())
	return out, r, err
}

// begin makes the place for the job and notes beside the output what it is. The
// note comes first: what is stored must be found again.
func (c *runCmd) begin(a *app, cfg *config.Config, log zerolog.Logger, models *router.Config, s *session, in *input, concurrency int) (*site, error) {
	b := beside{c.Output}
	note := func(server string) error {
		if err := b.saveSubset(s.id, s.subset); err != nil {
			return setup(err)
		}
		if err := describe(in, s.id, c.Queue, server, c.Mock).Save(c.Output); err != nil {
			return setup(err)
		}
		return nil
	}
	if c.local(cfg) {
		if err := note(""); err != nil {
			return nil, err
		}
		return c.start(a, cfg, log, models, b.store(), concurrency)
	}
	place, err := c.start(a, cfg, log, nil, "", concurrency)
	if err != nil {
		return nil, err
	}
	if err := note(place.name); err != nil {
		place.close()
		return nil, err
	}
	return place, nil
}

// settle clears up after a run: what is needed to go on stays.
func (c *runCmd) settle(a *app, s *session, b beside, in *input, err error) error {
	switch {
	case err == nil:
		if err := b.remove(); err != nil {
			a.say("could not remove %s: %v", b.dir(), err)
		}
		return nil
	case s.ended:
		if s.site.local() { // what it holds is in the output
			if err := b.removeStore(); err != nil {
				a.say("could not remove %s: %v", b.store(), err)
			}
		}
		if quiet(err) {
			a.say("to run what has not succeeded: %s", c.again(a))
			return err
		}
	}
	return c.explain(a, s, in, err)
}

func quiet(err error) bool {
	var known *Error
	return errors.As(err, &known) && known.Quiet
}

// explain adds to an error that ends a run early how to go on.
func (c *runCmd) explain(a *app, s *session, in *input, err error) error {
	if codeOf(err) == exitInterrupted {
		a.say("stopped: %d of %d requests have succeeded; to go on: %s", s.out.Done().Len()+s.succeeded.Len(), in.total(), c.again(a))
		return err
	}
	var known *Error
	if codeOf(err) == exitUsage || errors.As(err, &known) && known.Hint != "" {
		return err
	}
	return hinted(codeOf(err), "to go on: "+c.again(a), err)
}

// removeEmpty removes an output that nothing was written to.
func removeEmpty(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() > 0 {
		return err
	}
	return os.Remove(path)
}

// allDone is a resume with nothing left to do.
func (c *runCmd) allDone(a *app, out *outfile.Writer, b beside, in *input) error {
	if err := out.Compact(); err != nil {
		return setup(err)
	}
	if err := b.remove(); err != nil {
		a.say("could not remove %s: %v", b.dir(), err)
	}
	a.say("%s: all %d requests have succeeded already", c.Output, in.total())
	return nil
}

// again is the command that goes on with this run, without secrets.
func (c *runCmd) again(a *app) string {
	words := []string{"pelton"}
	hide := false
	for _, word := range a.args {
		name, _, hasValue := strings.Cut(word, "=")
		secret := name == "--password" || name == "--user"
		switch {
		case word == "--resume" || word == "--overwrite":
			continue
		case hide:
			word, hide = "…", false
		case secret && hasValue:
			word = name + "=…"
		default:
			hide = secret
			word = natsconn.Redact(word)
		}
		words = append(words, shellQuote(word))
	}
	text := strings.Join(append(words, "--resume"), " ")
	if c.File == "-" {
		text += " (with the same input)"
	}
	return text
}

func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+…", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(word, "'", `'\''`))
}
