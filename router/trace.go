package router

import (
	"net/http"

	"pelton/schema"
)

// Trace follows the calls of one request: see [Request.Trace]. Its methods are
// called by the goroutine that called Do.
type Trace interface {
	// Call is told of a call just before it is made: the deployment, and the
	// model's name there. The headers that it returns go with the call, in the
	// place of [Request.Header]. ended, which must not be nil, is called once,
	// when the call is over, with its record and the answer, nil when none came.
	Call(d DeploymentInfo, model string) (header http.Header, ended func(schema.Attempt, *schema.Response))
}

// trace tells the request's trace, where it has one, of a call to d.
func (r *run) trace(d *deployment, model string) (ended func(schema.Attempt, *schema.Response)) {
	r.header = r.req.Header
	if r.req.Trace != nil {
		r.header, ended = r.req.Trace.Call(d.info(), model)
	}
	return ended
}
