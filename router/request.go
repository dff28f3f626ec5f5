package router

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"pelton/schema"
)

// Request is one request to an OpenAI-compatible endpoint.
type Request struct {
	// Endpoint is where it goes. Empty: chat completions.
	Endpoint schema.Endpoint

	// Body is the JSON object to send, defaults filled in. Its "model" names
	// the group. It is not modified, and must not change until Do returns.
	Body json.RawMessage

	// Timeout covers all attempts and all waits.
	// 0: [schema.DefaultTimeout]; negative: the time has run out already.
	// A request that was parked comes back with what is left of it then.
	Timeout time.Duration

	// Expires is when the request is of no use any more, whatever its Timeout: what
	// ends by that is expired. Zero: never.
	Expires time.Time

	// AttemptTimeout bounds each attempt. 0: the deployment's Timeout, the [Config]'s,
	// or else what is learned of the group's calls: see [Router.Do].
	AttemptTimeout time.Duration

	// Waited is the Reason of the [Park] that the request comes back from.
	Waited string

	// Header holds further headers for each call, such as traceparent. They
	// replace none that the deployment sets.
	Header http.Header

	// Tags restrict the choice to deployments with any of them, or else to those
	// with the tag "default". Without tags, where a group has any with the tag
	// "default", only those are used.
	Tags []string

	// Earlier are the attempts made before the request was parked. They count
	// as if they had been made now, and stand first in [Outcome.Attempts].
	Earlier []schema.Attempt

	// Job and Index are whose request it is, for the log. An empty Job is left out.
	Job   string
	Index int

	// Trace follows the calls. Nil: nobody does.
	Trace Trace

	// Listener hears of the request while it runs: the chunks of one whose body
	// says "stream": true, and with Events set what happens to it. nil: nobody.
	Listener Listener
	Events   bool

	// NoPark makes the request wait here, however long, up to its timeout.
	NoPark bool
}

// Outcome is what came of a request. Status is empty exactly when it is parked.
type Outcome struct {
	Status schema.Status

	// Park is set when the request is to be brought back later; what there is
	// of attempts, usage and cost is then what came so far.
	Park *Park

	// Response is the last answer that an upstream gave, failed ones included;
	// nil when none came.
	Response *schema.Response

	Error    *schema.Error    // nil exactly when Status is succeeded, or Park is set
	Attempts []schema.Attempt // every call made, in order, the earlier ones first

	// Bill is what all attempts took and cost, as far as it is known. See [Prices].
	schema.Bill

	// Incomplete is of a success, as [schema.Result] has it.
	Incomplete string

	notReady *NotReadyError
}

// Err is the outcome as one error, nil for a success: with [errors.As] a
// *[schema.Error], and a *[NotReadyError] where the request was parked or could
// not wait as long as it had to.
func (o Outcome) Err() error {
	switch {
	case o.notReady == nil && o.Error == nil:
		return nil
	case o.notReady == nil:
		return o.Error
	case o.Error == nil:
		return o.notReady
	}
	return errors.Join(o.Error, o.notReady)
}
