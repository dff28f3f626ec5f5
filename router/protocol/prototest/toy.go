// Package prototest holds a protocol that no server speaks but its own: another
// URL, other JSON, and streams in binary frames. The router's tests run it beside
// OpenAI's, so that what the router takes for granted shows.
package prototest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// New makes the toy protocol. Its one setting is dialect, sent as it is.
func New(u protocol.Upstream) (protocol.Protocol, error) {
	if _, err := url.Parse(u.BaseURL); err != nil {
		return nil, err
	}
	return &toy{Upstream: u}, nil
}

type toy struct{ protocol.Upstream }

// ask is a request, answer what comes back, and trouble an error, whole or as the
// last frame of a stream.
type (
	ask struct {
		Dialect string      `json:"dialect,omitempty"`
		Say     [][2]string `json:"say"`
	}
	answer struct {
		Said    string   `json:"said"`
		Cost    []int64  `json:"cost"`
		Trouble *trouble `json:"trouble"`
	}
	trouble struct {
		What  string  `json:"what"`
		Words string  `json:"words"`
		Wait  float64 `json:"wait"`
	}
)

func (t *toy) Serves(e schema.Endpoint) (ok, streams bool) {
	return e == schema.ChatCompletions || e == protocol.ListModels, e == schema.ChatCompletions
}

func (t *toy) Encode(ctx context.Context, c *protocol.Call) (err error) {
	if c.Endpoint == protocol.ListModels {
		c.Req, err = http.NewRequestWithContext(ctx, http.MethodGet, t.BaseURL+"/names", nil)
		return err
	}
	var body struct {
		Messages    []struct{ Role, Content string }
		Temperature json.RawMessage
	}
	if err := json.Unmarshal(c.Body, &body); err != nil {
		return &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Message: err.Error()}
	}
	if body.Temperature != nil && !t.DropParams {
		return protocol.Unsupported("toys", "temperature", "")
	}
	asked := ask{Dialect: t.Settings["dialect"]}
	for _, m := range body.Messages {
		asked.Say = append(asked.Say, [2]string{m.Role, m.Content})
	}
	raw, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	way := "/whole"
	if c.Streamed {
		way = "/frames"
	}
	if c.Req, err = http.NewRequestWithContext(ctx, http.MethodPut, t.BaseURL+"/speak/"+url.PathEscape(c.Model)+way, nil); err != nil {
		return err
	}
	c.Req.Header = t.FixedHeader()
	c.Req.Header.Set("X-Toy-Key", t.Key)
	c.SetBody(raw)
	return nil
}

func (t *toy) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	if c.Endpoint == protocol.ListModels && reply.OK() {
		return protocol.Answer{Body: reply.Body, JSON: json.Valid(reply.Body)}
	}
	var from answer
	if err := json.Unmarshal(reply.Body, &from); err != nil {
		f, valid := protocol.ReadFault(reply.Body)
		return protocol.Answer{Body: reply.Body, JSON: valid, Failed: true, Fault: f}
	}
	return t.means(c, reply, from)
}

// means puts an answer into OpenAI's form.
func (t *toy) means(c *protocol.Call, reply protocol.Reply, from answer) protocol.Answer {
	a := protocol.Answer{JSON: true, Body: reply.Body}
	if len(from.Cost) == 2 {
		a.Usage = protocol.Usage{Known: true, Input: from.Cost[0], Output: from.Cost[1], Total: from.Cost[0] + from.Cost[1]}
	}
	if from.Trouble != nil || !reply.OK() {
		told := cmp.Or(from.Trouble, &trouble{})
		a.Failed, a.Fault = true, protocol.Fault{Code: told.What, Message: told.Words, After: time.Duration(told.Wait * float64(time.Second))}
		switch told.What {
		case "out of breath":
			a.Fault.Class = schema.ClassRateLimited
		case "broken":
			a.Fault.Class, a.Fault.Scope = schema.ClassUpstreamFatal, protocol.WholeAccount
		}
	}
	if !a.Failed && from.Said == "" {
		a.Lacks = "the toy said nothing"
	}
	if from.Said != "" {
		a.Body = chat("chat.completion", "message", c.Model, from.Said, "stop", a.Usage)
	}
	return a
}

// chat is a completion, or a chunk of one, in OpenAI's form.
func chat(object, part, model, text, finish string, u protocol.Usage) []byte {
	choice := map[string]any{"index": 0, part: map[string]any{"role": "assistant", "content": text}}
	if finish != "" {
		choice["finish_reason"] = finish
	}
	made := map[string]any{"id": "toy", "object": object, "created": 0, "model": model, "choices": []any{choice}}
	if u.Known {
		made["usage"] = map[string]any{"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Total}
	}
	raw, _ := json.Marshal(made)
	return raw
}

func (t *toy) Models(body []byte) []string {
	var list struct{ Names []string }
	_ = json.Unmarshal(body, &list)
	return list.Names
}

// Frame is a piece of a stream: a kind, a length of four bytes, and that much of
// data. The kinds are 't' for text, 'p' for a ping, and '.' for the end, whose
// data is an answer without its text, or with what went wrong.
func Frame(kind byte, data string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...)
}

func (t *toy) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	if reply.Header.Get("Content-Type") != "application/toy" {
		return nil, body
	}
	return &frames{toy: t, call: c, reply: reply, body: body, limit: limit}, nil
}

// frames is a stream on its way.
type frames struct {
	toy   *toy
	call  *protocol.Call
	reply protocol.Reply
	body  io.Reader
	limit int64
	said  bytes.Buffer
	grew  bool
	end   *answer // nil: it did not come
}

func (f *frames) Next() ([]byte, error) {
	f.grew = false
	var head [5]byte
	if _, err := io.ReadFull(f.body, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF // as for a stream that ends between frames: Answer says that it is cut
		}
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size+int64(f.said.Len()) > f.limit {
		return nil, protocol.ErrTooLarge
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f.body, data); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return nil, err
	}
	switch head[0] {
	case 'p':
		return nil, nil
	case 't':
		f.grew = true
		f.said.Write(data)
		return chat("chat.completion.chunk", "delta", f.call.Model, string(data), "", protocol.Usage{}), nil
	case '.':
		f.end = &answer{}
		if err := json.Unmarshal(data, f.end); err != nil {
			return nil, err
		}
		if f.end.Trouble != nil {
			return nil, protocol.ErrFailed
		}
		return nil, io.EOF
	}
	return nil, fmt.Errorf("a frame of the kind %q", head[0])
}

func (f *frames) Grew() bool { return f.grew }

func (f *frames) Answer() protocol.Answer {
	whole := cmp.Or(f.end, &answer{})
	whole.Said = f.said.String()
	a := f.toy.means(f.call, f.reply, *whole)
	if f.end == nil {
		a.Cut = "the stream ended before the toy did"
	}
	return a
}
