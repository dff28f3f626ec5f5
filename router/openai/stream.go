package openai

import (
	"bytes"
	"encoding/json"
	"io"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// stream is an answer that comes as events.
type stream struct {
	protocol  *Protocol
	call      *protocol.Call
	reply     protocol.Reply
	events    *protocol.SSE
	merged    *Merger
	hideUsage bool   // the caller did not ask for it
	fault     []byte // the error that ended it, as the server sent it
	ended     bool   // by its own mark
}

// Stream reads events as servers really send them.
func (p *Protocol) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	events := protocol.NewSSE(body, limit)
	if !reply.OK() && !bytes.HasPrefix([]byte(reply.Header.Get("Content-Type")), []byte("text/event-stream")) || !events.Is() {
		return nil, events.Rest()
	}
	return &stream{
		protocol: p, call: c, reply: reply, events: events, merged: NewMerger(c.Endpoint, limit), hideUsage: c.Note == usageAdded,
	}, nil
}

// Next reads to the next event that is a chunk, or the end.
func (s *stream) Next() ([]byte, error) {
	for {
		switch {
		case s.merged.TooLarge():
			return nil, protocol.ErrTooLarge
		case s.fault != nil:
			return nil, protocol.ErrFailed
		case s.ended:
			return nil, io.EOF
		}
		e, err := s.events.Next()
		if err != nil {
			return nil, err
		}
		switch data := bytes.TrimSpace(e.Data); {
		case string(data) == protocol.EndMark:
			s.ended = true
		case len(data) > 0 && s.merge(data, e.Failed()):
			if s.hideUsage && usageAlone(data) {
				return nil, nil
			}
			return data, nil
		}
	}
}

// merge takes an event in. It reports false for one that is an error.
func (s *stream) merge(data []byte, failed bool) bool {
	if failed || mayFail(data) {
		body := parseBody(data)
		if _, is := body.fault(); is || failed {
			s.fault = bytes.Clone(data)
			_ = s.merged.Add(data)
			return false
		}
	}
	if !s.merged.Add(data) {
		s.fault = bytes.Clone(data) // no JSON object
		return false
	}
	s.ended = s.merged.response.whole != nil // the Responses API has no other mark of its end
	return true
}

// Grew reports whether the last event brought some of the answer.
func (s *stream) Grew() bool { return s.merged.Grew() }

// Answer is what the merged answer means.
func (s *stream) Answer() protocol.Answer {
	reply := s.reply
	if reply.Body = s.merged.Body(); s.fault != nil {
		reply.Body = withFault(reply.Body, s.fault)
	}
	a := s.protocol.Decode(s.call, reply)
	a.Cut = s.merged.Unfinished()
	return a
}

// askForUsage returns the body of a streamed request with the wish for a count
// of tokens in it, and whether that had to be added.
func askForUsage(body json.RawMessage, endpoint schema.Endpoint) (json.RawMessage, bool) {
	if endpoint == schema.Responses { // it always counts
		return body, false
	}
	var options []byte
	_, _ = rawjson.Object(body, func(key, value []byte) {
		if string(rawjson.Key(key)) == "stream_options" {
			options = value
		}
	})
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
		return body, false // the server will say what is wrong with it
	}
	asking, err := schema.SetField(body, "stream_options", wish)
	if err != nil {
		return body, false
	}
	return asking, true
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
			counts = protocol.Present(value)
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
	if !protocol.Present(inner) {
		inner = fault
		if !json.Valid(fault) {
			inner = rawjson.AppendString(nil, fault)
		}
	}
	with, err := schema.SetField(merged, "error", inner)
	if err != nil {
		return fault
	}
	return with
}
