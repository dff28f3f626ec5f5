package gemini

import (
	"bytes"
	"io"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// stream is a streamed answer: server-sent events, each a response with a piece
// of the answer in it. No mark ends it, only the finishReason of each candidate.
type stream struct {
	events *protocol.SSE
	reply  protocol.Reply
	limit  int64
	model  string
	tier   string

	event   answer // the last event, which is good until the next
	total   answer // what came so far
	size    int64  // about what that holds
	created int64
	chunk   []byte
	grew    bool
	role    []bool // by choice: the role was told

	finishing bool // choices of the last event have ended, and that was not told
	counted   bool // the usage was told, or is not asked for
	ended     bool
	fault     *protocol.Fault
	raw       []byte // the event that was the fault
}

const choiceSize = 512 // about what a choice takes

func (s *stream) Grew() bool { return s.grew }

func (s *stream) Next() ([]byte, error) {
	s.grew = false
	switch {
	case s.fault != nil:
		return nil, protocol.ErrFailed
	case s.finishing:
		s.finishing = false
		return s.finishChunk(), nil
	case s.ended:
		return nil, io.EOF
	}
	e, err := s.events.Next()
	if err == io.EOF {
		s.ended = true
		return s.end()
	}
	if err != nil {
		return nil, err
	}
	data := bytes.TrimSpace(e.Data)
	if len(data) == 0 || string(data) == protocol.EndMark {
		return nil, nil
	}
	choices := s.event.choices[:0]
	s.event = answer{choices: choices, body: s.total.body}
	if object, _ := rawjson.Object(data, s.event.take); !object || s.event.fault != nil || e.Failed() {
		s.fail(data)
		return nil, protocol.ErrFailed
	}
	if s.take(); s.size > s.limit {
		return nil, protocol.ErrTooLarge
	}
	if f := s.event.failure(); f != nil && (f.class == schema.ClassTransient || !s.total.said()) {
		s.fault = f.asFault()
		return nil, protocol.ErrFailed
	}
	return s.contentChunk(), nil
}

// said reports whether there is anything of an answer in any choice.
func (a *answer) said() bool {
	for i := range a.choices {
		if a.choices[i].said() {
			return true
		}
	}
	return false
}

func (f *failure) asFault() *protocol.Fault {
	fault := &protocol.Fault{Class: f.class, Code: f.code, Message: f.message}
	fault.Name(f.code)
	return fault
}

// fail notes the error that came in the place of a piece.
func (s *stream) fail(data []byte) {
	f, valid := faultOf(s.reply.Status, data, s.reply.At)
	if !valid {
		f = protocol.Fault{Class: schema.ClassTransient, Code: "invalid_event", Message: "an event of the stream is no JSON: " + f.Message}
	}
	s.fault, s.raw = &f, bytes.Clone(data)
}

// end is the usage, as a chunk of its own behind all others, where it is asked for.
func (s *stream) end() ([]byte, error) {
	if !s.total.usage.known || s.counted {
		return nil, io.EOF
	}
	s.counted = true
	s.chunk = append(s.total.head(s.chunk[:0], "chat.completion.chunk", s.created), `],"usage":`...)
	s.chunk = append(s.total.usage.append(s.chunk), '}')
	return s.chunk, nil
}

// take adds the event to what came.
func (s *stream) take() {
	if s.total.id == nil {
		s.event.named(s.model)
		s.total.id, s.total.model = bytes.Clone(s.event.id), bytes.Clone(s.event.model)
		s.created = s.reply.At.Unix()
	}
	if s.event.usage.known {
		s.total.usage = s.event.usage
	}
	s.total.blockReason = append(s.total.blockReason, s.event.blockReason...)
	for i := range s.event.choices {
		piece := &s.event.choices[i]
		at := s.total.choiceAt(piece.index)
		if at < 0 {
			s.size = s.limit + 1
			return
		}
		before := s.total.choices[at].size()
		s.total.choices[at].add(piece)
		s.size += s.total.choices[at].size() - before
		s.finishing = s.finishing || len(piece.finish) > 0
		s.grew = s.grew || piece.said() || len(piece.thought) > 0
	}
}

// mostChoices bounds the candidates of one answer; Gemini gives up to 8.
const mostChoices = 128

// choiceAt finds the choice of an index, made where there is none; negative
// beyond the bound.
func (a *answer) choiceAt(index int) int {
	for i := range a.choices {
		if a.choices[i].index == index {
			return i
		}
	}
	if len(a.choices) == mostChoices {
		return -1
	}
	a.choices = append(a.choices, choice{index: index})
	return len(a.choices) - 1
}

// add appends a piece. Nothing of the piece's memory is kept.
func (c *choice) add(piece *choice) {
	if len(piece.text) > 0 || piece.hasText {
		c.text, c.hasText = append(c.text, piece.text...), true
	}
	if piece.thought != nil {
		c.thought = append(c.thought, piece.thought...)
	}
	for _, call := range piece.calls {
		c.calls = append(c.calls, functionCall{
			bytes.Clone(call.id), bytes.Clone(call.name), bytes.Clone(call.args), bytes.Clone(call.signature),
		})
	}
	c.signatures = addAll(c.signatures, piece.signatures)
	c.images = addAll(c.images, piece.images)
	c.others = addAll(c.others, piece.others)
	if piece.logprobs != nil {
		if c.logprobs != nil {
			c.logprobs = append(c.logprobs, ',')
		}
		c.logprobs = append(c.logprobs, piece.logprobs...)
	}
	keep := func(to *[]byte, from []byte) {
		if len(from) > 0 {
			*to = append((*to)[:0], from...)
		}
	}
	keep(&c.thoughtSignature, piece.thoughtSignature)
	keep(&c.finish, piece.finish)
	keep(&c.finishMessage, piece.finishMessage)
	for i := range metadata {
		keep(&c.metadata[i], piece.metadata[i])
	}
}

func addAll(to, from [][]byte) [][]byte {
	for _, one := range from {
		to = append(to, bytes.Clone(one))
	}
	return to
}

// size is about what a choice holds, in bytes.
func (c *choice) size() int64 {
	n := choiceSize + len(c.text) + len(c.thought) + len(c.logprobs)
	for _, raw := range c.metadata {
		n += len(raw)
	}
	for i := range c.calls {
		n += choiceSize/4 + len(c.calls[i].args) + len(c.calls[i].name)
	}
	for _, all := range [...][][]byte{c.signatures, c.images, c.others} {
		for _, one := range all {
			n += choiceSize/16 + len(one)
		}
	}
	return int64(n)
}

// contentChunk writes what the event brought; nil: nothing that readers are to
// see.
func (s *stream) contentChunk() []byte {
	any := false
	out := s.total.head(s.chunk[:0], "chat.completion.chunk", s.created)
	for i := range s.event.choices {
		piece := &s.event.choices[i]
		at := s.total.choiceAt(piece.index)
		if !piece.said() && piece.thought == nil && len(piece.signatures) == 0 && piece.logprobs == nil {
			continue
		}
		any = true
		out = strconv.AppendInt(append(translate.Comma(out), `{"index":`...), int64(piece.index), 10)
		out = append(out, `,"delta":{`...)
		for len(s.role) <= at {
			s.role = append(s.role, false)
		}
		if !s.role[at] {
			s.role[at] = true
			out = append(out, `"role":"assistant"`...)
		}
		if piece.hasText && len(piece.text) > 0 {
			out = append(append(append(translate.AppendKey(out, "content"), '"'), piece.text...), '"')
		}
		out = append(s.appendDelta(out, piece, at), '}')
		if piece.logprobs != nil {
			out = append(append(append(out, `,"logprobs":{"content":[`...), piece.logprobs...), "]}"...)
		}
		out = append(out, `,"finish_reason":null}`...)
	}
	out = append(out, ']')
	s.chunk = append(s.event.appendMetadata(out), '}')
	if !any {
		return nil
	}
	return s.chunk
}

// appendDelta writes a piece's calls under the indexes that they have in the
// whole answer, and the rest of it as it is.
func (s *stream) appendDelta(out []byte, piece *choice, at int) []byte {
	if len(piece.calls) == 0 {
		return s.event.appendMessage(out, piece, false)
	}
	made := s.total.choices[at].calls
	out = append(translate.AppendKey(out, "tool_calls"), '[')
	for i := len(made) - len(piece.calls); i < len(made); i++ {
		out = strconv.AppendInt(append(translate.Comma(out), `{"index":`...), int64(i), 10)
		out = s.event.appendCall(out, &made[i])
	}
	out = append(out, ']')
	rest := *piece
	rest.calls = nil
	return s.event.appendMessage(out, &rest, false)
}

// finishChunk says how the choices of the last event ended.
func (s *stream) finishChunk() []byte {
	out := s.total.head(s.chunk[:0], "chat.completion.chunk", s.created)
	for i := range s.event.choices {
		if len(s.event.choices[i].finish) == 0 {
			continue
		}
		whole := s.total.choices[s.total.choiceAt(s.event.choices[i].index)]
		out = strconv.AppendInt(append(translate.Comma(out), `{"index":`...), int64(whole.index), 10)
		whole.logprobs = nil
		out = whole.appendEnd(append(out, `,"delta":{}`...))
	}
	s.chunk = append(out, "]}"...)
	return s.chunk
}

// Answer is what came, as one answer.
func (s *stream) Answer() protocol.Answer {
	a := protocol.Answer{Usage: s.total.usage.counted(), JSON: true}
	if s.fault != nil {
		a.Failed, a.Fault = true, *s.fault
	}
	switch {
	case len(s.total.choices) > 0:
		a.Body = s.total.render(make([]byte, 0, s.size+512), s.created, s.tier)
		if s.raw != nil {
			a.Body = withError(a.Body, s.raw)
		}
	case s.raw != nil:
		a.Body, a.JSON = s.raw, rawjson.Valid(s.raw)
	default:
		a.JSON = false
	}
	switch {
	case s.fault != nil:
	case len(s.total.choices) == 0:
		a.Lacks = s.total.lacks()
	default:
		a.Cut = s.total.lacks()
	}
	return a
}

// withError puts the error that ended a stream where an error stands in an
// answer.
func withError(body, event []byte) []byte {
	var inside []byte
	_, _ = rawjson.Object(event, func(key, value []byte) {
		if string(key) == "error" {
			inside = value
		}
	})
	if inside == nil {
		inside = rawjson.AppendString(nil, event)
	}
	return append(append(append(body[:len(body)-1], `,"error":`...), inside...), '}')
}
