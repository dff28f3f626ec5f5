package http1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// text is a request as it is sent.
type text struct{ bytes []byte }

var texts = sync.Pool{New: func() any { return new(text) }}

func (t *text) free() {
	t.bytes = t.bytes[:0]
	texts.Put(t)
}

// encode returns the bytes of a request with its body. What could end a line
// too early, or begin another, is an error.
func encode(req *http.Request) (*text, error) {
	name, path := req.Host, req.URL.RequestURI()
	if name == "" {
		name = req.URL.Host
	}
	if !httpguts.ValidHostHeader(name) {
		return nil, fmt.Errorf("invalid Host header %q", name)
	}
	if strings.ContainsFunc(path, isControl) {
		return nil, fmt.Errorf("invalid request path %q", path)
	}
	t := texts.Get().(*text)
	b := append(t.bytes, "POST "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, name...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, req.ContentLength, 10)
	b = append(b, "\r\n"...)
	if unzips(req) {
		b = append(b, "Accept-Encoding: gzip\r\n"...)
	}
	b, err := appendHeader(b, req.Header)
	if err == nil {
		b, err = appendBody(b, req)
	}
	t.bytes = b
	if err != nil {
		t.free()
		return nil, err
	}
	return t, nil
}

// appendBody appends what the body holds, which must be what was announced.
func appendBody(b []byte, req *http.Request) ([]byte, error) {
	head := len(b)
	b = append(b, make([]byte, req.ContentLength+1)...) // one more, to see whether there is more
	n, err := io.ReadFull(req.Body, b[head:])
	switch {
	case err == nil:
		err = fmt.Errorf("the body has more than the %d bytes that its request says", req.ContentLength)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
	case int64(n) < req.ContentLength:
		err = fmt.Errorf("the body has %d bytes, its request says %d", n, req.ContentLength)
	default:
		err = nil
	}
	return b[:head+n], err
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// appendHeader appends a request's own header and the empty line after it.
func appendHeader(b []byte, header http.Header) ([]byte, error) {
	for name, values := range header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer": // said by the request's fields
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return b, fmt.Errorf("invalid header name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return b, fmt.Errorf("invalid header value for %q", name) // not the value: it may be a secret
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	return append(b, "\r\n"...), nil
}
