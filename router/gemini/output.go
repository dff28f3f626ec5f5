package gemini

import (
	"fmt"

	"pelton/router/protocol"
	"pelton/schema"
)

// output is the request as far as it is written. What writes a part of it takes
// it over from what wrote the part before.
type output struct {
	target
	out []byte
	err error // the first thing that cannot be carried
}

// unsupported notes a parameter that has no place.
func (o *output) unsupported(param, why string) {
	if o.err == nil && !o.drop.Out(param, why) {
		o.err = protocol.Unsupported("Gemini", param, why)
	}
}

// bad notes what is wrong with the request.
func (o *output) bad(param, format string, args ...any) {
	if o.err != nil {
		return
	}
	message := fmt.Sprintf(format, args...)
	if param != "" {
		message = param + ": " + message
	}
	o.err = &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Param: param, Message: message}
}

// member begins another member of the request.
func (o *output) member(name string) {
	if o.out[len(o.out)-1] != '{' {
		o.out = append(o.out, ',')
	}
	o.out = append(append(append(o.out, '"'), name...), `":`...)
}

func (o *output) put(name string, value []byte) {
	if value != nil {
		o.member(name)
		o.out = append(o.out, value...)
	}
}
