package protocol

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"

	"pelton/schema"
)

// Call is one call to a server: what is asked, and the request that asks it. One
// goroutine uses it, for one call, and the transport while that lasts.
type Call struct {
	Endpoint schema.Endpoint // never empty
	Model    string          // the server's name for the model; empty for [ListModels]

	// Body is the JSON object to send, in OpenAI's form, with Model (but for a
	// [Namer]) and the deployment's defaults in it; nil for [ListModels]. It is not to be changed.
	Body json.RawMessage

	// Streamed says that the answer is to be streamed: the body has "stream": true.
	Streamed bool

	// Req is the request, which Encode makes.
	Req *http.Request

	// Note is the protocol's own: what Encode has to tell Decode and Stream. One
	// that is made again, by [Answer.Again], finds here what the call before left.
	Note any

	ownHeader bool
	sent      []byte
	reader    bytes.Reader
	begun     atomic.Bool // the transport has begun to read the body
}

// Begun reports whether the transport has begun to send the body set by
// [Call.SetBody]. It may be asked while that goes on.
func (c *Call) Begun() bool { return c.begun.Load() }

// OwnHeader is the header of c.Req, this call's own from now on. Encode may set
// a header that all calls share; whoever changes it asks here first.
func (c *Call) OwnHeader() http.Header {
	if !c.ownHeader {
		if c.Req.Header = c.Req.Header.Clone(); c.Req.Header == nil {
			c.Req.Header = http.Header{}
		}
		c.ownHeader = true
	}
	return c.Req.Header
}

// SetBody makes body the request's. It must not change before the call is over.
func (c *Call) SetBody(body []byte) {
	c.sent = body
	c.reader.Reset(body)
	c.Req.Body = (*reader)(c)
	c.Req.ContentLength = int64(len(body))
	c.Req.GetBody = c.reread
}

// reread is the body for another connection: net/http asks for it when the first
// was closed before anything was sent.
func (c *Call) reread() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(c.sent)), nil
}

// reader is a Call as the body of its own request, which costs no memory that way.
type reader Call

func (r *reader) Read(p []byte) (int, error) {
	r.begun.Store(true)
	return r.reader.Read(p)
}

func (r *reader) WriteTo(w io.Writer) (int64, error) {
	r.begun.Store(true)
	return r.reader.WriteTo(w)
}

func (r *reader) Close() error { return nil }
