package schema

import (
	"bytes"
	"encoding/json"
)

// AppendJSON appends the result as JSON to dst, with the request's and the
// response's bytes exactly as they are held; json.Marshal would compact and
// escape them. The rest is marshalled as usual.
func (r *Result) AppendJSON(dst []byte) ([]byte, error) {
	bare := *r
	bare.Request = nil
	if r.Response != nil {
		bare.Response = &Response{StatusCode: r.Response.StatusCode, RequestID: r.Response.RequestID, Body: json.RawMessage("0")}
	}
	head, err := json.Marshal(&bare)
	if err != nil {
		return dst, err
	}
	if r.Response != nil {
		// The first "body":0 is ours: no field before response holds raw JSON,
		// and inside a string the quotes would be escaped.
		mark := []byte(`"body":0`)
		at := bytes.Index(head, mark) + len(mark) - 1
		dst = append(dst, head[:at]...)
		dst = append(dst, nullIfEmpty(r.Response.Body)...)
		head = head[at+1:]
	}
	dst = append(dst, head...)
	if len(r.Request) > 0 {
		dst = append(dst[:len(dst)-1], `,"request":`...)
		dst = append(append(dst, r.Request...), '}')
	}
	return dst, nil
}

// AppendLine is AppendJSON on one line with a newline at its end: line breaks
// between the tokens of a raw body become spaces, so that JSON Lines stay lines.
func (r *Result) AppendLine(dst []byte) ([]byte, error) {
	start := len(dst)
	dst, err := r.AppendJSON(dst)
	if err != nil {
		return dst, err
	}
	for i := start; i < len(dst); i++ {
		// A raw line break in valid JSON stands between tokens, never in a string.
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return append(dst, '\n'), nil
}

func nullIfEmpty(raw []byte) []byte {
	if len(raw) == 0 {
		return []byte("null")
	}
	return raw
}
