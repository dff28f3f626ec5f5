package router

import (
	"bytes"
	"io"
	"net/http"
	"slices"
)

// cell is one call: the bytes to send and the bytes that came. One goroutine
// uses it, for one call, and the transport while that lasts.
type cell struct {
	body   []byte      // sent as they are; nil for a GET
	header http.Header // added where the request has no such header
	reader bytes.Reader
	stream *stream // nil: the answer comes whole

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
			c.raw = bytes.TrimPrefix(buf, []byte("\xef\xbb\xbf"))
			return
		case err != nil:
			c.err = err
			return
		}
	}
}
