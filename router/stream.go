package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"pelton/internal/rawjson"
	"pelton/schema"
)

// Listener hears of a request while it runs. Its methods are called by the
// goroutine of [Router.Do], one after the other, and hold the request up for as
// long as they take: they must not wait for anybody.
type Listener interface {
	// Chunk is one chunk of a streamed answer, as the upstream sent it. attempt
	// counts from 1; a higher one than before means that all earlier chunks are
	// void. sequence counts from 0 within the attempt. data is good until Chunk
	// returns.
	Chunk(attempt, sequence int, data []byte)

	// Event is what happened to the request, where [Request.Events] is set.
	Event(e schema.Event)
}

// stream is a streamed call under way.
type stream struct {
	run     *run
	attempt int
	merged  merger
	fault   []byte // the error that ended it, as the upstream sent it
	events  int    // chunks that came
	sent    int    // of them to the listener
	ended   bool   // by its own mark
	whole   bool   // it was no stream, but one document

	began time.Time
	first time.Duration // until the first token; 0: none came

	clock  *time.Timer
	cancel context.CancelCauseFunc
	next   time.Duration // between tokens; 0: no bound
}

// streams reports whether answers of an endpoint can be streamed.
func streams(endpoint schema.Endpoint) bool {
	switch endpoint {
	case "", schema.ChatCompletions, schema.Completions, schema.Responses:
		return true
	}
	return false
}

// askForUsage returns the body of a streamed request with the wish for a count
// of tokens in it, and whether that had to be added.
func askForUsage(body, options json.RawMessage, endpoint schema.Endpoint) (json.RawMessage, bool) {
	if endpoint == schema.Responses { // it always counts
		return body, false
	}
	wish := json.RawMessage(`{"include_usage":true}`)
	if len(options) > 0 && options[0] == '{' {
		asked := false
		_, _ = rawjson.Object(options, func(key, value []byte) {
			if string(rawjson.Key(key)) == "include_usage" {
				asked = string(value) == "true"
			}
		})
		if asked {
			return body, false
		}
		with, err := schema.SetField(options, "include_usage", json.RawMessage("true"))
		if err != nil {
			return body, false
		}
		wish = with
	} else if len(options) > 0 && string(options) != "null" {
		return body, false // the upstream will say what is wrong with it
	}
	asking, err := schema.SetField(body, "stream_options", wish)
	if err != nil {
		return body, false
	}
	return asking, true
}

// streamed is the body to send to d.
func (r *run) streamed(d *deployment) json.RawMessage {
	if r.asked = r.plainBody != nil && !d.noOptions.Load(); r.plainBody != nil && !r.asked {
		return r.plainBody
	}
	return r.req.Body
}

// refusesOptions notes that d does not know stream_options, where that is what
// it answered: it is asked again without.
func (r *run) refusesOptions(d *deployment, status int, raw []byte) bool {
	if !r.asked || status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		return false
	}
	if !bytes.Contains(raw, []byte("stream_options")) {
		return false
	}
	d.noOptions.Store(true)
	return true
}

// clocked returns the context of a streamed call with its two clocks: until the
// first token, and between tokens.
func (s *stream) clocked(ctx context.Context, d *deployment) (context.Context, func()) {
	firstToken := d.FirstToken
	if firstToken == 0 {
		firstToken = s.run.firstToken
	}
	if s.next = d.NextToken; s.next == 0 {
		s.next = s.run.nextToken
	}
	ctx, s.cancel = context.WithCancelCause(ctx)
	if firstToken > 0 {
		s.clock = time.AfterFunc(firstToken, func() {
			s.cancel(&timeUp{after: firstToken, attempt: true, what: "no token within %v"})
		})
	}
	return ctx, func() {
		if s.clock != nil {
			s.clock.Stop()
		}
		s.cancel(nil)
	}
}

// tick notes that a token came. It is called by one goroutine; the clock runs in
// another.
func (s *stream) tick() {
	if s.first == 0 {
		s.first = max(time.Since(s.began), 1)
		s.run.tell(schema.Event{Kind: schema.EventFirstToken, Attempt: s.attempt})
		if s.clock != nil {
			s.clock.Stop()
			s.clock = nil
		}
	}
	switch {
	case s.next == 0:
	case s.clock == nil:
		next := s.next
		s.clock = time.AfterFunc(next, func() {
			s.cancel(&timeUp{after: next, attempt: true, what: "no further token within %v"})
		})
	default:
		s.clock.Reset(s.next)
	}
}

// lastWait is how long a stream that has ended may keep its connection before
// that is closed.
const lastWait = time.Second

var errDrained = errors.New("the stream had ended")

// read reads the whole answer into the cell: the merged one, where it is a
// stream.
func (s *stream) read(c *cell, resp *http.Response, limit int64) {
	from := &sse{from: resp.Body, limit: int(min(limit, maxEvent))}
	isError := resp.StatusCode < 200 || resp.StatusCode >= 300
	if isError && !bytes.HasPrefix([]byte(resp.Header.Get("Content-Type")), []byte("text/event-stream")) || !from.is() {
		s.whole = true
		resp.Body = struct {
			io.Reader
			io.Closer
		}{from.rest(), resp.Body}
		c.read(resp, limit)
		if !isError && c.err == nil && s.isAnswer(c.raw) {
			s.tick()
			s.pass(c.raw)
		}
		return
	}
	s.merged.limit = limit
	for s.fault == nil && !s.ended {
		e, err := from.read()
		if err != nil {
			if err != io.EOF {
				c.err = err
			}
			c.tooLarge = errors.Is(err, errEventTooLong)
			break
		}
		s.take(e)
		if s.merged.tooLarge() {
			c.tooLarge = true
			break
		}
	}
	if c.tooLarge {
		c.err = nil
		return
	}
	if c.raw = s.merged.render(); s.fault != nil {
		c.raw = withFault(c.raw, s.fault)
	}
	if s.ended {
		s.drain(resp)
	}
}

// isAnswer reports whether a document that came instead of a stream is the whole
// answer: an error with the status 200, or a page of HTML, is no chunk of one.
func (s *stream) isAnswer(raw []byte) bool {
	body := parseBody(raw)
	_, failed := body.fault()
	return !failed && body.lacks(s.run.req.Endpoint) == ""
}

// maxEvent bounds one event of a stream.
const maxEvent = 16 << 20

// drain reads what comes behind the end, so that the connection can be used
// again, for a moment.
func (s *stream) drain(resp *http.Response) {
	if s.clock != nil {
		s.clock.Stop()
	}
	s.clock = time.AfterFunc(lastWait, func() { s.cancel(errDrained) })
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
}

// take deals with one event.
func (s *stream) take(e event) {
	data := bytes.TrimSpace(e.data)
	if string(data) == endMark {
		s.ended = true
		return
	}
	if len(data) == 0 {
		return
	}
	if e.failed || mayFail(data) {
		body := parseBody(data)
		if _, failed := body.fault(); failed || e.failed {
			s.fault = bytes.Clone(data)
			_ = s.merged.add(data)
			return
		}
	}
	if !s.merged.add(data) {
		s.fault = bytes.Clone(data) // no JSON object
		return
	}
	if s.events++; s.merged.grew {
		s.tick()
	} else if s.first != 0 && s.clock != nil {
		s.clock.Reset(s.next)
	}
	if s.merged.response.whole != nil { // this API has no other mark of its end
		s.ended = true
	}
	if s.run.plainBody == nil || !usageAlone(data) {
		s.pass(data)
	}
}

// pass hands a chunk on.
func (s *stream) pass(data []byte) {
	if l := s.run.req.Listener; l != nil {
		l.Chunk(s.attempt, s.sent, data)
		s.sent++
	}
}

// mayFail reports whether a chunk could be an error. It costs little: nearly
// all are none.
func mayFail(data []byte) bool {
	return data[0] != '{' || bytes.Contains(data, []byte(`"error"`)) || bytes.Contains(data, []byte(`"failed"`)) ||
		!bytes.Contains(data, []byte(`"choices"`)) && !bytes.Contains(data, []byte(`"type"`))
}

// usageAlone reports whether a chunk has no choices, and so is only there
// because usage was asked for.
func usageAlone(data []byte) bool {
	if !bytes.Contains(data, []byte(`"usage"`)) {
		return false
	}
	counts, choices := false, false
	_, _ = rawjson.Object(data, func(key, value []byte) {
		switch string(key) {
		case "usage":
			counts = present(value)
		case "choices":
			choices = arrayOf(value).any
		}
	})
	return counts && !choices
}

// withFault is the merged answer with the error that ended it, in the place
// where an error stands in an answer.
func withFault(merged, fault []byte) []byte {
	if merged == nil {
		return fault
	}
	inner, _ := schema.Field(fault, "error")
	if !present(inner) {
		inner = jsonText(fault, json.Valid(fault))
	}
	with, err := schema.SetField(merged, "error", inner)
	if err != nil {
		return fault
	}
	return with
}

// unfinished says what a stream lacks that came to its end.
func (s *stream) unfinished() string {
	if s == nil || s.whole {
		return ""
	}
	return s.merged.finished()
}

// ttft is the time to the first token, nil where none came.
func (s *stream) ttft() *float64 {
	if s == nil || s.first == 0 {
		return nil
	}
	ms := milliseconds(s.first)
	return &ms
}

// partial reports whether the cell holds what came of a stream that broke off.
func (c *cell) partial() bool { return c.stream != nil && c.err != nil && len(c.raw) > 0 }

// tell reports an event to whoever wants to hear it.
func (r *run) tell(e schema.Event) {
	if !r.req.Events || r.req.Listener == nil {
		return
	}
	e.At = time.Now().UTC()
	r.req.Listener.Event(e)
}

func (t *timeUp) text() string {
	if t.what == "" {
		return fmt.Sprintf("no answer within the attempt's %v", t.after)
	}
	return fmt.Sprintf(t.what, t.after)
}

// tellFallback tells that the request goes on with another group.
func (r *run) tellFallback(stage int) {
	if stage > r.told {
		r.told = stage
		r.tell(schema.Event{Kind: schema.EventFallback, Attempt: len(r.out.Attempts) + 1, Model: r.plan[stage].group.name})
	}
}

// tellFailed tells of an attempt that failed.
func (r *run) tellFailed(d *deployment, e *schema.Error) {
	r.tell(schema.Event{Kind: schema.EventAttemptFailed, Attempt: len(r.out.Attempts), Deployment: d.ID, Error: e})
}

// tellRetry tells that the request waits.
func (r *run) tellRetry(at time.Time) {
	if !at.IsZero() {
		at = at.UTC()
		r.tell(schema.Event{Kind: schema.EventRetryAt, Attempt: len(r.out.Attempts) + 1, RetryAt: &at})
	}
}
