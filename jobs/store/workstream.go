package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/jobs/store/internal/jet"
)

// WorkStream is the stream in which requests wait for a worker, each under a subject of
// its own.
type WorkStream struct{ c *jet.Conn }

// Put stores a request's message unless its subject holds one: then the request is
// there already, by an earlier Put whose answer was lost, and the error one of
// which [IsWrongLastSeq] is true. It returns at once. done is called when the
// message is stored, or not, or may not have been; it must not block. An error of
// Put says that it was not sent, and that done is not called.
func (s *WorkStream) Put(ctx context.Context, m *nats.Msg, done func(seq uint64, err error)) error {
	_, err := s.c.Send(ctx, jet.ExpectNew(m), jet.Outgoing{Done: done})
	return err
}

// Indexes lists the indexes of a job that are in the stream: those that wait, and
// those in the hands of a worker. since is when the stream was made: of what was
// put there before, it knows nothing.
func (s *WorkStream) Indexes(ctx context.Context, job JobKey) (present map[int]bool, since time.Time, err error) {
	info, err := s.c.Subjects(ctx, s.c.Names.WorkStream(), s.c.Names.WorkOf(job.Queue, job.ID))
	if err != nil {
		return nil, time.Time{}, err
	}
	present = make(map[int]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		if at, ok := s.c.Names.Parse("work", subject); ok {
			present[at.Index] = true
		}
	}
	return present, info.Created, nil
}

// Purge removes what is left of a job.
func (s *WorkStream) Purge(ctx context.Context, job JobKey) error {
	if err := s.c.Purge(ctx, s.c.Names.WorkStream(), s.c.Names.WorkOf(job.Queue, job.ID)); err != nil {
		return fmt.Errorf("purge the work of job %s: %w", job.ID, err)
	}
	return nil
}

// Remove removes one request.
func (s *WorkStream) Remove(ctx context.Context, job JobKey, index int) error {
	return s.c.Purge(ctx, s.c.Names.WorkStream(), s.c.Names.Work(job.Queue, job.ID, index))
}

// EachForgotten calls f for the requests of a job whose messages are in the stream
// though its consumer is done with them: no worker is given them any more.
func (s *WorkStream) EachForgotten(ctx context.Context, job JobKey, f func(index int) error) error {
	stream := s.c.Names.WorkStream()
	workers, err := s.c.Consumer(ctx, stream, s.c.Names.WorkersConsumer(job.Queue))
	if err != nil {
		return err
	}
	for after, done := uint64(0), workers.AckFloor.Stream; after < done; {
		m, err := s.c.NextMsg(ctx, stream, s.c.Names.WorkOf(job.Queue, job.ID), after)
		if err != nil || m == nil || m.Sequence > done {
			return err
		}
		after = m.Sequence
		at, ok := s.c.Names.Parse("work", m.Subject)
		if !ok {
			continue
		}
		if err := f(at.Index); err != nil {
			return err
		}
	}
	return nil
}

// LastSeq returns the last sequence of the stream.
func (s *WorkStream) LastSeq(ctx context.Context) (uint64, error) {
	info, err := s.c.Stream(ctx, s.c.Names.WorkStream())
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}
