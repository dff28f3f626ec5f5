package bedrock

import (
	"bytes"
	"io"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// stream makes chunks of OpenAI's form of Converse's events, and an answer of all
// that came.
type stream struct {
	from   *frames
	reply  protocol.Reply
	chunks translate.Chunks
	answer answer // but for what chunks has
	limit  int64
	fault  *protocol.Fault // the error that ended it
	failed []byte          // the same as it came
	ended  bool
}

// Stream reads a streamed answer.
func (p *Protocol) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	if !strings.HasPrefix(reply.Header.Get("Content-Type"), framesType) {
		return nil, body
	}
	s := &stream{from: newFrames(body), reply: reply, limit: limit, answer: newAnswer(c, reply)}
	s.chunks.Made = s.answer.Answer
	return s, nil
}

// Next reads on to the next event.
func (s *stream) Next() ([]byte, error) {
	s.chunks.Grew = false
	if s.ended {
		return nil, io.EOF
	}
	f, err := s.from.next()
	switch {
	case err == io.EOF:
		return s.finish()
	case err != nil:
		return nil, err
	}
	if f.failed {
		s.failed = bytes.Clone(f.payload)
		s.fault = streamFault(f)
		return nil, protocol.ErrFailed
	}
	chunk := s.event(f)
	if s.chunks.Size > s.limit {
		return nil, protocol.ErrTooLarge
	}
	return chunk, nil
}

// finish tells the usage, where that was asked for, and ends the stream.
func (s *stream) finish() ([]byte, error) {
	s.ended = true
	if !s.answer.note.usage || s.answer.reason == nil || !s.answer.usage.known {
		return nil, io.EOF
	}
	return s.chunks.Usage(s.answer.usage.append), nil
}

// event takes one event in.
func (s *stream) event(f frame) []byte {
	var index int
	var inside []byte
	switch f.name {
	case "messageStart":
		s.answer.hasMessage = true
	case "contentBlockStart", "contentBlockDelta", "contentBlockStop":
		_, _ = rawjson.Object(f.payload, func(key, value []byte) {
			switch string(key) {
			case "contentBlockIndex":
				index = int(translate.Count(value))
			case "start", "delta":
				inside = value
			}
		})
	case "messageStop", "metadata":
		_, _ = rawjson.Object(f.payload, func(key, value []byte) { s.answer.takeEnd(key, bytes.Clone(value)) })
	}
	switch f.name {
	case "contentBlockStart":
		return s.open(index, inside)
	case "contentBlockDelta":
		return s.delta(index, inside)
	case "contentBlockStop":
		return s.chunks.Close(index)
	case "messageStop":
		if s.answer.reason != nil {
			return s.reason()
		}
	}
	return nil
}

// open begins a block that says at its start what it is.
func (s *stream) open(index int, start []byte) []byte {
	b := s.chunks.Block(index)
	if b == nil {
		return nil
	}
	s.chunks.Size += int64(len(start))
	translate.Within(start, "toolUse", func(value []byte) {
		b.Kind = translate.CallBlock
		takeCall(b, bytes.Clone(value))
	})
	if b.Kind == translate.CallBlock {
		return s.chunks.Call(index)
	}
	if b.Raw == nil {
		b.Raw = bytes.Clone(start)
	}
	return nil
}

// delta adds a piece to a block.
func (s *stream) delta(index int, raw []byte) (chunk []byte) {
	b := s.chunks.Block(index)
	if b == nil {
		return nil
	}
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text":
			if text := translate.Inner(value); len(text) > 0 {
				chunk = s.chunks.Text(b, text)
			}
		case "toolUse":
			translate.Within(value, "input", func(piece []byte) { chunk = s.chunks.Argument(index, translate.Inner(piece)) })
		case "reasoningContent":
			_, _ = rawjson.Object(value, func(key, piece []byte) {
				if text := translate.Inner(piece); len(text) > 0 {
					chunk = s.thought(string(key), text, index)
				}
			})
		case "citation":
			s.chunks.Size += int64(len(value))
			b.Kind, b.Raw = translate.TextBlock, nil
			b.Citations = append(b.Citations, bytes.Clone(value))
			chunk = s.chunks.Own(append(append([]byte(`{"citation":`), value...), '}'))
		}
	})
	return chunk
}

// thought adds a piece of thinking, of its signature, or of what is hidden of it.
func (s *stream) thought(what string, text []byte, index int) []byte {
	switch what {
	case "text":
		return s.chunks.Thought(index, text)
	case "signature":
		return s.chunks.Signature(index, text)
	case "redactedContent":
		return s.chunks.Hidden(index, text)
	}
	return nil
}

// reason is the chunk with the reason of the end.
func (s *stream) reason() []byte {
	var own []byte
	if s.answer.native() {
		own = append(translate.AppendMember([]byte{'{'}, "stop_reason", s.answer.reason), '}')
	}
	return s.chunks.Reason(s.answer.finish(), own)
}

// Grew reports whether the last event brought some of the answer.
func (s *stream) Grew() bool { return s.chunks.Grew }

// Answer is all that came.
func (s *stream) Answer() protocol.Answer {
	a := &s.answer
	a.Answer = s.chunks.Made
	made := protocol.Answer{Reset: protocol.Exhausted(s.reply.Header, s.reply.At), Usage: a.usage.counted()}
	if s.fault != nil {
		made.Failed, made.Fault = true, *s.fault
		made.Body, made.JSON = s.failed, rawjson.Valid(s.failed)
		if a.hasMessage && made.JSON {
			if with, err := schema.SetField(a.append(nil), "error", s.failed); err == nil {
				made.Body = with
			}
		}
		return made
	}
	switch {
	case !a.hasMessage:
		made.Cut = "the stream ended before the answer began"
		return made
	case a.reason == nil:
		made.Cut = "the stream ended before the answer did: it brought no stopReason"
	default:
		made.Cut = a.malformed()
	}
	made.Body, made.JSON = a.append(nil), true
	return made
}
