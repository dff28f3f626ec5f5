package cohere

import (
	"bytes"
	"encoding/json"
	"io"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// stream makes chunks of OpenAI's form of Cohere's events, and an answer of all
// that came.
type stream struct {
	protocol *Protocol
	events   *protocol.SSE
	reply    protocol.Reply
	limit    int64
	chunks   translate.Chunks
	answer   answer // what chunks does not have
	wanted   bool   // the usage is to be told
	fault    []byte // the error that ended it
	ended    bool
}

// Stream reads a streamed answer.
func (p *Protocol) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	if !reply.OK() {
		return nil, body
	}
	events := protocol.NewSSE(body, limit)
	if !events.Is() {
		return nil, events.Rest()
	}
	return &stream{
		protocol: p, events: events, reply: reply, limit: limit, wanted: noteOf(c).usage, chunks: translate.Chunks{Made: newAnswer(c, reply)},
	}, nil
}

// Next reads on to the next event.
func (s *stream) Next() ([]byte, error) {
	s.chunks.Grew = false
	if s.ended {
		return s.finish()
	}
	e, err := s.events.Next()
	switch {
	case err != nil:
		return nil, err
	case s.fault != nil:
		return nil, protocol.ErrFailed
	}
	data := bytes.TrimSpace(e.Data)
	if string(data) == protocol.EndMark {
		s.ended = true
		return s.finish()
	}
	chunk, good := s.event(data)
	if !good || e.Failed() {
		s.fault = bytes.Clone(data)
		return nil, protocol.ErrFailed
	}
	if s.chunks.Size > s.limit {
		return nil, protocol.ErrTooLarge
	}
	return chunk, nil
}

// finish tells the usage, where that was asked for, and ends the stream.
func (s *stream) finish() ([]byte, error) {
	if !s.wanted || s.answer.reason == nil || !s.answer.usage.known {
		return nil, io.EOF
	}
	s.wanted = false
	return s.chunks.Usage(s.answer.usage.append), nil
}

// parts are the members of an event.
type parts struct {
	kind, id, delta, message, probable, failure []byte
	index                                       int
}

func (e *parts) take(key, value []byte) {
	switch string(key) {
	case "type":
		e.kind = value
	case "id":
		e.id = value
	case "index":
		e.index = int(translate.Count(value))
	case "delta":
		e.delta = value
		translate.Within(value, "message", func(message []byte) { e.message = message })
	case "logprobs":
		e.probable = value
	case "message": // of an error that is no event of Cohere's
		if rawjson.IsString(value) {
			e.failure = value
		}
	}
}

// event takes one event in. It reports false for one that is an error.
func (s *stream) event(data []byte) (chunk []byte, good bool) {
	var e parts
	object, _ := rawjson.Object(data, e.take)
	if !object || e.kind == nil && e.failure != nil {
		return nil, false
	}
	switch string(translate.Inner(e.kind)) {
	case "message-start":
		s.answer.hasMessage = true
		s.chunks.Made.ID = bytes.Clone(e.id)
	case "content-start", "content-delta":
		return s.content(&e), true
	case "tool-plan-delta":
		translate.Within(e.message, "tool_plan", func(text []byte) { chunk = s.plan(translate.Inner(text)) })
	case "tool-call-start":
		translate.Within(e.message, "tool_calls", func(call []byte) { chunk = s.call(callIndex(e.index), call) })
	case "tool-call-delta":
		translate.Within(e.message, "tool_calls", func(call []byte) {
			translate.Within(call, "function", func(function []byte) {
				translate.Within(function, "arguments", func(piece []byte) {
					chunk = s.chunks.Argument(callIndex(e.index), translate.Inner(piece))
				})
			})
		})
	case "tool-call-end":
		return s.chunks.Close(callIndex(e.index)), true
	case "citation-start":
		translate.Within(e.message, "citations", func(citation []byte) { chunk = s.citation(citation) })
	case "message-end":
		return s.end(&e)
	}
	return chunk, true
}

// Content and calls are counted apart. A block has the index of either here.
func contentIndex(index int) int { return 2 * index }
func callIndex(index int) int    { return 2*index + 1 }

// content adds a piece of a text, or of thinking.
func (s *stream) content(e *parts) (chunk []byte) {
	index := contentIndex(e.index)
	b := s.chunks.Block(index)
	if b == nil {
		return nil
	}
	translate.Within(e.message, "content", func(content []byte) {
		piece := blockOf(content)
		switch {
		case len(piece.Text) == 0:
		case piece.Kind == translate.ThinkingBlock:
			chunk = s.chunks.Thought(index, piece.Text)
		default:
			chunk = s.chunks.Text(b, piece.Text)
		}
	})
	if chunk != nil && rawjson.IsObject(e.probable) {
		s.chunks.Size += int64(len(e.probable))
		s.answer.probable = append(s.answer.probable, bytes.Clone(e.probable))
		chunk = s.chunks.With("logprobs", append(appendProbable([]byte(`{"content":[`), e.probable), `]}`...))
	}
	return chunk
}

// plan adds a piece of what the model thinks of the tools.
func (s *stream) plan(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	s.chunks.Grew = true
	s.chunks.Size += int64(len(text))
	s.answer.plan = append(s.answer.plan, text...)
	if s.chunks.Made.Thinks() {
		return nil
	}
	out := append(append(translate.AppendKey(s.chunks.Begin(), "reasoning_content"), '"'), text...)
	return s.chunks.End(append(out, '"'))
}

// call begins a call, which may have its arguments already.
func (s *stream) call(index int, raw []byte) []byte {
	b := s.chunks.Block(index)
	if b == nil {
		return nil
	}
	b.Kind = translate.CallBlock
	s.chunks.Size += int64(len(raw))
	takeCall(b, bytes.Clone(raw))
	return s.chunks.Call(index)
}

// citation adds what a piece of the text cites.
func (s *stream) citation(raw []byte) []byte {
	s.chunks.Size += int64(len(raw))
	s.answer.citations = append(s.answer.citations, bytes.Clone(raw))
	own := append(append([]byte(`{"citation":`), raw...), '}')
	return s.chunks.Own(own)
}

// end takes in how the answer ended, which may be in an error.
func (s *stream) end(e *parts) (chunk []byte, good bool) {
	good = true
	_, _ = rawjson.Object(e.delta, func(key, value []byte) {
		if string(key) == "error" && protocol.Present(value) {
			good = false
			return
		}
		s.answer.takeEnd(key, bytes.Clone(value))
	})
	if !good || s.answer.reason == nil {
		return nil, good
	}
	s.ended = true
	var own []byte
	if s.answer.native() {
		own = append(translate.AppendMember([]byte{'{'}, "finish_reason", s.answer.reason), '}')
	}
	return s.chunks.Reason(s.answer.finish(), own), true
}

// Grew reports whether the last event brought some of the answer.
func (s *stream) Grew() bool { return s.chunks.Grew }

// Answer is all that came.
func (s *stream) Answer() protocol.Answer {
	s.answer.Answer = s.chunks.Made
	made := protocol.Answer{Reset: protocol.Exhausted(s.reply.Header, s.reply.At), Usage: s.answer.usage.counted()}
	switch {
	case s.fault != nil:
		failure := s.fault
		translate.Within(s.fault, "delta", func(delta []byte) {
			translate.Within(delta, "error", func(text []byte) { failure = append(append([]byte(`{"message":`), text...), '}') })
		})
		made.Failed, made.Body, made.JSON = true, s.fault, json.Valid(s.fault)
		made.Fault = faultOf(0, failure)
		if s.answer.hasMessage && json.Valid(failure) {
			if with, err := schema.SetField(s.answer.append(nil), "error", failure); err == nil {
				made.Body = with
			}
		}
		return made
	case !s.answer.hasMessage:
		made.Cut = "the stream ended before the answer began"
		return made
	case s.answer.reason == nil:
		made.Cut = "the stream ended before the answer did: it brought no finish_reason"
	default:
		made.Cut = s.answer.lacks()
	}
	made.Body, made.JSON = s.answer.append(nil), true
	return made
}
