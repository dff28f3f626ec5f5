package translate

import (
	"bytes"

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

// Foreign deals with those parameters of OpenAI's that no server of another form has a
// place for, and reports whether it is one. What asks for no more than OpenAI does by
// itself is left out.
func (r *Refusals) Foreign(name string, value []byte) bool {
	switch name {
	case "n":
		if string(value) != "1" { // not by drop_params: one answer is less than was paid for
			r.Unsupported("n", "it gives one answer per request")
		}
	case "verbosity":
		if string(value) != `"medium"` {
			r.LeaveOut(name, "")
		}
	case "modalities":
		if bytes.Contains(value, []byte(`"audio"`)) {
			r.LeaveOut(name, "it answers with text alone")
		}
	case "functions", "function_call":
		if protocol.Present(value) {
			r.Unsupported(name, "write tools and tool_choice instead")
		}
	default:
		return false
	}
	return true
}
