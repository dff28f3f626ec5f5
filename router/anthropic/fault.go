package anthropic

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/credentials"
	"pelton/router/internal/lazyregexp"
	"pelton/router/protocol"
	"pelton/schema"
)

// failed describes an answer that is none.
func (p *Protocol) failed(c *protocol.Call, reply protocol.Reply, made protocol.Answer) protocol.Answer {
	made.Body, made.Failed = reply.Body, true
	made.Fault, made.JSON = faultOf(reply.Header, reply.Body)
	if reply.OK() {
		made.Fault.Status = statusOf(&made.Fault)
	}
	if p.refused(reply.Status) {
		made.Fault.Class = schema.ClassTransient // with others
	}
	made.Again = p.learn(c, &made.Fault) || p.resign(c, &made.Fault, reply.Header.Get("Date"))
	if c.Req != nil && reply.Status == http.StatusNotFound && !made.Fault.NamesModel() {
		made.Hint = fmt.Sprintf("; is the base URL complete? The request went to %s", c.Req.URL.Path)
	}
	return made
}

// streamFault describes an error that came within a stream.
func streamFault(event []byte) protocol.Fault {
	f, _ := faultOf(nil, event)
	f.Status = statusOf(&f)
	return f
}

// faultOf reads an error of Anthropic's, of AWS's or of Google's.
func faultOf(h http.Header, body []byte) (f protocol.Fault, valid bool) {
	raw := body
	if name, _, _ := strings.Cut(h.Get("X-Amzn-Errortype"), ":"); name != "" {
		f.Code = name
		f.Name(name)
	}
	var inner []byte
	_, _ = rawjson.Object(body, func(key, value []byte) {
		if string(key) == "error" && rawjson.IsObject(value) {
			inner = value
		}
	})
	if inner != nil {
		raw = inner
	}
	read, valid := protocol.ReadFault(raw)
	f.Code, f.Type, f.Message = cmp.Or(f.Code, read.Code, read.Type), read.Type, read.Message
	f.Param, f.Loose, f.Status, f.After = read.Param, read.Loose, read.Status, read.After
	f.Name(read.Names...)
	f.Class = classOf(&f)
	return f, valid
}

// classOf is what an error means where the common table does not know it.
func classOf(f *protocol.Fault) schema.Class {
	switch {
	// A rate limit by name, though waiting does not help.
	case f.Says("extra usage is required for long context", "exceed context limit", "prompt is too long", "input is too long for requested model"):
		return schema.ClassContextWindow
	case f.Says("content filtering policy"):
		return schema.ClassContentPolicy
	}
	for _, name := range f.Names {
		if class, ok := classes[name]; ok {
			return class
		}
	}
	return ""
}

// classes are those of errors by AWS's and Google's names, where the status alone
// says something else.
var classes = map[string]schema.Class{
	"throttlingexception":         schema.ClassRateLimited,
	"modelnotreadyexception":      schema.ClassTransient,
	"modeltimeoutexception":       schema.ClassTransient,
	"modelerrorexception":         schema.ClassTransient,
	"modelstreamerrorexception":   schema.ClassTransient,
	"internalserverexception":     schema.ClassTransient,
	"serviceunavailableexception": schema.ClassTransient,
	"cancelled":                   schema.ClassTransient,
	"failed_precondition":         schema.ClassUpstreamFatal,
}

// statusOf is the status that an error would have had as an answer of its own.
func statusOf(f *protocol.Fault) int {
	for _, name := range f.Names {
		if status, ok := statuses[name]; ok {
			return status
		}
	}
	return f.Status
}

var statuses = map[string]int{
	"invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
	"not_found_error": 404, "timeout_error": 504, "request_too_large": 413, "rate_limit_error": 429,
	"api_error": 500, "overloaded_error": 529,
	"validationexception": 400, "throttlingexception": 429, "modeltimeoutexception": 408, "modelstreamerrorexception": 424,
	"internalserverexception": 500, "serviceunavailableexception": 503,
}

// What the server says of a bound on the answer that is too high.
var (
	tooLong = lazyregexp.New(`max_tokens: (\d+) > (\d+), which is the maximum allowed number of output tokens`)
	noRoom  = lazyregexp.New("input length and `max_tokens` exceed context limit: (\\d+) \\+ (\\d+) > (\\d+)")
)

// leastRoom is how much of the context window has to be left for the answer, in
// tokens, that a request is tried with it.
const leastRoom = 1024

// learn takes the longest answer from what the server says, where the request
// named none. It reports whether the request is to be made again with it.
func (p *Protocol) learn(c *protocol.Call, f *protocol.Fault) bool {
	n, ok := c.Note.(*note)
	if !ok || !n.defaulted || n.room > 0 {
		return false
	}
	if m := tooLong.Get().FindStringSubmatch(f.Message); m != nil {
		limit, err := strconv.Atoi(m[2])
		if n.room = limit; err != nil || limit <= 0 {
			return false
		}
		p.limits.Store(c.Model, limit)
		return true
	}
	if m := noRoom.Get().FindStringSubmatch(f.Message); m != nil {
		used, _ := strconv.Atoi(m[1])
		window, err := strconv.Atoi(m[3])
		if n.room = window - used; err == nil && n.room >= leastRoom {
			return true
		}
		n.room = 0
	}
	return false
}

// resign reports whether the request is to be made again with another signature.
func (p *Protocol) resign(c *protocol.Call, f *protocol.Fault, date string) bool {
	aws, signs := p.auth.(*credentials.AWS)
	n, ok := c.Note.(*note)
	if !signs || !ok || n.again || !aws.Renew(f.Code, date) {
		return false
	}
	n.again = true
	f.Class = schema.ClassTransient // the deployment is not out
	return true
}

// noted is what the reader of the answer is told. A call that is made again keeps
// what was learnt of it.
func (r *request) noted(before any) any {
	if n, ok := before.(*note); ok {
		r.note.room, r.note.again = n.room, n.again
	}
	n := r.note
	n.defaulted = r.defaulted
	return &n
}

// noteOf is what Encode noted.
func noteOf(c *protocol.Call) *note {
	if n, ok := c.Note.(*note); ok {
		return n
	}
	return &note{}
}
