package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// AppendJSON appends the job as the message to publish, which [ParseJob] reads
// back: bodies, defaults and metadata byte for byte. It fails when one of these
// is no JSON, with the job as far as it got in dst; it does not validate
// otherwise, see [Job.Validate].
func (j *Job) AppendJSON(dst []byte) ([]byte, error) {
	for _, object := range []struct {
		name string
		raw  json.RawMessage
	}{{"defaults", j.Defaults}, {"metadata", j.Metadata}} {
		if len(object.raw) > 0 && !json.Valid(object.raw) {
			return dst, fmt.Errorf("job: %s: not valid JSON: %w", object.name, syntaxError(object.raw))
		}
	}
	dst = append(dst, '{')
	start := len(dst)
	key := func(name string) {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), `":`...)
	}
	if j.ID != "" {
		key("id")
		dst = appendString(dst, j.ID)
	}
	if j.Concurrency != 0 {
		key("concurrency")
		if j.Concurrency == AutoConcurrency {
			dst = append(dst, `"auto"`...)
		} else {
			dst = strconv.AppendInt(dst, int64(j.Concurrency), 10)
		}
	}
	if j.Order != OrderDefault {
		key("order")
		dst = appendString(dst, string(j.Order))
	}
	if j.FailFast != (FailFast{}) {
		key("fail_fast")
		dst = j.FailFast.append(dst)
	}
	if j.Reply != "" {
		key("reply")
		dst = appendString(dst, j.Reply)
	}
	if j.Callback != "" {
		key("callback")
		dst = appendString(dst, j.Callback)
	}
	if j.Notify != "" {
		key("notify")
		dst = appendString(dst, j.Notify)
	}
	if j.Timeout != 0 {
		key("timeout")
		dst = appendString(dst, j.Timeout.String())
	}
	switch {
	case !j.Deadline.At.IsZero():
		key("deadline")
		dst = appendString(dst, j.Deadline.At.Format(time.RFC3339Nano))
	case j.Deadline.After != 0:
		key("deadline")
		dst = appendString(dst, j.Deadline.After.String())
	}
	if len(j.Defaults) > 0 {
		key("defaults")
		dst = append(dst, j.Defaults...)
	}
	if len(j.Tags) > 0 {
		key("tags")
		tags, err := json.Marshal(j.Tags)
		if err != nil {
			return dst, err
		}
		dst = append(dst, tags...)
	}
	if j.MaxCost != 0 {
		key("max_cost")
		dst = strconv.AppendFloat(dst, j.MaxCost, 'g', -1, 64)
	}
	if j.IncludeRequest {
		key("include_request")
		dst = append(dst, "true"...)
	}
	if j.SkipInvalid {
		key("invalid")
		dst = append(dst, `"skip"`...)
	}
	if len(j.Metadata) > 0 {
		key("metadata")
		dst = append(dst, j.Metadata...)
	}
	if j.Input != nil {
		key("input")
		dst = appendString(append(dst, `{"object":`...), j.Input.Object)
		if j.Input.Endpoint != "" {
			dst = appendString(append(dst, `,"endpoint":`...), string(j.Input.Endpoint))
		}
		dst = append(dst, '}')
	}
	if len(j.Requests) > 0 || j.Input == nil {
		key("requests")
		dst = append(dst, '[')
		for i, r := range j.Requests {
			if i > 0 {
				dst = append(dst, ',')
			}
			if !json.Valid(r.Body) {
				return dst, fmt.Errorf("request %d: body: not valid JSON: %w", i, bodyError(r.Body))
			}
			dst = appendElement(dst, r)
		}
		dst = append(dst, ']')
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

func (f FailFast) append(dst []byte) []byte {
	if f == (FailFast{Failures: 1}) {
		return append(dst, "true"...)
	}
	dst = append(dst, '{')
	if f.Failures != 0 {
		dst = strconv.AppendInt(append(dst, `"failures":`...), int64(f.Failures), 10)
	}
	if f.Rate != 0 || f.After != 0 {
		if f.Failures != 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(append(dst, `"rate":`...), f.Rate, 'g', -1, 64)
		dst = strconv.AppendInt(append(dst, `,"after":`...), int64(f.After), 10)
	}
	return append(dst, '}')
}

// appendString appends s as a JSON string. Unlike json.Marshal it leaves <, >
// and & alone.
func appendString(dst []byte, s string) []byte {
	if plain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be encoded
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// plain reports whether s stands in JSON as it is.
func plain[T string | []byte](s T) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
