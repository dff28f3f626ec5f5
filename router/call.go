package router

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"pelton/router/protocol"
)

// call is one call: what the protocol was asked, and what came. One goroutine
// uses it, for one call, and the transport while that lasts.
type call struct {
	protocol.Call
	header http.Header // added where the request has no such header
	stream *stream     // nil: the answer comes whole

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
// try twice; net/http repeats a POST only when not one byte of it was sent.
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
	resp, err := d.transport.RoundTrip(c.Req)
	if err != nil {
		c.err = err
		return nil
	}
	body := resp.Body
	c.reply = protocol.Reply{Status: resp.StatusCode, Header: resp.Header}
	if c.stream == nil || !c.stream.read(c, d, resp) {
		c.read(resp, d.limit)
		if c.reply.At = time.Now(); c.err == nil && !c.tooLarge {
			c.answer = d.protocol.Decode(&c.Call, c.reply)
		}
	}
	_ = body.Close()
	return nil
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
