package protocol

import (
	"bytes"
	"encoding/json"
	"io"
)

// SSE reads server-sent events as servers really send them: lines that end in
// CR, LF or both, a byte order mark, comments between, a last event without its
// empty line, an event per line without any, one event over several lines. The
// bytes may arrive cut anywhere. One goroutine uses it.
type SSE struct {
	from  io.Reader
	limit int // bytes of one event

	buf        []byte // read and not yet taken: buf[start:]
	start      int
	swallow    bool  // a line ended in CR: an LF that follows belongs to it
	err        error // of the last read, io.EOF included
	name       []byte
	data, next []byte
	carry      bool // next holds the first line of the next event
}

// NewSSE reads events from body, each of at most limit bytes; 0: of [MaxEvent].
func NewSSE(body io.Reader, limit int64) *SSE {
	if limit <= 0 || limit > MaxEvent {
		limit = MaxEvent
	}
	return &SSE{from: body, limit: int(limit)}
}

// MaxEvent bounds one event of a stream, in bytes.
const MaxEvent = 16 << 20

// Event is one server-sent event. Both fields are good until the next one is read.
type Event struct {
	Name []byte // of the "event" field; empty: none
	Data []byte // white space around it is kept
}

// Failed reports whether the event is called an error.
func (e Event) Failed() bool { return string(e.Name) == "error" }

// more reads on. It reports false when nothing more comes.
func (s *SSE) more() bool {
	if s.err != nil {
		return false
	}
	if s.start > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[s.start:])]
		s.start = 0
	}
	if len(s.buf) == cap(s.buf) {
		if len(s.buf) > s.limit {
			s.err = ErrTooLarge
			return false
		}
		grown := make([]byte, len(s.buf), max(4<<10, 2*cap(s.buf)))
		copy(grown, s.buf)
		s.buf = grown
	}
	for range 100 { // a reader may return nothing, though not for ever
		n, err := s.from.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf, s.err = s.buf[:len(s.buf)+n], err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	s.err = io.ErrNoProgress
	return false
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Is reports whether what comes looks like events, and not like a document. It
// goes past a byte order mark and the empty lines before.
func (s *SSE) Is() bool {
	for bytes.HasPrefix(byteOrderMark, s.buf[s.start:]) && len(s.buf)-s.start < len(byteOrderMark) && s.more() {
	}
	if bytes.HasPrefix(s.buf[s.start:], byteOrderMark) {
		s.start += len(byteOrderMark)
	}
	for {
		rest := bytes.TrimLeft(s.buf[s.start:], " \t\r\n")
		s.start = len(s.buf) - len(rest)
		could := len(rest) == 0
		for _, field := range [...]string{":", "data:", "event:", "id:", "retry:", "error:"} {
			if bytes.HasPrefix(rest, []byte(field)) {
				return true
			}
			could = could || bytes.HasPrefix([]byte(field), rest)
		}
		if !could || !s.more() {
			return false
		}
	}
}

// Rest is everything that was not taken yet, as a reader.
func (s *SSE) Rest() io.Reader {
	if s.err != nil && s.err != io.EOF {
		return io.MultiReader(bytes.NewReader(s.buf[s.start:]), failing{s.err})
	}
	return io.MultiReader(bytes.NewReader(s.buf[s.start:]), s.from)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// line returns the next line without its end, the last one also where it has
// none. It is good until the next call.
func (s *SSE) line() ([]byte, bool) {
	looked := 0
	for {
		rest := s.buf[s.start:]
		if s.swallow && len(rest) > 0 {
			s.swallow = false
			if rest[0] == '\n' {
				s.start++
				rest = rest[1:]
			}
		}
		if i := lineEnd(rest[looked:]); i >= 0 {
			i += looked
			s.start += i + 1
			s.swallow = rest[i] == '\r'
			return rest[:i], true
		}
		looked = len(rest)
		if s.more() {
			continue
		}
		// What was cut off by an error is no line; at the proper end it is one.
		if s.err == io.EOF && looked > 0 {
			rest = s.buf[s.start:] // it may have moved
			s.start = len(s.buf)
			return rest, true
		}
		return nil, false
	}
}

// lineEnd returns the place of the first CR or LF.
func lineEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return bytes.IndexByte(b, '\r')
	}
	if cr := bytes.IndexByte(b[:i], '\r'); cr >= 0 {
		return cr
	}
	return i
}

// Next returns the next event that has data. The error is [io.EOF] at the end,
// and [ErrTooLarge] for an event beyond the limit.
func (s *SSE) Next() (Event, error) {
	has := s.carry
	s.name, s.data = s.name[:0], s.data[:0]
	if s.carry {
		s.data, s.next, s.carry = s.next, s.data, false
	}
	for {
		line, ok := s.line()
		if !ok {
			if e := (Event{Name: s.name, Data: s.data}); has && (e.Failed() || complete(s.data)) { // else it was cut off
				return e, nil
			}
			return Event{}, s.err
		}
		if len(line) == 0 {
			if has {
				return Event{Name: s.name, Data: s.data}, nil
			}
			s.name = s.name[:0]
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			switch {
			case has && complete(s.data): // its empty line is missing
				s.next, s.carry = append(s.next[:0], value...), true
				return Event{Name: s.name, Data: s.data}, nil
			case has:
				s.data = append(s.data, '\n')
			}
			s.data, has = append(s.data, value...), true
		case "event":
			s.name = append(s.name[:0], value...)
		case "error": // llama.cpp
			s.data, has = append(s.data[:0], value...), true
			s.name = append(s.name[:0], field...)
		}
		if len(s.data) > s.limit {
			s.err = ErrTooLarge
			return Event{}, s.err
		}
	}
}

// EndMark is the data of the event with which OpenAI's streams end.
const EndMark = "[DONE]"

// complete reports whether data is an event by itself.
func complete(data []byte) bool {
	data = bytes.TrimSpace(data)
	return string(data) == EndMark || json.Valid(data)
}

// LooksLikeSSE reports whether a whole answer begins as server-sent events do.
func LooksLikeSSE(body []byte) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \r\n")
	for _, field := range []string{"data:", "event:", "id:", "retry:", ": ", ":\n"} {
		if bytes.HasPrefix(body, []byte(field)) {
			return true
		}
	}
	return false
}
