package anthropic

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"pelton/internal/rawjson"
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
	answer     answer
	at         []int // the block of each index of Anthropic's
	calls      int   // of the reader's tools so far
	number     []int // of each block that is such a call
	size       int64 // of what is held
	limit      int64
	buf        []byte
	head       []byte
	fault      []byte // the error that ended it
	role       bool   // it was told who speaks
	grew       bool
	usageChunk bool // it was given
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
	s := &stream{from: from, reply: reply, limit: limit, answer: answer{note: n, created: unix(reply.At)}}
	s.head = s.answer.head(nil, "chat.completion.chunk") // of a stream that begins without its beginning
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
	s.grew = false
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
	if s.size > s.limit {
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
	s.buf = append(append(s.buf[:0], s.head...), `],"usage":`...)
	s.buf = append(s.answer.usage.append(s.buf), '}')
	return s.buf, nil
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
		return s.open(e.index, e.block), nil
	case `"content_block_delta"`:
		if b, number := s.block(e.index); b != nil {
			return s.delta(b, number, e.index, e.delta), nil
		}
	case `"content_block_stop"`:
		return s.close(e.index), nil
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
	a := &s.answer
	a.hasMessage = true
	_, _ = rawjson.Object(message, func(key, value []byte) {
		switch string(key) {
		case "id":
			a.id = bytes.Clone(value)
		case "model":
			a.model = bytes.Clone(value)
		case "usage":
			a.usage.take(value)
		}
	})
	s.head = a.head(s.head[:0], "chat.completion.chunk")
}

// block finds the block of Anthropic's index, and its number among the calls.
func (s *stream) block(index []byte) (*block, int) {
	i := int(count(index))
	if i >= len(s.at) || s.at[i] < 0 {
		return nil, 0
	}
	return &s.answer.blocks[s.at[i]], s.number[i]
}

// mostBlocks bounds the blocks of one answer; blockSize is what one takes besides
// its text.
const (
	mostBlocks = 4096
	blockSize  = 256
)

// open begins a block.
func (s *stream) open(index, raw []byte) []byte {
	i := int(count(index))
	if i >= mostBlocks {
		return nil
	}
	for len(s.at) <= i {
		s.at, s.number = append(s.at, -1), append(s.number, -1)
	}
	b := blockOf(bytes.Clone(raw))
	s.size += int64(len(raw)) + blockSize
	begun := b.text
	b.text, b.signature = nil, bytes.Clone(b.signature)
	s.at[i] = len(s.answer.blocks)
	s.answer.blocks = append(s.answer.blocks, b)
	at := &s.answer.blocks[s.at[i]]
	switch {
	case b.kind == callBlock && !s.answer.schemaCall(at):
		s.number[i] = s.calls
		s.calls++
		s.grew = true
		out := s.answer.appendCallHead(s.callDelta(s.number[i]), at)
		return s.end(append(out, `,"arguments":""}}]`...))
	case b.kind == hiddenBlock:
		s.grew = true
		out := append(comma(s.start()), `"thinking_blocks":[`...)
		return s.end(append(withIndex(out, b.raw, index), ']'))
	case len(begun) > 0:
		return s.grow(at, "text", begun, index)
	}
	return nil
}

// withIndex appends an object with its index in it, by which pieces are joined.
func withIndex(out, raw, index []byte) []byte {
	out = append(comma(appendOpen(out, raw)), `"index":`...)
	return append(strconv.AppendInt(out, count(index), 10), '}')
}

// delta adds a piece to a block.
func (s *stream) delta(b *block, number int, index, raw []byte) []byte {
	var out []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch name := string(key); name {
		case "text", "thinking", "signature":
			if text := inner(value); len(text) > 0 {
				out = s.grow(b, name, text, index)
			}
		case "partial_json":
			piece := inner(value)
			if len(piece) == 0 {
				return
			}
			s.grew = true
			s.size += int64(len(piece))
			b.arguments = append(b.arguments, piece...)
			switch {
			case number >= 0:
				out = append(append(s.callDelta(number), `"function":{"arguments":"`...), piece...)
				out = s.end(append(out, `"}}]`...))
			case s.answer.schemaCall(b):
				out = append(append(s.content(), piece...), '"')
				out = s.end(out)
			}
		case "citation":
			if !rawjson.IsObject(value) {
				return
			}
			s.size += int64(len(value))
			b.citations = append(b.citations, bytes.Clone(value))
			out = append(comma(s.start()), `"provider_specific_fields":{"citation":`...)
			out = s.end(append(append(out, value...), '}'))
		}
	})
	return out
}

// grow adds a piece of text, of thinking or of its signature.
func (s *stream) grow(b *block, what string, text, index []byte) []byte {
	s.grew = true
	s.size += int64(len(text))
	switch {
	case what == "signature":
		b.signature = append(b.signature, text...)
		return s.thought(nil, text, index)
	case b.kind == thinkingBlock:
		b.text = append(b.text, text...)
		return s.thought(text, nil, index)
	case b.kind == textBlock:
		b.text = append(b.text, text...)
		return s.end(append(append(s.content(), text...), '"'))
	}
	return nil
}

// thought is a chunk with a piece of thinking, or its signature.
func (s *stream) thought(text, signature, index []byte) []byte {
	out := comma(s.start())
	if text != nil {
		out = append(append(append(out, `"reasoning_content":"`...), text...), `",`...)
	}
	out = append(append(append(out, `"thinking_blocks":[{"type":"thinking","thinking":"`...), text...), '"')
	if signature != nil {
		out = append(append(append(out, `,"signature":"`...), signature...), '"')
	}
	out = strconv.AppendInt(append(out, `,"index":`...), count(index), 10)
	return s.end(append(out, `}]`...))
}

// close ends a block. A call without input has an empty object for one.
func (s *stream) close(index []byte) []byte {
	b, number := s.block(index)
	if b == nil || b.kind != callBlock || len(b.arguments) > 0 {
		return nil
	}
	if number < 0 {
		return s.end(append(b.appendArguments(s.content()), '"'))
	}
	out := b.appendArguments(append(s.callDelta(number), `"function":{"arguments":"`...))
	return s.end(append(out, `"}}]`...))
}

// reason is the chunk with the reason of the end.
func (s *stream) reason() []byte {
	out := s.start()
	if own := s.answer.appendEnd(); own != nil {
		out = append(append(comma(out), `"provider_specific_fields":`...), own...)
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
