package bedrock

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// stream makes chunks of OpenAI's form of Converse's events, and an answer of all
// that came.
type stream struct {
	from   *frames
	reply  protocol.Reply
	answer answer
	at     []int // the block of each index of Converse's; -1: none yet
	calls  int   // of the reader's tools so far
	number []int // of each block that is such a call; -1: it is none
	size   int64 // of what is held
	limit  int64
	buf    []byte
	head   []byte
	fault  *protocol.Fault // the error that ended it
	failed []byte          // the same as it came
	role   bool            // it was told who speaks
	grew   bool
	ended  bool
}

// Stream reads a streamed answer.
func (p *Protocol) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	if !strings.HasPrefix(reply.Header.Get("Content-Type"), framesType) {
		return nil, body
	}
	s := &stream{from: newFrames(body), reply: reply, limit: limit, answer: newAnswer(c, reply)}
	s.head = s.answer.head(nil, "chat.completion.chunk")
	return s, nil
}

// Next reads on to the next event.
func (s *stream) Next() ([]byte, error) {
	s.grew = false
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
	if s.size > s.limit {
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
	s.buf = s.answer.usage.append(append(append(s.buf[:0], s.head...), `],"usage":`...))
	s.buf = append(s.buf, '}')
	return s.buf, nil
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
				index = int(count(value))
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
		return s.close(index)
	case "messageStop":
		if s.answer.reason != nil {
			return s.reason()
		}
	}
	return nil
}

// mostBlocks bounds the blocks of one answer; blockSize is what one takes besides
// its text.
const (
	mostBlocks = 4096
	blockSize  = 256
)

// block is the block of an index, which is begun where it is new; nil beyond the
// bound.
func (s *stream) block(index int) *block {
	if index < 0 || index >= mostBlocks {
		return nil
	}
	for len(s.at) <= index {
		s.at, s.number = append(s.at, -1), append(s.number, -1)
	}
	if s.at[index] < 0 {
		s.size += blockSize
		s.at[index] = len(s.answer.blocks)
		s.answer.blocks = append(s.answer.blocks, block{})
	}
	return &s.answer.blocks[s.at[index]]
}

// open begins a block that says at its start what it is.
func (s *stream) open(index int, start []byte) []byte {
	b := s.block(index)
	if b == nil {
		return nil
	}
	s.size += int64(len(start))
	within(start, "toolUse", func(value []byte) {
		b.kind = callBlock
		b.takeCall(bytes.Clone(value))
	})
	switch {
	case b.kind != callBlock:
		if b.raw == nil {
			b.raw = bytes.Clone(start)
		}
		return nil
	case s.answer.schemaCall(b):
		return nil
	}
	s.number[index] = s.calls
	s.calls++
	s.grew = true
	out := s.answer.appendCallHead(s.callDelta(s.number[index]), b)
	return s.end(append(out, `,"arguments":""}}]`...))
}

// delta adds a piece to a block.
func (s *stream) delta(index int, raw []byte) (out []byte) {
	b := s.block(index)
	if b == nil {
		return nil
	}
	s.size += int64(len(raw))
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "text":
			if text := inner(value); len(text) > 0 {
				s.grew = true
				b.kind, b.text = textBlock, append(b.text, text...)
				out = s.end(append(append(s.content(), text...), '"'))
			}
		case "toolUse":
			within(value, "input", func(piece []byte) { out = s.argument(b, index, inner(piece)) })
		case "reasoningContent":
			_, _ = rawjson.Object(value, func(key, piece []byte) {
				if text := inner(piece); len(text) > 0 {
					out = s.thought(b, string(key), text, index)
				}
			})
		case "citation":
			b.kind = textBlock
			b.cited = append(b.cited, bytes.Clone(value))
			out = append(comma(s.start()), `"provider_specific_fields":{"citation":`...)
			out = s.end(append(append(out, value...), '}'))
		}
	})
	return out
}

// argument adds a piece of a call's arguments.
func (s *stream) argument(b *block, index int, piece []byte) []byte {
	if len(piece) == 0 {
		return nil
	}
	s.grew = true
	b.arguments = append(b.arguments, piece...)
	switch {
	case s.number[index] >= 0:
		out := append(append(s.callDelta(s.number[index]), `"function":{"arguments":"`...), piece...)
		return s.end(append(out, `"}}]`...))
	case s.answer.schemaCall(b):
		return s.end(append(append(s.content(), piece...), '"'))
	}
	return nil
}

// thought adds a piece of thinking, of its signature, or of what is hidden of it.
func (s *stream) thought(b *block, what string, text []byte, index int) []byte {
	s.grew = true
	out := comma(s.start())
	switch what {
	case "text":
		b.kind, b.text = thinkingBlock, append(b.text, text...)
		out = append(append(append(out, `"reasoning_content":"`...), text...), `",`...)
		out = append(append(append(out, `"thinking_blocks":[{"type":"thinking","thinking":"`...), text...), '"')
	case "signature":
		b.kind, b.signature = thinkingBlock, append(b.signature, text...)
		out = append(append(append(out, `"thinking_blocks":[{"type":"thinking","thinking":"","signature":"`...), text...), '"')
	case "redactedContent":
		b.kind, b.hidden = hiddenBlock, append(b.hidden, text...)
		out = append(append(append(out, `"thinking_blocks":[{"type":"redacted_thinking","data":"`...), text...), '"')
	default:
		return nil
	}
	out = strconv.AppendInt(append(out, `,"index":`...), int64(index), 10)
	return s.end(append(out, `}]`...))
}

// close ends a block. A call without input has an empty object for one.
func (s *stream) close(index int) []byte {
	b := s.block(index)
	if b == nil || b.kind != callBlock || len(b.arguments) > 0 {
		return nil
	}
	if s.number[index] < 0 {
		return s.end(append(b.appendArguments(s.content()), '"'))
	}
	out := b.appendArguments(append(s.callDelta(s.number[index]), `"function":{"arguments":"`...))
	return s.end(append(out, `"}}]`...))
}

// reason is the chunk with the reason of the end.
func (s *stream) reason() []byte {
	out := s.start()
	if s.answer.native() {
		out = append(append(comma(out), `"provider_specific_fields":{"stop_reason":`...), s.answer.reason...)
		out = append(out, '}')
	}
	out = s.answer.appendReason(append(out, `},"finish_reason":`...))
	s.buf = append(out, `}]}`...)
	return s.buf
}

// start begins a chunk; end ends it.
func (s *stream) start() []byte {
	out := append(append(s.buf[:0], s.head...), `{"index":0,"delta":{`...)
	if !s.role {
		s.role = true
		out = append(out, `"role":"assistant"`...)
	}
	return out
}

func (s *stream) end(out []byte) []byte {
	s.buf = append(out, `},"finish_reason":null}]}`...)
	return s.buf
}

func (s *stream) content() []byte { return append(comma(s.start()), `"content":"`...) }

// callDelta begins a chunk with a piece of a call.
func (s *stream) callDelta(number int) []byte {
	out := append(comma(s.start()), `"tool_calls":[{"index":`...)
	return append(strconv.AppendInt(out, int64(number), 10), ',')
}

// Grew reports whether the last event brought some of the answer.
func (s *stream) Grew() bool { return s.grew }

// Answer is all that came.
func (s *stream) Answer() protocol.Answer {
	a := &s.answer
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
