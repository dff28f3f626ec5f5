package router

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"pelton/router/internal/ending"
	"pelton/router/internal/tally"
	"pelton/router/protocol"
	"pelton/schema"
)

// stream is a streamed call under way.
type stream struct {
	run      *run
	attempt  int
	sent     int  // chunks to the listener
	document bool // it was no stream, but one document

	began time.Time
	first time.Duration // until the first token; 0: none came

	watch  *ending.Watch // until the first token, where nothing is known of how long that takes
	clock  *time.Timer
	cancel context.CancelCauseFunc
	next   time.Duration // between tokens
}

// clocked returns the context of a streamed call with its two clocks: until the
// first token, and between tokens; learned: nobody has said how long the call may take.
func (s *stream) clocked(ctx context.Context, at choice, learned bool) (context.Context, func()) {
	r, d := s.run, at.d
	firstToken := cmp.Or(d.FirstToken, r.router.firstToken)
	s.next = cmp.Or(d.NextToken, r.router.nextToken, tally.LeastBound)
	if firstToken == 0 && learned {
		limit, known := r.plan.stages[at.stage].group.calls.Bound(r.now)
		if known {
			firstToken = limit << min(r.timeouts, 10)
		} else {
			ctx, s.watch = r.watch(ctx, at, "no token within %v")
		}
	}
	ctx, s.cancel = context.WithCancelCause(ctx)
	if firstToken > 0 {
		s.clock = time.AfterFunc(firstToken, func() {
			s.cancel(&ending.TimeUp{After: firstToken, Attempt: true, What: "no token within %v"})
		})
	}
	return ctx, func() {
		if s.clock != nil {
			s.clock.Stop()
		}
		s.cancel(nil)
		s.watch.End()
	}
}

// tick notes that a token came. It is called by one goroutine; the clock runs in
// another.
func (s *stream) tick() {
	if s.first == 0 {
		s.first = max(time.Since(s.began), 1)
		s.run.events.send(schema.Event{Kind: schema.EventFirstToken, Attempt: s.attempt})
		if s.watch != nil {
			s.watch.Stop()
		}
		if s.clock != nil {
			s.clock.Stop()
			s.clock = nil
		}
	}
	switch {
	case s.clock == nil:
		next := s.next
		s.clock = time.AfterFunc(next, func() {
			s.cancel(&ending.TimeUp{After: next, Attempt: true, What: "no further token within %v"})
		})
	default:
		s.clock.Reset(s.next)
	}
}

// lastWait is how long a stream that has ended may keep its connection before
// that is closed.
const lastWait = time.Second

var errDrained = errors.New("the stream had ended")

// read reads the whole answer into c. It reports false for one that is no
// stream; what there is of it is resp's body still.
func (s *stream) read(c *call, d *deployment, resp *http.Response) bool {
	c.reply.At = time.Now()
	from, document := d.protocol.Stream(&c.Call, c.reply, resp.Body, d.limit)
	if from == nil {
		s.document = true
		resp.Body = struct {
			io.Reader
			io.Closer
		}{document, resp.Body}
		return false
	}
	switch err := s.readAll(from); {
	case err == io.EOF:
		s.drain(resp)
	case errors.Is(err, protocol.ErrTooLarge):
		c.tooLarge = true
		return true
	case !errors.Is(err, protocol.ErrFailed):
		c.err = err
	}
	c.answer = from.Answer()
	return true
}

// readAll passes on what comes, until the stream's end.
func (s *stream) readAll(from protocol.Stream) error {
	for {
		chunk, err := from.Next()
		if err != nil {
			return err
		}
		if from.Grew() {
			s.tick()
		} else if s.first != 0 && s.clock != nil {
			s.clock.Reset(s.next)
		}
		if len(chunk) > 0 {
			s.pass(chunk)
		}
	}
}

// drain reads what comes behind the end, so that the connection can be used
// again, for a moment.
func (s *stream) drain(resp *http.Response) {
	if s.clock != nil {
		s.clock.Stop()
	}
	s.clock = time.AfterFunc(lastWait, func() { s.cancel(errDrained) })
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
}

// pass hands a chunk on.
func (s *stream) pass(data []byte) {
	if l := s.run.req.Listener; l != nil {
		l.Chunk(s.attempt, s.sent, data)
		s.sent++
	}
}

// ttft is the time to the first token, nil where none came.
func (s *stream) ttft() *float64 {
	if s == nil || s.first == 0 {
		return nil
	}
	ms := milliseconds(s.first)
	return &ms
}
