package router

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/router/internal/ending"
	"pelton/router/internal/http1"
	"pelton/router/protocol"
	"pelton/schema"
)

// reply is what came of one call, as far as classify needs to know it.
type reply struct {
	protocol.Reply                 // Status 0: none came
	answer         protocol.Answer // what its protocol reads in it
	host           string
	tooLarge       bool
	err            error // of the transport, or of reading the answer
	ended          error // the context's cause, when err came of our own side ending the call
}

// judgement is what an answer means. A nil err is success.
type judgement struct {
	err        *schema.Error
	usage      *schema.Usage  // also on failures: they may be billed
	tokens     protocol.Usage // the same, with its parts
	retry      bool           // another attempt may succeed
	after      time.Duration  // the server's word on when; 0: none
	rest       time.Time      // the same for all requests, successes included; zero: none
	scope      protocol.Scope // of an upstream_fatal
	relay      bool           // the server behind a gateway has said so
	stale      bool           // the connection had been closed before the call
	incomplete string         // of a success: see [schema.Result]
	used       bool           // a quota is used up that does not come back within minutes
}

// count takes an answer's usage over.
func (v *judgement) count(u protocol.Usage) {
	if v.tokens = u; u.Known {
		v.usage = &schema.Usage{PromptTokens: u.Input, CompletionTokens: u.Output, TotalTokens: u.Total}
	}
}

// classify decides what one call's answer means: the only place that does.
//
// The order: our own end of the call, then the transport's failure, then what
// the body says (code and message are more exact than a status, and a 200 can
// carry an error), then the status, then what a success of the endpoint lacks.
func classify(a reply) judgement {
	if a.err != nil {
		v := a.unanswered()
		v.err.StatusCode = a.Status
		return v
	}
	if a.tooLarge {
		return judgement{rest: protocol.Exhausted(a.Header, a.At), err: &schema.Error{
			Class: schema.ClassRequestFatal, Code: codeTooLarge, StatusCode: a.Status,
			Message: "the answer is longer than the bound on answers; it was not kept",
		}}
	}
	v := judgement{rest: a.answer.Reset}
	v.count(a.answer.Usage)
	if a.OK() && !a.answer.Failed {
		missing, code := a.answer.Lacks, codeEmpty
		if missing == "" {
			missing, code = a.answer.Cut, codeCut
		}
		if missing != "" {
			v.err = &schema.Error{Class: schema.ClassTransient, Code: code, Message: missing, StatusCode: a.Status}
			v.retry = true
		}
		return v
	}
	v.fail(a)
	return v
}

// unanswered classifies a call without a whole answer.
func (a reply) unanswered() judgement {
	if a.ended != nil {
		e := ending.Of(a.ended)
		return judgement{err: e, retry: e.Class == schema.ClassTransient}
	}
	var stale *http1.StaleError
	if errors.As(a.err, &stale) {
		return judgement{retry: true, stale: true, err: &schema.Error{
			Class: schema.ClassTransient, Code: schema.CodeStaleConnection,
			Message: fmt.Sprintf("%s had closed the connection, unused for %v; the request was sent once more on a new one", a.host, stale.Idle.Round(time.Millisecond)),
		}}
	}
	return judgement{retry: true, err: &schema.Error{
		Class: schema.ClassTransient, Code: schema.CodeConnection, Message: ending.Unanswered(a.err, a.host, a.Status != 0),
	}}
}

// fail says what a failure means that the server told of.
func (v *judgement) fail(a reply) {
	f := &a.answer.Fault
	effective := a.Status
	if a.OK() && f.Status != 0 {
		effective = f.Status // a 200 around another server's status
	}
	sign := protocol.SignOf(effective, f)
	v.err = &schema.Error{
		Class: cmp.Or(f.Class, sign.Class), Code: f.Code, Type: f.Type,
		Message: f.Message, Param: f.Param, StatusCode: a.Status,
	}
	switch {
	case a.OK() && len(a.answer.Body) == 0:
		v.err.Code, v.err.Message = codeEmpty, "the answer is empty"
	case a.OK() && !a.answer.JSON:
		v.err.Code, v.err.Message = codeInvalid, "the answer is no JSON: "+f.Message
	case v.err.Message == "":
		v.err.Message = fmt.Sprintf("%s answered %s", a.host, statusText(a.Status))
	}
	v.err.Code = cmp.Or(v.err.Code, sign.Code, "http_"+strconv.Itoa(a.Status))
	v.used = sign.Used && v.err.Class == schema.ClassRateLimited
	v.err.Message += a.hint()
	if v.err.Class == schema.ClassUpstreamFatal {
		v.scope, v.relay = protocol.ScopeOf(effective, f), f.Relayed(a.Header)
	}
	v.advise(a, f)
}

// Codes of failures that no upstream named.
const (
	codeTooLarge = "response_too_large"
	codeEmpty    = "empty_answer"   // nothing, or none of what the endpoint returns
	codeInvalid  = "invalid_answer" // a 2xx that is no JSON
	codeCut      = "incomplete_stream"
	codeNoModel  = "model_not_found"
	codeContext  = "context_length_exceeded"
	codeNoTag    = "no_deployment_for_tags"

	codeNoEndpoint = "endpoint_not_served"
)

// hint adds what a person is likely to have got wrong.
func (a *reply) hint() string {
	if a.Status < 300 || a.Status >= 400 {
		return a.answer.Hint
	}
	to := a.Header.Get("Location")
	if to == "" {
		return ""
	}
	return "; it redirects to " + to + ", and no redirect is followed: set api_base to where it leads"
}

// advise decides whether and when to try again.
func (v *judgement) advise(a reply, f *protocol.Fault) {
	v.retry = protocol.Actions[v.err.Class].Retry
	switch strings.ToLower(strings.TrimSpace(a.Header.Get("X-Should-Retry"))) {
	case "false":
		v.retry = false
	case "true": // the server knows better than a bare 4xx
		if v.err.Class == schema.ClassRequestFatal {
			v.err.Class, v.retry = schema.ClassTransient, true
		}
	}
	switch v.err.Class {
	case schema.ClassRateLimited:
		v.after = f.Wait(a.Header, a.At)
	case schema.ClassContextWindow:
		if a.Status == http.StatusTooManyRequests || a.Status == http.StatusRequestEntityTooLarge {
			v.rest = time.Time{} // the limit is for all others as it was
		}
		return
	case schema.ClassContentPolicy, schema.ClassRequestFatal:
		return // no wait helps
	default:
		v.after = cmp.Or(protocol.RetryAfter(a.Header, a.At), f.After)
	}
	// Of the words on when to come back the last one counts.
	if at := a.At.Add(v.after); v.after > 0 && at.After(v.rest) {
		v.rest = at
	}
	if rest := v.rest.Sub(a.At); !v.rest.IsZero() && rest > v.after {
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
