package anthropic

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// source gives the events of a stream, whatever its framing. What next returns is
// good until it is called again; failed says that it is an error. The error is
// io.EOF at the end.
type source interface {
	next() (data []byte, failed bool, err error)
}

// stream makes chunks of OpenAI's form of Anthropic's events, and an answer of all
// that came.
type stream struct {
	from       source
	reply      protocol.Reply
	chunks     translate.Chunks
	answer     answer // but for what chunks has
	limit      int64
	fault      []byte // the error that ended it
	usageChunk bool   // it was given
	ended      bool
}

func isEvents(h http.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/event-stream")
}

// Stream reads a streamed answer.
func (p *Protocol) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	if p.via.frames {
		if !strings.HasPrefix(reply.Header.Get("Content-Type"), framesType) {
			return nil, body
		}
		return p.newStream(noteOf(c), reply, body, limit), nil
	}
	if !reply.OK() && !isEvents(reply.Header) {
		return nil, body
	}
	events := protocol.NewSSE(body, limit)
	if !events.Is() {
		return nil, events.Rest()
	}
	return streamOf(noteOf(c), reply, &serverSent{events}, limit), nil
}

func (p *Protocol) newStream(n *note, reply protocol.Reply, body io.Reader, limit int64) *stream {
	if p.via.frames {
		return streamOf(n, reply, newFrames(body), limit)
	}
	return streamOf(n, reply, &serverSent{protocol.NewSSE(body, limit)}, limit)
}

func streamOf(n *note, reply protocol.Reply, from source, limit int64) *stream {
	s := &stream{from: from, reply: reply, limit: limit, answer: newAnswer(n, reply)}
	s.chunks.Made = s.answer.Answer
	return s
}

// serverSent are server-sent events.
type serverSent struct{ sse *protocol.SSE }

func (e *serverSent) next() ([]byte, bool, error) {
	event, err := e.sse.Next()
	return bytes.TrimSpace(event.Data), event.Failed(), err
}

// Next reads on to the next event.
func (s *stream) Next() ([]byte, error) {
	s.chunks.Grew = false
	if s.ended {
		return s.finish()
	}
	data, failed, err := s.from.next()
	switch {
	case err == io.EOF:
		return s.finish()
	case err != nil:
		return nil, err
	}
	chunk, err := s.event(data, failed)
	if s.chunks.Size > s.limit {
		return nil, protocol.ErrTooLarge
	}
	return chunk, err
}

// finish tells the usage, where that was asked for, and ends the stream.
func (s *stream) finish() ([]byte, error) {
	s.ended = true
	if s.usageChunk || !s.answer.note.usage || s.answer.reason == nil || !s.answer.usage.known {
		return nil, io.EOF
	}
	s.usageChunk = true
	return s.chunks.Usage(s.answer.usage.append), nil
}

// parts are the members of an event.
type parts struct{ kind, index, message, block, delta, usage, failure []byte }

func (e *parts) take(key, value []byte) {
	switch string(key) {
	case "type":
		e.kind = value
	case "index":
		e.index = value
	case "message":
		e.message = value
	case "content_block":
		e.block = value
	case "delta":
		e.delta = value
	case "usage":
		e.usage = value
	case "error":
		e.failure = value
	}
}

func (s *stream) event(data []byte, failed bool) ([]byte, error) {
	var e parts
	object, _ := rawjson.Object(data, e.take)
	if !object || failed || string(e.kind) == `"error"` || protocol.Present(e.failure) {
		s.fault = bytes.Clone(data)
		return nil, protocol.ErrFailed
	}
	switch string(e.kind) {
	case `"message_start"`:
		s.begin(e.message)
	case `"content_block_start"`:
		return s.open(int(translate.Count(e.index)), e.block), nil
	case `"content_block_delta"`:
		return s.delta(int(translate.Count(e.index)), e.delta), nil
	case `"content_block_stop"`:
		return s.chunks.Close(int(translate.Count(e.index))), nil
	case `"message_delta"`:
		s.answer.usage.take(e.usage)
		_, _ = rawjson.Object(e.delta, func(key, value []byte) { s.answer.takeEnd(key, bytes.Clone(value)) })
		if s.answer.reason != nil {
			return s.reason(), nil
		}
	case `"message_stop"`:
		s.ended = true
		if chunk, err := s.finish(); err == nil {
			return chunk, nil
		}
	}
	return nil, nil
}

// begin takes what the message is called.
func (s *stream) begin(message []byte) {
	s.answer.hasMessage = true
	_, _ = rawjson.Object(message, func(key, value []byte) {
		switch string(key) {
		case "id":
			s.chunks.Made.ID = bytes.Clone(value)
		case "model":
			s.chunks.Made.Model = bytes.Clone(value)
		case "usage":
			s.answer.usage.take(value)
		}
	})
}

// open begins a block.
func (s *stream) open(index int, raw []byte) []byte {
	b := s.chunks.Block(index)
	if b == nil {
		return nil
	}
	s.chunks.Size += int64(len(raw))
	*b = blockOf(bytes.Clone(raw))
	text, hidden := b.Text, b.Hidden
	b.Text, b.Hidden = nil, nil
	switch {
	case b.Kind == translate.CallBlock:
		return s.chunks.Call(index)
	case b.Kind == translate.HiddenBlock:
		return s.chunks.Hidden(index, hidden)
	case len(text) > 0:
		return s.grow(index, b, text)
	}
	return nil
}

// delta adds a piece to a block.
func (s *stream) delta(index int, raw []byte) (chunk []byte) {
	if !s.chunks.Has(index) {
		return nil
	}
	b := s.chunks.Block(index)
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text", "thinking":
			if text := translate.Inner(value); len(text) > 0 {
				chunk = s.grow(index, b, text)
			}
		case "signature":
			if text := translate.Inner(value); len(text) > 0 {
				chunk = s.chunks.Signature(index, text)
			}
		case "partial_json":
			chunk = s.chunks.Argument(index, translate.Inner(value))
		case "citation":
			if !rawjson.IsObject(value) {
				return
			}
			s.chunks.Size += int64(len(value))
			b.Citations = append(b.Citations, bytes.Clone(value))
			chunk = s.chunks.Own(append(append([]byte(`{"citation":`), value...), '}'))
		}
	})
	return chunk
}

// grow adds a piece of text or of thinking.
func (s *stream) grow(index int, b *translate.Block, text []byte) []byte {
	switch b.Kind {
	case translate.ThinkingBlock:
		return s.chunks.Thought(index, text)
	case translate.TextBlock:
		return s.chunks.Text(b, text)
	}
	s.chunks.Grew = true // of a block of the server's own, which is not told of
	return nil
}

// reason is the chunk with the reason of the end.
func (s *stream) reason() []byte {
	return s.chunks.Reason(s.answer.finish(), s.answer.appendEnd())
}

// Grew reports whether the last event brought some of the answer.
func (s *stream) Grew() bool { return s.chunks.Grew }

// Answer is all that came.
func (s *stream) Answer() protocol.Answer {
	s.answer.Answer = s.chunks.Made
	made := protocol.Answer{Reset: protocol.Exhausted(s.reply.Header, s.reply.At), Usage: s.answer.usage.counted()}
	if s.fault != nil {
		made.Failed, made.Fault = true, streamFault(s.fault)
		made.Body, made.JSON = s.fault, json.Valid(s.fault)
		if failure, ok := schema.Field(s.fault, "error"); ok && s.answer.hasMessage && made.JSON {
			if with, err := schema.SetField(s.answer.append(nil), "error", failure); err == nil {
				made.Body = with
			}
		}
		return made
	}
	switch {
	case !s.answer.hasMessage:
		made.Cut = "the stream ended before the answer began"
		return made
	case s.answer.reason == nil:
		made.Cut = "the stream ended before the answer did: it brought no stop_reason"
	}
	made.Body, made.JSON = s.answer.append(nil), true
	return made
}
