package router

import (
	"bytes"
	"io"
	"net/http"
)

// cell is one call: the bytes to send and the bytes that came. One goroutine
// uses it, for one call, and the transport while that lasts.
type cell struct {
	body   []byte      // sent as they are; nil for a GET
	header http.Header // added where the request has no such header
	reader bytes.Reader

	status   int // 0: no answer came
	answer   http.Header
	raw      []byte // the whole answer, unless err
	tooLarge bool   // the answer went over the bound; raw is nil
	sent     bool   // a call was made
	err      error  // why there is no answer, or not all of it
}

// again is the body for another connection: net/http asks for it when the first
// was closed before anything was sent.
func (c *cell) again() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(c.body)), nil
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
