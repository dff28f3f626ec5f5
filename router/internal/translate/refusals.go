package translate

import (
	"pelton/router/protocol"
	"pelton/schema"
)

// Refusals keep the first thing for which a request cannot be sent.
type Refusals struct {
	Server string // its name in what people read
	Drop   protocol.Drop
	Err    error
}

// Fail notes what is wrong with the request, which no deployment would take.
func (r *Refusals) Fail(param, message string) {
	if r.Err == nil {
		r.Err = &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Param: param, Message: message}
	}
}

// Unsupported notes a parameter that the server has no place for. why is a whole
// sentence or empty.
func (r *Refusals) Unsupported(param, why string) {
	if r.Err == nil {
		r.Err = protocol.Unsupported(r.Server, param, why)
	}
}

// LeaveOut notes a parameter that the server has no place for, unless it may be
// left out.
func (r *Refusals) LeaveOut(param, why string) {
	if !r.Drop.Out(param, why) {
		r.Unsupported(param, why)
	}
}
