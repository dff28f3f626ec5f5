package anthropic

import (
	"pelton/router/protocol"
	"pelton/schema"
)

// server is Anthropic's name in what people read.
const server = "Anthropic"

// refusals keep the first thing for which a request cannot be sent.
type refusals struct {
	drop protocol.Drop
	err  error
}

// fail notes what is wrong with the request, which no deployment would take.
func (r *refusals) fail(param, message string) {
	if r.err == nil {
		r.err = &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Param: param, Message: message}
	}
}

// unsupported notes a parameter that Anthropic has no place for.
func (r *refusals) unsupported(param, why string) {
	if r.err == nil {
		r.err = protocol.Unsupported(server, param, why)
	}
}

// leaveOut notes a parameter that Anthropic has no place for, unless it may be
// left out.
func (r *refusals) leaveOut(param, why string) {
	if !r.drop.Out(param, why) {
		r.unsupported(param, why)
	}
}
