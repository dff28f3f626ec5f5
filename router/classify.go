package router

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/schema"
)

// answer is what came of one call, as far as classify needs to know it.
type answer struct {
	endpoint   schema.Endpoint
	base       string // the deployment's base URL, for hints
	host       string
	status     int // 0: none came
	header     http.Header
	body       []byte
	tooLarge   bool
	unfinished string // what a stream lacks that came to its end
	err        error  // of the transport, or of reading the answer
	ended      error  // the context's cause, when err came of our own side ending the call
	now        time.Time
}

// verdict is what an answer means. A nil err is success.
type verdict struct {
	err    *schema.Error
	usage  *schema.Usage // also on failures: they may be billed
	tokens details
	retry  bool          // another attempt may succeed
	after  time.Duration // the server's word on when; 0: none
	rest   time.Time     // the same for all requests, successes included; zero: none
	valid  bool          // the body is JSON
	scope  scope         // of an upstream_fatal
}

// classify decides what one call's answer means: the only place that does.
//
// The order: our own end of the call, then the transport's failure, then what
// the body says (code and message are more exact than a status, and a 200 can
// carry an error), then the status, then what a success of the endpoint lacks.
func classify(a answer) verdict {
	if a.err != nil {
		v := a.unanswered()
		v.err.StatusCode = a.status
		return v
	}
	body := parseBody(a.body)
	v := verdict{valid: body.valid}
	v.usage, v.tokens = parseUsage(body.usage)
	v.rest = exhausted(a.header, a.now)
	if a.tooLarge {
		v.err = &schema.Error{
			Class: schema.ClassRequestFatal, Code: codeTooLarge, StatusCode: a.status,
			Message: "the answer is longer than the bound on answers; it was not kept",
		}
		return v
	}
	fault, failed := body.fault()
	success := a.status >= 200 && a.status < 300
	if success && !failed {
		missing, code := body.lacks(a.endpoint), codeEmpty
		if missing == "" {
			missing, code = a.unfinished, codeCut
		}
		if missing != "" {
			v.err = &schema.Error{Class: schema.ClassTransient, Code: code, Message: missing, StatusCode: a.status}
			v.retry = true
		}
		return v
	}
	if !failed {
		fault.message = body.words()
	}
	effective := a.status
	if success && fault.status != 0 {
		effective = fault.status // a 200 around another server's status
	}
	v.err = &schema.Error{
		Class: classOf(effective, fault), Code: fault.code, Type: fault.kind,
		Message: fault.message, Param: fault.param, StatusCode: a.status,
	}
	switch {
	case success && len(a.body) == 0:
		v.err.Code, v.err.Message = codeEmpty, "the answer is empty"
	case success && !body.valid:
		v.err.Code, v.err.Message = codeInvalid, "the answer is no JSON: "+fault.message
	case v.err.Message == "":
		v.err.Message = fmt.Sprintf("%s answered %s", a.host, statusText(a.status))
	}
	if v.err.Code == "" {
		v.err.Code = "http_" + strconv.Itoa(a.status)
	}
	v.err.Message += a.hint(&body)
	if v.err.Class == schema.ClassUpstreamFatal {
		v.scope = scopeOf(effective, fault, &body)
	}
	v.advise(a, fault)
	return v
}

// Codes of failures that no upstream named.
const (
	codeTooLarge = "response_too_large"
	codeEmpty    = "empty_answer"   // nothing, or none of what the endpoint returns
	codeInvalid  = "invalid_answer" // a 2xx that is no JSON
	codeCut      = "incomplete_stream"
	codeNoModel  = "model_not_found"
	codeContext  = "context_length_exceeded"
	codeNoToken  = "no_token"
	codeNoTag    = "no_deployment_for_tags"
)

// hint adds what a person is likely to have got wrong.
func (a *answer) hint(b *body) string {
	switch {
	case a.status >= 300 && a.status < 400:
		to := a.header.Get("Location")
		if to == "" {
			return ""
		}
		return "; it redirects to " + to + ", and no redirect is followed: set api_base to where it leads"
	case (a.status == 404 || a.status == 405 || a.status == 200 && !b.valid) && !hasVersion(a.base) && !b.namesModel():
		return "; the base URL " + a.base + " holds no version such as /v1: is it complete?"
	case strings.Contains(strings.ToLower(string(b.text())), "unexpected endpoint or method"):
		return "; is the base URL " + a.base + " complete (/v1)?"
	}
	return ""
}

// hasVersion reports whether a path segment of the URL is a version.
func hasVersion(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	for _, segment := range strings.Split(rest, "/")[1:] {
		if len(segment) >= 2 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9' || segment == "openai" {
			return true
		}
	}
	return false
}

// advise decides whether and when to try again.
func (v *verdict) advise(a answer, f fault) {
	v.retry = v.err.Class == schema.ClassTransient || v.err.Class == schema.ClassRateLimited
	switch strings.ToLower(strings.TrimSpace(a.header.Get("X-Should-Retry"))) {
	case "false":
		v.retry = false
	case "true": // the server knows better than a bare 4xx
		if v.err.Class == schema.ClassRequestFatal {
			v.err.Class, v.retry = schema.ClassTransient, true
		}
	}
	if v.after = retryAfter(a.header, a.now); v.after == 0 {
		v.after = f.after
	}
	// Of the words on when to come back the last one counts.
	if at := a.now.Add(v.after); v.after > 0 && at.After(v.rest) {
		v.rest = at
	}
	if rest := v.rest.Sub(a.now); !v.rest.IsZero() && rest > v.after {
		v.after = rest
	}
}

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}

// jsonText returns raw as a JSON value: itself when it is one, else one string.
func jsonText(raw []byte, valid bool) json.RawMessage {
	if valid {
		return raw
	}
	quoted, _ := json.Marshal(string(raw))
	return quoted
}
