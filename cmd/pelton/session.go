package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"pelton/internal/bitset"
	"pelton/internal/outfile"
	"pelton/internal/progress"
	"pelton/jobs"
	"pelton/schema"
)

// session sees one job from its submit to its last written result. Three
// things go on at once: the job's progress is shown, its results are written,
// and whatever may end it early is waited for (see follow).
type session struct {
	a     *app
	site  *site
	out   *outfile.Writer
	meter *progress.Printer
	order schema.Order

	id     string // of the job
	subset subset // of the input, when resuming

	written   bitset.Set // original indexes that this session has written
	succeeded bitset.Set // those of them that succeeded
	count     int        // how many were written
	shed      shed       // what the store need not keep
	ended     bool       // the job has, and all its results are in the output
	phase     atomic.Value
}

// writeError is a failure to write a result: of the local disk, not of the job.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// submit hands the job over: small ones with their requests, others as a stream
// behind them.
func (s *session) submit(job schema.Job, in *input) (*jobs.Handle, error) {
	job.ID = s.id
	client := s.site.client()
	if !s.site.local() { // its answers are to be had, before they are paid for
		if err := client.Job(s.site.queue, s.id).MayCollect(s.a.soft); errors.Is(err, jobs.ErrDenied) {
			return nil, fmt.Errorf("run reads the results of what it submits (`pelton submit` does not): %w", err)
		}
	}
	var lines io.Reader
	if in.open == nil && s.subset == nil {
		job.Requests = requests(in.lines)
	} else {
		reader, err := in.reader()
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		lines = reader
		if s.subset != nil {
			lines = &pick{lines: bufio.NewReaderSize(reader, 256<<10), want: s.subset}
		}
	}
	if lines == nil {
		h, err := client.Submit(s.a.soft, job)
		return h, interruptedOr(s.a, err)
	}
	h, err := client.Submit(s.a.soft, job, jobs.WithInput(lines))
	return h, interruptedOr(s.a, err)
}

// follow runs until the job has ended and all its results are written, or until
// something ends it early. The state is the last that is known, nil for none.
func (s *session) follow(h *jobs.Handle) (*schema.State, error) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	type outcome struct {
		state *schema.State
		err   error
	}
	s.phase.Store(schema.Queued)
	waited := make(chan outcome, 1)
	go func() {
		state, err := h.Wait(ctx, jobs.OnProgress(func(state schema.State) {
			s.phase.Store(state.State)
			s.meter.Update(s.inTerms(state))
		}))
		waited <- outcome{state, err}
	}()
	defer func() {
		leave()
		<-waited
	}()
	collected := make(chan error, 1)
	go func() { collected <- s.collect(ctx, h) }()
	if !s.site.local() {
		watch := time.AfterFunc(unservedAfter, func() { s.tellUnserved(ctx) })
		defer watch.Stop()
	}
	end := func(err error) (*schema.State, error) {
		if err != nil {
			state, _ := s.state(h)
			return state, err
		}
		out := <-waited
		waited <- out // for the function above
		return out.state, out.err
	}
	select {
	case err := <-collected:
		if broken := (writeError{}); errors.As(err, &broken) {
			s.abandon(h, broken)
		}
		return end(err)
	case <-s.site.stopped:
		leave()
		<-collected
		_ = s.harvest(h, nil)
		return end(setup(fmt.Errorf("the worker has stopped: %w", s.site.err)))
	case <-s.a.soft.Done():
	}
	return end(s.interrupt(h, collected, leave))
}

func (s *session) state(h *jobs.Handle) (*schema.State, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return h.State(ctx)
}

// collect writes results as they come, until the job has ended.
func (s *session) collect(ctx context.Context, h *jobs.Handle) error {
	for r, err := range h.Collect(ctx, s.order) {
		if err != nil {
			return early(err)
		}
		if err := s.write(r); err != nil {
			return err
		}
		s.shed.wrote(r.Seq)
		if err := s.forget(ctx); err != nil {
			return err
		}
	}
	if err := s.out.Flush(); err != nil {
		return writeError{err}
	}
	return nil
}

// early drops an error that the job's final state tells as well.
func early(err error) error {
	var failed *jobs.ResultError
	var ended *jobs.StateError
	if errors.As(err, &failed) || errors.As(err, &ended) {
		return nil
	}
	return err
}

// write puts a result into the output under its index in the input.
func (s *session) write(r *schema.Result) error {
	r.Index = s.subset.original(r.Index)
	r.ID = fmt.Sprintf("%s.%d", r.Job, r.Index)
	if err := s.out.Write(r); err != nil {
		return writeError{err}
	}
	s.written.Add(r.Index)
	s.count++
	if r.Status == schema.StatusSucceeded {
		s.succeeded.Add(r.Index)
	}
	return nil
}

// inTerms puts a state of the job into terms of the input, where the job has
// only some of its requests.
func (s *session) inTerms(state schema.State) schema.State {
	state.Errors = slices.Clone(state.Errors)
	for i := range state.Errors {
		state.Errors[i].FirstIndex = s.subset.original(state.Errors[i].FirstIndex)
	}
	return state
}

// harvest writes what is stored of a job in a store of our own where nobody is
// at work any more, whether the job has ended or not. Indexes that are in had
// are left out, and those that this session has written.
func (s *session) harvest(h *jobs.Handle, had *bitset.Set) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	last, err := s.site.lastStored(ctx)
	if err != nil || last == 0 {
		return err
	}
	for r, err := range h.Collect(ctx, schema.OrderCompletion) {
		if err != nil {
			return early(err)
		}
		seq := r.Seq
		index := s.subset.original(r.Index)
		paid := r.Status == schema.StatusSucceeded || r.Status == schema.StatusFailed
		if paid && !s.written.Has(index) && (had == nil || !had.Has(index)) {
			if err := s.write(r); err != nil {
				return err
			}
		}
		if seq >= last {
			break
		}
	}
	if err := s.out.Flush(); err != nil {
		return writeError{err}
	}
	return nil
}
