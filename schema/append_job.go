package schema

import (
	"bytes"
	"encoding/json"
	"errors"
)

// AppendJSON appends the job as the message to publish, which [ParseJob] reads
// back: bodies, defaults and metadata byte for byte. It fails when one of these
// is no JSON, with the job as far as it got in dst; it does not validate
// otherwise, see [Job.Validate].
func (j *Job) AppendJSON(dst []byte) ([]byte, error) {
	dst = append(dst, '{')
	for i := range jobFields {
		f := &jobFields[i]
		if !f.isSet(j) {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), f.name...), `":`...)
		var err error
		if dst, err = f.append(dst, j); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func bodyError(body []byte) error {
	if len(body) == 0 {
		return errors.New("it is empty")
	}
	return syntaxError(body)
}

// AppendRequest appends r on one line, without a line end: its bare body if it
// has nothing else, else the batch line around it. The body's bytes are kept,
// but line breaks between its tokens become spaces. A request with a Problem is
// appended as it was read, so that it will be found invalid again.
// [ParseRequest] and [LineReader] read what this writes.
func AppendRequest(dst []byte, r Request) []byte {
	start := len(dst)
	dst = appendElement(dst, r)
	for i := start; i < len(dst); i++ {
		// A raw line break in valid JSON stands between tokens, never in a string.
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}

// appendElement is AppendRequest with the body's line breaks.
func appendElement(dst []byte, r Request) []byte {
	if r.Problem != nil || r.CustomID == "" && r.URL == "" && r.Timeout == 0 && !readsAsLine(r.Body) {
		return append(dst, nullIfEmpty(r.Body)...)
	}
	dst = append(dst, '{')
	if r.CustomID != "" {
		dst = append(appendString(append(dst, `"custom_id":`...), r.CustomID), ',')
	}
	if r.URL != "" {
		dst = append(appendString(append(dst, `"method":"POST","url":`...), string(r.URL)), ',')
	}
	dst = append(append(dst, `"body":`...), nullIfEmpty(r.Body)...)
	if r.Timeout != 0 {
		dst = appendString(append(dst, `,"timeout":`...), r.Timeout.String())
	}
	return append(dst, '}')
}

// readsAsLine reports whether a bare body would be read as a batch line, or as
// an attempt at one. Nearly every body is cleared by the first test.
func readsAsLine(body []byte) bool {
	if !bytes.Contains(body, []byte(`body"`)) && !bytes.Contains(body, []byte("custom_id")) && !bytes.Contains(body, []byte(`\u`)) {
		return false
	}
	_, line := Field(body, "body")
	_, named := Field(body, "custom_id")
	return line || named
}

// appendString appends s as a JSON string. Unlike json.Marshal it leaves <, >
// and & alone.
func appendString[S ~string](dst []byte, s S) []byte {
	if plain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(string(s)) // a string can always be encoded
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// plain reports whether s stands in JSON as it is.
func plain[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
