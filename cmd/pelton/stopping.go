package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/jobs"
	"pelton/schema"
)

// interrupt is what the first signal begins: nothing more is started, and what
// finishes is written.
func (s *session) interrupt(h *jobs.Handle, collected <-chan error, leave context.CancelFunc) error {
	if !s.site.local() {
		s.a.say("stopping: cancelling the job and writing what has finished; once more to stop at once")
		s.cancel(h, "interrupted with a signal")
		select {
		case err := <-collected:
			return errors.Join(errInterrupted, err)
		case <-s.a.hard.Done():
			leave()
			<-collected
			return errInterrupted
		}
	}
	s.a.say("stopping: finishing the calls in flight and writing what they bring; once more to stop at once")
	s.site.soft()
	var written error
	for ended := false; !ended; {
		select {
		case written = <-collected:
			collected = nil
		case <-s.site.stopped:
			ended = true
		}
	}
	leave()
	if collected != nil {
		written = <-collected
	}
	if broken := (writeError{}); errors.As(written, &broken) {
		return broken
	}
	return errors.Join(errInterrupted, s.harvest(h, nil))
}

// abandon ends a job whose results cannot be written. Those of calls in flight
// are stored, for a run that goes on later; where nobody reads, they are aborted.
func (s *session) abandon(h *jobs.Handle, why writeError) {
	switch {
	case !s.site.local():
		s.cancel(h, "its results cannot be written: "+why.Error())
	case closedStdout(why):
		s.site.hard()
		s.site.soft()
		<-s.site.stopped
	default:
		s.a.say("stopping: finishing the calls in flight")
		s.site.soft()
		<-s.site.stopped
	}
}

func (s *session) cancel(h *jobs.Handle, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.Cancel(ctx, reason); err != nil {
		s.a.say("the job %s could not be cancelled: %v", h.ID(), err)
	}
}

// unservedAfter is how long a service may take to take a job.
const unservedAfter = 5 * time.Second

// tellUnserved says why a job is still waiting.
func (s *session) tellUnserved(ctx context.Context) {
	if s.phase.Load() != schema.Queued {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := s.site.nc.RequestWithContext(ctx, s.site.broker.Names.Service("status", s.site.queue), nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		s.a.say("no worker serves the queue %s yet; waiting (start one: pelton worker --queues %s=256)", s.site.queue, s.site.queue)
	case s.phase.Load() == schema.Queued && !errors.Is(err, context.Canceled):
		s.a.say("no worker has taken the job yet; waiting")
	}
}
