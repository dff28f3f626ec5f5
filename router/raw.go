package router

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// cell carries one call past go-openai's types: the bytes to send on the way
// in, the bytes that came on the way out. One goroutine uses it, for one call.
type cell struct {
	body   []byte      // sent as they are; nil for a GET
	header http.Header // added where the request has no such header

	status   int // 0: no answer came
	answer   http.Header
	raw      []byte // the whole answer, unless err
	tooLarge bool   // the answer went over the bound; raw is nil
	sent     bool   // a call was made
	err      error  // why there is no answer, or not all of it
}

type cellKey struct{}

// errCaptured keeps go-openai from decoding what the cell already holds.
var errCaptured = errors.New("answer captured")

// rawDoer is go-openai's HTTP client. It sends the cell's bytes in the place
// of those that go-openai made and keeps the answer's bytes in the cell.
//
// It calls the transport itself, and so follows no redirect: neither key nor
// prompt goes to an address that nobody configured. Nor does anything here try
// twice; net/http repeats a POST only when not one byte of it was sent.
type rawDoer struct {
	transport http.RoundTripper
	fixed     http.Header // replaces whatever else a request has
	limit     int64       // bytes of an answer
}

func (d *rawDoer) Do(req *http.Request) (*http.Response, error) {
	c := req.Context().Value(cellKey{}).(*cell)
	if c.body != nil {
		body := c.body
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.ContentLength = int64(len(body))
	}
	for name, values := range c.header {
		if _, set := req.Header[name]; !set {
			req.Header[name] = values
		}
	}
	for name, values := range d.fixed {
		req.Header[name] = values
	}
	if host := d.fixed.Get("Host"); host != "" { // net/http takes it from here only
		req.Host = host
	}
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		c.err = err
		return nil, errCaptured
	}
	defer resp.Body.Close()
	c.status, c.answer = resp.StatusCode, resp.Header
	c.read(resp, d.limit)
	return nil, errCaptured
}

// maxGrow bounds how much room is made on the word of a Content-Length alone.
const maxGrow = 1 << 20

func (c *cell) read(resp *http.Response, limit int64) {
	if resp.ContentLength > limit {
		c.tooLarge = true
		return
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(resp.ContentLength, 0), maxGrow)) + bytes.MinRead)
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		c.err = err
	case n > limit:
		c.tooLarge = true
	default:
		c.raw = bytes.TrimPrefix(buf.Bytes(), []byte("\xef\xbb\xbf"))
	}
}

// withCell returns a context through which [rawDoer] finds c.
func withCell(ctx context.Context, c *cell) context.Context {
	return context.WithValue(ctx, cellKey{}, c)
}
