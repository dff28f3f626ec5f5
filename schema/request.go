package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseRequest reads one element of a job's requests, or one line of an input:
// a bare body, or a batch line with the body inside. defaults is the job's, nil
// for none: it counts towards what a body must have, but is not merged in. The
// request shares raw's memory.
//
// An error is a [*Problems], its indexes 0. The request then holds what could
// be read, and no [Request.Problem].
func ParseRequest(raw []byte, limits Limits, defaults json.RawMessage) (Request, error) {
	return NewRequestParser(limits, defaults).Parse(raw)
}

// RequestParser reads requests as [ParseRequest] does, any number with the same
// limits and defaults. It is not safe for concurrent use.
type RequestParser struct{ c *checker }

// NewRequestParser returns a parser; the zero [Limits] are the defaults.
func NewRequestParser(limits Limits, defaults json.RawMessage) *RequestParser {
	c := newChecker(limits)
	c.single = true
	c.setDefaults(defaults)
	return &RequestParser{c}
}

// Parse reads one request. Its body shares raw's memory.
func (p *RequestParser) Parse(raw []byte) (Request, error) {
	p.c.problems = Problems{}
	request := p.c.requestText(raw, 0, 0)
	return request, p.c.problems.err()
}

// ParseAgain is Parse for bytes that [AppendRequest] has made of a request that
// was judged before: that they are JSON is not looked at again.
func (p *RequestParser) ParseAgain(raw []byte) (Request, error) {
	p.c.problems = Problems{}
	request := p.c.request(raw, 0, 0)
	return request, p.c.problems.err()
}

// checker judges the requests of one job, one after the other.
type checker struct {
	limits   Limits
	endpoint Endpoint // that every request is for; empty: each says
	skip     bool     // requests' problems go into the request, not into the job's
	single   bool     // there is one request, which keeps what could be read of it
	defaults members  // what the job's defaults hold
	problems Problems
	seen     seen
	sameID   func(first int, id string) bool // nil: trust the hash

	// Of the request at hand:
	found  []Problem
	keys   keySet
	others [][]byte // keys that no batch line has
	last   *Error   // the last request's problem: the same again shares its memory
}

func newChecker(limits Limits) *checker { return &checker{limits: limits.withDefaults()} }

// members are the values of an object that the checks look at; nil is absent.
type members struct {
	customID, method, url, body, timeout  []byte // of a batch line
	model, messages, input, prompt, param []byte // of a body
	bodyDepth, depth                      int
}

func (c *checker) flag(code, field, format string, args ...any) {
	c.found = append(c.found, Problem{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) flagFault(f fault, field string) bool {
	if f.code != "" {
		c.found = append(c.found, Problem{Code: f.code, Field: field, Message: f.message})
	}
	return f.code != ""
}

// setDefaults takes the job's defaults, which a valid object or nil they are;
// their own problems are the job's.
func (c *checker) setDefaults(raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	c.found = c.found[:0]
	if !json.Valid(raw) {
		c.flag(ProblemJSON, "defaults", "not valid JSON: %v", syntaxError(raw))
	} else if !c.flagFault(second(readObject(raw[skipSpace(raw, 0):])), "defaults") {
		c.defaults = c.scan(raw, "defaults")
		if c.defaults.depth > c.limits.MaxDepth {
			c.flag(ProblemTooLarge, "defaults", "nests %d deep; at most %d is allowed", c.defaults.depth, c.limits.MaxDepth)
		}
		if model := c.defaults.model; model != nil && !isName(model) {
			c.flag(ProblemType, "defaults.model", "must be a non-empty string, not %s", kind(model))
			c.defaults.model = []byte(`"?"`) // said once, not once per request
		}
	}
	c.flush()
}

// flush makes what was found problems of the job itself.
func (c *checker) flush() {
	for _, problem := range c.found {
		problem.Index = -1
		c.problems.add(problem)
	}
	c.found = c.found[:0]
}

func second[A, B any](_ A, b B) B { return b }

// requestText is request for bytes that nobody has looked at yet.
func (c *checker) requestText(raw []byte, index, line int) Request {
	if len(raw) > c.limits.MaxBody+lineRoom {
		return c.reject(nil, index, line, ProblemTooLarge, "is %d bytes long; at most %d is allowed", len(raw), c.limits.MaxBody+lineRoom)
	}
	if !json.Valid(raw) {
		err := syntaxError(raw)
		place := ""
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			place = fmt.Sprintf(" at byte %d", syntax.Offset)
		}
		hint := ""
		if trimmed := strings.TrimSpace(string(raw[:min(len(raw), 64)])); trimmed == "[" || trimmed == "{" {
			hint = "; each line must be a whole JSON object"
		}
		quoted, _ := json.Marshal(string(raw))
		return c.reject(quoted, index, line, ProblemJSON, "not valid JSON%s: %v%s", place, err, hint)
	}
	raw = raw[skipSpace(raw, 0):]
	return c.request(raw[:valueEnd(raw)], index, line)
}

func valueEnd(raw []byte) int {
	end, _ := skipValue(raw, 0)
	return end
}

func (c *checker) reject(body []byte, index, line int, code, format string, args ...any) Request {
	c.found = c.found[:0]
	c.flag(code, "", format, args...)
	return c.settle(Request{}, body, index, line)
}

// request reads and judges one element: a valid JSON value without space around it.
func (c *checker) request(raw []byte, index, line int) Request {
	if at := notUTF8(raw); at >= 0 {
		quoted, _ := json.Marshal(string(raw))
		return c.reject(quoted, index, line, ProblemJSON, "%s", notUTF8Text(raw, at))
	}
	c.found = c.found[:0]
	var r Request
	if raw[0] != '{' {
		c.flag(ProblemType, "", "must be a JSON object, a body or a batch line, not %s", kind(raw))
		return c.settle(r, raw, index, line)
	}
	m := c.scan(raw, "")
	if m.body == nil {
		r.Body, r.URL = raw, c.endpoint
		if !c.looksLikeLine(m) {
			c.checkBody(m, c.defaultEndpoint(), len(raw), "")
		}
		return c.settle(r, raw, index, line)
	}
	for _, key := range c.others {
		c.flag(ProblemUnknownField, clip(string(key)), `is no field of a batch line, which has custom_id, method, url, body and timeout; the model's parameters go into "body"`)
	}
	url := c.readLine(&r, m, index)
	if m.body[0] != '{' {
		c.flag(ProblemType, "body", "must be an object, not %s", kind(m.body))
		return c.settle(r, raw, index, line)
	}
	r.Body = m.body
	inner := c.scan(m.body, "body")
	c.checkBody(inner, url, len(m.body), "body")
	return c.settle(r, raw, index, line)
}

// notUTF8 is the offset of the first byte of raw that is not valid UTF-8; -1: all
// of it is. JSON has no other encoding, though encoding/json takes any bytes.
func notUTF8(raw []byte) int {
	if utf8.Valid(raw) {
		return -1
	}
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func notUTF8Text(raw []byte, at int) string {
	return fmt.Sprintf("not valid UTF-8 at byte %d (0x%02X); JSON is UTF-8, so convert it: iconv -f ISO-8859-1 -t UTF-8", at+1, raw[at])
}

// readLine reads what a batch line has around its body. It returns the endpoint
// to judge the body by, none where the line names one that does not exist.
func (c *checker) readLine(r *Request, m members, index int) Endpoint {
	if m.customID != nil {
		id, bad := readString(m.customID)
		if bad.code == "" {
			bad = checkText(id, maxCustomID)
		}
		if !c.flagFault(bad, "custom_id") {
			r.CustomID = id
			c.checkUnique(id, index)
		}
	}
	if m.method != nil && string(m.method) != `"POST"` {
		if method, bad := readString(m.method); !c.flagFault(bad, "method") && method != "POST" {
			c.flag(ProblemValue, "method", `must be "POST", not %q`, clip(method))
		}
	}
	if m.url != nil {
		if url, bad := readEndpoint(m.url); !c.flagFault(bad, "url") {
			r.URL = url
			if c.endpoint != "" && url != c.endpoint {
				c.flag(ProblemValue, "url", "must be %q, as the whole input is for it, not %q", c.endpoint, url)
			}
		}
	}
	if m.timeout != nil {
		timeout, bad := readDuration(m.timeout)
		if !c.flagFault(bad, "timeout") {
			r.Timeout = timeout
		}
	}
	if m.url == nil {
		r.URL = c.endpoint
		return c.defaultEndpoint()
	}
	return r.URL
}

// defaultEndpoint is that of a request which names none.
func (c *checker) defaultEndpoint() Endpoint {
	if c.endpoint != "" {
		return c.endpoint
	}
	return ChatCompletions
}

func (c *checker) checkUnique(id string, index int) {
	if c.single {
		return
	}
	first, again := c.seen.add(id, index)
	if again && (c.sameID == nil || c.sameID(first, id)) {
		c.flag(ProblemDuplicateID, "custom_id", "%q is request %d's already; each custom_id can stand once in a job", clip(id), first)
	}
}

// settle ends the judgement of one request: its problems go where they belong.
func (c *checker) settle(r Request, raw []byte, index, line int) Request {
	if len(c.found) == 0 {
		return r
	}
	if !c.single {
		r.Body, r.URL, r.Timeout = raw, "", 0
		r.Problem = c.failure()
	}
	if c.skip {
		return r
	}
	for _, problem := range c.found {
		problem.Index, problem.Line = index, line
		c.problems.add(problem)
	}
	return r
}

// failure is what was found as the error of a result.
func (c *checker) failure() *Error {
	var b strings.Builder
	for i, problem := range c.found {
		if i > 0 {
			b.WriteString("\n")
		}
		if problem.Field != "" {
			b.WriteString(problem.Field + ": ")
		}
		b.WriteString(problem.Message)
	}
	if text := b.String(); c.last == nil || c.last.Message != text {
		c.last = &Error{Class: ClassRequestFatal, Code: CodeInvalidRequest, Message: text, Param: c.found[0].Field}
	}
	return c.last
}
