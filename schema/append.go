package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// AppendJSON appends the result to dst. The raw bytes in it, request and
// response body, are kept. It fails for a time or a number that JSON cannot
// hold, with dst as it was.
func (r *Result) AppendJSON(dst []byte) ([]byte, error) {
	start := len(dst)
	a := appender{dst: dst}
	a.dst = append(a.dst, '{')
	a.string("id", r.ID)
	a.string("job", r.Job)
	a.int("index", int64(r.Index))
	a.text("custom_id", r.CustomID)
	a.string("status", string(r.Status))
	a.key("response")
	a.response(r.Response)
	a.key("error")
	a.error(r.Error)
	if len(r.Attempts) > 0 {
		a.key("attempts")
		a.dst = append(a.dst, '[')
		for i := range r.Attempts {
			if i > 0 {
				a.dst = append(a.dst, ',')
			}
			a.attempt(&r.Attempts[i])
		}
		a.dst = append(a.dst, ']')
	}
	a.usage(r.Usage)
	a.optional("cost", r.Cost)
	a.count("unknown_attempts", r.UnknownAttempts)
	a.count("unpriced_attempts", r.UnpricedAttempts)
	a.optional("ttft_ms", r.TTFTMs)
	if r.Incomplete != "" {
		a.key("incomplete")
		a.dst = appendString(a.dst, r.Incomplete)
	}
	a.moment("queued_at", r.QueuedAt)
	a.moment("started_at", r.StartedAt)
	a.moment("finished_at", r.FinishedAt)
	if len(r.Request) > 0 {
		a.key("request")
		a.dst = append(a.dst, r.Request...)
	}
	if a.err != nil {
		return a.dst[:start], a.err
	}
	return append(a.dst, '}'), nil
}

// appender writes the fields of objects one after the other.
type appender struct {
	dst []byte
	err error
}

func (a *appender) key(name string) {
	if last := a.dst[len(a.dst)-1]; last != '{' {
		a.dst = append(a.dst, ',')
	}
	a.dst = append(append(append(a.dst, '"'), name...), `":`...)
}

func (a *appender) string(name, value string) {
	a.key(name)
	a.dst = appendString(a.dst, value)
}

// text is string, but for one that is empty.
func (a *appender) text(name, value string) {
	if value != "" {
		a.string(name, value)
	}
}

func (a *appender) int(name string, n int64) {
	a.key(name)
	a.dst = strconv.AppendInt(a.dst, n, 10)
}

// count is int, but for 0.
func (a *appender) count(name string, n int) {
	if n != 0 {
		a.int(name, int64(n))
	}
}

// number writes x as encoding/json does.
func (a *appender) number(name string, x float64) {
	a.key(name)
	if size := math.Abs(x); size != 0 && size < 1e-6 || size >= 1e21 || math.IsNaN(x) {
		text, err := json.Marshal(x)
		if err != nil {
			a.fail(err)
			text = []byte("0")
		}
		a.dst = append(a.dst, text...)
		return
	}
	a.dst = strconv.AppendFloat(a.dst, x, 'f', -1, 64)
}

func (a *appender) optional(name string, x *float64) {
	if x != nil {
		a.number(name, *x)
	}
}

func (a *appender) moment(name string, t *time.Time) {
	if t != nil {
		a.time(name, *t)
	}
}

func (a *appender) time(name string, t time.Time) {
	a.key(name)
	a.dst = append(a.dst, '"')
	text, err := t.AppendText(a.dst)
	if err != nil {
		a.fail(err)
	} else {
		a.dst = text
	}
	a.dst = append(a.dst, '"')
}

func (a *appender) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *appender) response(r *Response) {
	if r == nil {
		a.dst = append(a.dst, "null"...)
		return
	}
	a.dst = append(a.dst, '{')
	a.int("status_code", int64(r.StatusCode))
	a.text("request_id", r.RequestID)
	a.key("body")
	a.dst = append(a.dst, nullIfEmpty(r.Body)...)
	if len(r.BodyBase64) > 0 {
		a.key("body_base64")
		a.dst = append(base64.StdEncoding.AppendEncode(append(a.dst, '"'), r.BodyBase64), '"')
	}
	a.dst = append(a.dst, '}')
}

func (a *appender) error(e *Error) {
	if e == nil {
		a.dst = append(a.dst, "null"...)
		return
	}
	a.dst = append(a.dst, '{')
	a.string("class", string(e.Class))
	a.text("code", e.Code)
	a.text("type", e.Type)
	a.string("message", e.Message)
	a.text("param", e.Param)
	if e.StatusCode != 0 {
		a.int("status_code", int64(e.StatusCode))
	}
	a.dst = append(a.dst, '}')
}

func (a *appender) attempt(t *Attempt) {
	a.dst = append(a.dst, '{')
	a.string("deployment", t.Deployment)
	a.string("model", t.Model)
	a.time("started_at", t.StartedAt)
	a.number("latency_ms", t.LatencyMs)
	a.number("waited_ms", t.WaitedMs)
	a.int("status_code", int64(t.StatusCode))
	a.key("error")
	a.error(t.Error)
	a.usage(t.Usage)
	a.optional("cost", t.Cost)
	if t.UsageUnknown {
		a.key("usage_unknown")
		a.dst = append(a.dst, "true"...)
	}
	a.optional("ttft_ms", t.TTFTMs)
	a.dst = append(a.dst, '}')
}

func (a *appender) usage(u *Usage) {
	if u == nil {
		return
	}
	a.key("usage")
	a.dst = append(a.dst, '{')
	a.int("prompt_tokens", u.PromptTokens)
	a.int("completion_tokens", u.CompletionTokens)
	a.int("total_tokens", u.TotalTokens)
	a.dst = append(a.dst, '}')
}

// AppendLine is AppendJSON on one line with a newline at its end: line breaks
// between the tokens of a raw body become spaces, so that JSON Lines stay lines.
func (r *Result) AppendLine(dst []byte) ([]byte, error) {
	start := len(dst)
	dst, err := r.AppendJSON(dst)
	if err != nil {
		return dst, err
	}
	line := dst[start:]
	for _, br := range []byte("\n\r") {
		// A raw line break in valid JSON stands between tokens, never in a string.
		for i := bytes.IndexByte(line, br); i >= 0; i = bytes.IndexByte(line, br) {
			line[i] = ' '
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
