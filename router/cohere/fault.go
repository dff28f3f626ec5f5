package cohere

import (
	"fmt"
	"net/http"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
	"pelton/schema"
)

// failed describes an answer that is none.
func (p *Protocol) failed(reply protocol.Reply, made protocol.Answer) protocol.Answer {
	made.Body, made.Failed, made.JSON = reply.Body, true, rawjson.Valid(reply.Body)
	made.Fault = faultOf(reply.Status, reply.Body)
	if reply.Status == http.StatusNotFound && !made.Fault.NamesModel() && !strings.Contains(strings.ToLower(made.Fault.Message), "model") {
		made.Hint = fmt.Sprintf("; is the base URL %s complete? /v2/chat and /v2/embed are asked there", p.base)
	}
	return made
}

// faultOf reads an error of Cohere's, which is a message alone. status 0 is one that
// came in a stream.
func faultOf(status int, body []byte) protocol.Fault {
	f, _ := protocol.ReadFault(body)
	switch {
	case status == http.StatusTooManyRequests && f.Says("/ month", "per month", "/month"): // a trial key's share is used up
		f.Class, f.Scope = schema.ClassUpstreamFatal, protocol.WholeAccount
	case status == 498 && f.Says("deny", "blocked"): // of what is asked or answered
		f.Class = schema.ClassContentPolicy
	case status == 498, f.Says("invalid api token", "invalid api key", "no api key"):
		f.Class, f.Scope = schema.ClassUpstreamFatal, protocol.WholeAccount
	case status == 499: // its server gave up, for nobody here did
		f.Class = schema.ClassTransient
	case status == http.StatusNotImplemented:
		f.Class, f.Scope = schema.ClassUpstreamFatal, protocol.OneModel
	case (status == 0 || status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity) &&
		f.Says("too many tokens", "tokens in the prompt cannot exceed", "exceeds the model's", "maximum number of tokens"):
		f.Class = schema.ClassContextWindow
	}
	return f
}
