package http1

import (
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
		head := len(b)
		b = append(b, make([]byte, req.ContentLength)...)
		_, err = io.ReadFull(req.Body, b[head:])
	}
	t.bytes = b
	if err != nil {
		t.free()
		return nil, err
	}
	return t, nil
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
