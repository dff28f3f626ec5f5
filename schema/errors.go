package schema

import "fmt"

// Class says what kind of failure an [Error] is, and so what can be done about it.
type Class string

// The classes of failure. Every result that did not succeed has exactly one.
const (
	ClassTransient     Class = "transient"      // the upstream failed in a way that may pass
	ClassRateLimited   Class = "rate_limited"   // the upstream asked for a slower pace
	ClassUpstreamFatal Class = "upstream_fatal" // this deployment cannot serve anyone: bad key, no quota, no such model
	ClassRequestFatal  Class = "request_fatal"  // no deployment would take this request
	ClassContextWindow Class = "context_window" // the request is longer than the model reads
	ClassContentPolicy Class = "content_policy" // refused for its content
	ClassTimeout       Class = "timeout"        // the request's own time ran out
	ClassCancelled     Class = "cancelled"      // aborted: cancel, fail-fast or a hard stop
	ClassExpired       Class = "expired"        // the job's deadline passed first
	ClassInternal      Class = "internal"       // Pelton's own fault
)

// Error is why a request did not succeed. It is a Go error, and the "error"
// field of results and attempts. Several results may share one: do not modify it.
type Error struct {
	Class      Class  `json:"class"`                 // never empty
	Code       string `json:"code,omitempty"`        // the upstream's, or one of the Code constants; empty: none was given
	Type       string `json:"type,omitempty"`        // the upstream's "type"; empty: none was given
	Message    string `json:"message"`               // for people, bounded and without keys
	Param      string `json:"param,omitempty"`       // the field of the request that is to blame; empty: unknown
	StatusCode int    `json:"status_code,omitempty"` // HTTP status of the upstream's answer; 0 when there was none
}

// Error returns class, code and message on one line.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s: %s", e.Class, e.Message)
	}
	return fmt.Sprintf("%s (%s): %s", e.Class, e.Code, e.Message)
}

// Code values that Pelton itself puts into an [Error]; an upstream's own codes
// are passed on as they came.
const (
	CodeCancelled       = "batch_cancelled"  // its job was cancelled or ended early; OpenAI's name, as the next two
	CodeExpired         = "batch_expired"    // OpenAI's name for a line that its batch did not reach in time
	CodeTimeout         = "request_timeout"  // its own timeout was over
	CodeConnection      = "connection_error" // no answer came from the upstream, or half of one
	CodeStaleConnection = "stale_connection" // of an attempt: the upstream had closed the kept connection; sent once more at once, at no cost
	CodeNoDeployment    = "no_deployment"    // no deployment is left that could take it
	CodeInvalidRequest  = "invalid_request"  // it was never sent, see [Request.Problem]
	CodeWorkerDied      = "worker_died"      // its worker died each time it was begun
)
