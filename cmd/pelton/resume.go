package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/bitset"
	"pelton/internal/config"
	"pelton/internal/outfile"
	"pelton/jobs"
	"pelton/schema"
)

// resumption is what is known of the run to go on with.
type resumption struct {
	old *outfile.Sidecar // nil: nothing is left beside the output
}

// resumable decides whether the run that is asked for may go on with the
// output, before anything is opened or changed.
func (c *runCmd) resumable(in *input) (*resumption, error) {
	old, err := outfile.LoadSidecar(c.Output)
	if err == nil {
		if err := old.Check(c.Output, *describe(in, "", "", "", c.Mock)); err != nil {
			return nil, usage(err)
		}
		return &resumption{old}, nil
	}
	if !errors.Is(err, outfile.ErrNoSidecar) {
		return nil, usage(err)
	}
	if _, err := os.Stat(c.Output); errors.Is(err, fs.ErrNotExist) {
		return &resumption{}, nil // nothing was begun
	}
	same, err := lineIsOf(c.Output, in)
	if err != nil {
		return nil, usagef("%s: %w", c.Output, pathReason(err))
	}
	if !same {
		return nil, usagef("%s: was made from another input, or with other templates, model or parameters; give the same, or write to another file", c.Output)
	}
	return &resumption{}, nil
}

// harvestOld brings what the old job has stored, and the output lacks, into the
// output: no result that was paid for is asked for again.
func (c *runCmd) harvestOld(a *app, cfg *config.Config, log zerolog.Logger, r *resumption, out *outfile.Writer, in *input) (bitset.Set, error) {
	b := beside{c.Output}
	if r.old == nil {
		return nil, nil
	}
	mapping, err := b.loadSubset(r.old.Job, in.total())
	if err != nil {
		return nil, setup(err)
	}
	s := &session{a: a, out: out, id: r.old.Job, subset: mapping}
	err = c.harvestFrom(a, cfg, log, r, s, in)
	if err == nil && s.count > 0 {
		a.say("%s: took %d more results from the run before", c.Output, s.count)
	}
	return s.succeeded, err
}

func (c *runCmd) harvestFrom(a *app, cfg *config.Config, log zerolog.Logger, r *resumption, s *session, in *input) (err error) {
	b := beside{c.Output}
	switch {
	case b.there():
		if s.site, err = a.openStore(cfg, log, b.store(), r.old.Queue); err != nil {
			return err
		}
		defer s.site.close()
		err = s.harvest(s.site.client().Job(r.old.Queue, r.old.Job), s.out.Done())
		if errors.Is(err, jobs.ErrNotFound) || errors.Is(err, jobs.ErrNotSetUp) {
			return nil // it ended before it had begun
		}
		return err
	case r.old.Server == "" || s.out.Done().Len() == in.total():
		return nil
	case c.local(cfg):
		return hinted(exitUsage, "to give up what only that server holds, remove "+b.dir(),
			fmt.Errorf("the run to go on with was on the NATS server %s: give the same -s, --context or NATS_URL", r.old.Server))
	}
	if s.site, err = a.remote(cfg, log, r.old.Queue); err != nil {
		return err
	}
	defer s.site.close()
	return s.harvestRemote()
}

// harvestRemote ends the old job of a service, if it still runs, and takes all
// its results.
func (s *session) harvestRemote() error {
	h := s.site.client().Job(s.site.queue, s.id)
	ctx, cancel := context.WithTimeout(s.a.soft, time.Minute)
	defer cancel()
	state, err := h.State(ctx)
	if errors.Is(err, jobs.ErrNotFound) {
		s.a.say("the job %s of the run before is not there any more", s.id)
		return nil
	}
	if err != nil {
		return interruptedOr(s.a, err)
	}
	if !state.State.Final() {
		if err := h.Cancel(ctx, "gone on with by pelton run --resume"); err != nil {
			return interruptedOr(s.a, err)
		}
		if _, err := h.Wait(ctx); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("the job %s of the run before was cancelled, but has not ended: is a worker running?", s.id)
			}
			return interruptedOr(s.a, err)
		}
	}
	for r, err := range h.Collect(s.a.soft, schema.OrderCompletion) {
		if errors.Is(err, jobs.ErrAgedOut) {
			break // what is left has been read
		}
		if err = early(err); err != nil {
			return interruptedOr(s.a, err)
		}
		if r == nil {
			break
		}
		if r.Status == schema.StatusSucceeded && !s.out.Done().Has(s.subset.original(r.Index)) {
			if err := s.write(r); err != nil {
				return err
			}
		}
	}
	return s.out.Flush()
}

// remaining lists the indexes that have not succeeded; nil for all of them.
func remaining(total int, done *bitset.Set, harvested bitset.Set) subset {
	var s subset
	for i := range total {
		if !done.Has(i) && !harvested.Has(i) {
			s = append(s, uint32(i))
		}
	}
	switch len(s) {
	case total:
		return nil
	case 0:
		return subset{}
	}
	return s
}
