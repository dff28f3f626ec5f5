package router

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"pelton/internal/rawjson"
	"pelton/router/internal/ending"
	"pelton/router/internal/http1"
	"pelton/router/internal/scrub"
	"pelton/router/protocol"
	"pelton/schema"
)

// call is one call: what the protocol was asked, and what came. One goroutine
// uses it, for one call, and the transport while that lasts.
type call struct {
	protocol.Call
	header http.Header // added where the request has no such header
	stream *stream     // nil: the answer comes whole
	fresh  bool        // on a connection that had no call before

	limit   http1.TimeLimit // of it
	up      ending.TimeUp   // why that ends
	learned bool            // nobody has said how long it may take
	watch   *ending.Watch   // nil: that is known

	sent     bool // a call was made
	reply    protocol.Reply
	answer   protocol.Answer // what the reply means, unless err or tooLarge
	tooLarge bool            // the answer went over the bound; nothing of it is kept
	err      error           // why there is no answer, or not all of it
}

// do makes the call at d and fills c in. The error says why nothing was sent;
// what happened on the wire is in c.
//
// The transport is called directly, and so no redirect is followed: neither key
// nor prompt goes to an address that nobody configured. Nor does anything here
// try twice: where a kept connection was closed before its call, the error says so.
func (c *call) do(ctx context.Context, d *deployment) error {
	if err := d.protocol.Encode(ctx, &c.Call); err != nil {
		return err
	}
	for name, values := range c.header {
		if _, set := c.Req.Header[name]; !set {
			c.OwnHeader()[name] = values
		}
	}
	c.sent = true
	resp, err := d.roundTrip(c.Req, c.fresh)
	if err != nil {
		c.err = err
		return nil
	}
	body := resp.Body
	c.reply = protocol.Reply{Status: resp.StatusCode, Header: resp.Header}
	if c.stream == nil || !c.stream.read(c, d, resp) {
		c.read(resp, d.limit)
		if c.reply.At = time.Now(); c.err == nil && !c.tooLarge && !c.readEvents(d) {
			c.answer = d.protocol.Decode(&c.Call, c.reply)
		}
	}
	_ = body.Close()
	return nil
}

// ended is what came of the call to d, which is over, for classify.
func (c *call) ended(ctx context.Context, d *deployment) reply {
	a := reply{Reply: c.reply, answer: c.answer, host: cmp.Or(d.host, c.Req.URL.Host), tooLarge: c.tooLarge, err: c.err}
	if a.At = time.Now(); c.err != nil {
		a.ended = context.Cause(ctx)
	}
	return a
}

// scrub returns s with what proves in this call alone who asks: a signature, or a
// token that another has followed since.
func (c *call) scrub(s scrub.Texts) scrub.Texts {
	if c.Req == nil {
		return s
	}
	auth := c.Req.Header.Get("Authorization")
	if _, signature, ok := strings.Cut(auth, "Signature="); ok {
		return append(scrub.New(signature), s...)
	}
	_, token, _ := strings.Cut(auth, " ")
	return append(scrub.New(token), s...)
}

// readEvents reads an answer that is a stream though none was asked for, as the answer
// that it makes. It reports false for any other.
func (c *call) readEvents(d *deployment) bool {
	if c.stream != nil || !c.reply.OK() || !protocol.LooksLikeSSE(c.reply.Body) {
		return false
	}
	reply := c.reply
	reply.Body = nil
	from, _ := d.protocol.Stream(&c.Call, reply, bytes.NewReader(c.reply.Body), d.limit)
	if from == nil {
		return false
	}
	for {
		switch _, err := from.Next(); {
		case err == nil:
			continue
		case errors.Is(err, protocol.ErrTooLarge):
			c.tooLarge = true
			return true
		}
		c.answer = from.Answer()
		return true
	}
}

// maxGrow bounds how much room is made on the word of a Content-Length alone.
const maxGrow = 1 << 20

// read reads the whole answer.
func (c *call) read(resp *http.Response, limit int64) {
	if resp.ContentLength > limit {
		c.tooLarge = true
		return
	}
	// One byte more than expected, so that the end is seen without growing.
	buf := make([]byte, 0, min(max(resp.ContentLength, 511), maxGrow)+1)
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		room := buf[len(buf):min(int64(cap(buf)), limit+1)]
		n, err := resp.Body.Read(room)
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			c.tooLarge = true
			return
		case err == io.EOF:
			c.reply.Body = bytes.TrimPrefix(buf, []byte("\xef\xbb\xbf"))
			return
		case err != nil:
			c.err = err
			return
		}
	}
}

// partial reports whether the call holds what came of a stream that broke off.
func (c *call) partial() bool { return c.err != nil && len(c.answer.Body) > 0 }

// response is the answer as a result carries it: a success byte for byte, a
// failure without the key that a server may have repeated. Both are valid UTF-8.
func (c *call) response(v judgement, secrets scrub.Texts) *schema.Response {
	resp := &schema.Response{StatusCode: c.reply.Status, RequestID: secrets.Text(requestID(c.reply.Header))}
	body := c.answer.Body
	if v.err != nil {
		body = secrets.Bytes(body)
	}
	if !c.tooLarge && !utf8.Valid(body) {
		resp.BodyBase64, body = body, bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	switch {
	case c.tooLarge:
		resp.Body = json.RawMessage("null")
	case v.err == nil && rawjson.Deeper(body, deepest):
		resp.Body = jsonText(body, false)
	case v.err == nil:
		resp.Body = body // a success is JSON
	default:
		resp.Body = jsonText(body, c.answer.JSON)
	}
	return resp
}

// deepest is how deep an answer may nest to be carried as JSON: encoding/json
// reads 10,000, and in a result it is some levels further down.
const deepest = 9900

// requestID returns the upstream's name for the call, under which its support finds it.
func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "Request-Id", "Apim-Request-Id"} {
		if id := h[name]; len(id) > 0 && id[0] != "" {
			return protocol.OneLine(id[0], 256)
		}
	}
	return ""
}
