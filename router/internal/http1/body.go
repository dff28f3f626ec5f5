package http1

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// How a body has ended.
const (
	open int32 = iota
	eof
	failed
	closed
)

var errBodyFailed = errors.New("the answer broke off before")

// body is that of an answer. It gives the connection back once it has been read
// to its end. Close may be called while Read waits.
type body struct {
	conn  *conn
	from  io.Reader // what net/http reads from the connection
	ctx   context.Context
	stop  func() bool // ends the watch on ctx; false: it has ended
	keep  bool        // the connection can be used again
	ended atomic.Int32
}

// Read reads on. The end of the request's context is an error, its cause.
func (b *body) Read(p []byte) (int, error) {
	switch b.ended.Load() {
	case eof:
		return 0, io.EOF
	case failed:
		return 0, errBodyFailed
	case closed:
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.from.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(eof)
	default:
		b.end(failed)
		if ended := endOf(b.ctx); ended != nil {
			err = ended
		}
	}
	return n, err
}

// Close ends the body; the connection is closed if there was more of it.
func (b *body) Close() error {
	b.end(closed)
	return nil
}

// end gives the connection back, or closes it. Only the first end counts: after
// it the connection may be another call's.
func (b *body) end(how int32) {
	if !b.ended.CompareAndSwap(open, how) {
		return
	}
	if unwatched := b.stop(); unwatched && how == eof && b.keep && b.conn.in.Buffered() == 0 {
		b.conn.host.idle.put(b.conn)
	} else {
		_ = b.conn.Close()
	}
}

// unzips reports whether the answer may come compressed without the caller's
// knowledge, as with net/http.
func unzips(req *http.Request) bool {
	return req.Header["Accept-Encoding"] == nil && req.Header["Range"] == nil
}

// unzip makes the body of an answer that came compressed the one that was meant.
func unzip(resp *http.Response) {
	if !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
	resp.Body = &unzipped{Closer: resp.Body, from: resp.Body}
}

// unzipped is a compressed body. Its first bytes are waited for by its first Read.
type unzipped struct {
	io.Closer
	from io.Reader
	zip  *gzip.Reader
}

func (u *unzipped) Read(p []byte) (n int, err error) {
	if u.zip == nil {
		if u.zip, err = gzip.NewReader(u.from); err != nil {
			return 0, err
		}
	}
	return u.zip.Read(p)
}
