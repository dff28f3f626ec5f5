package schema

import (
	"encoding/json"
	"time"
)

// Defaults and bounds of a job.
const (
	DefaultConcurrency = 8                // requests in flight
	MaxConcurrency     = 10_000           // requests in flight
	AutoConcurrency    = -1               // "auto": the owner finds the bound (experimental, see [Limits.AutoConcurrency])
	DefaultTimeout     = 10 * time.Minute // of an attempt of which nothing is known, and of a request that the router is given without a time
	DefaultDeadline    = 24 * time.Hour   // of a job, after its publish
)

// Job is a batch of requests, published once and run by whoever serves its
// queue. The zero value of every field but Requests (or Input) means its
// default. [Job.Validate] says what is wrong with a job, [Job.AppendJSON] makes
// its message and [ParseJob] reads one. A Job is plain data: reading it from
// several goroutines is safe, changing it is not.
type Job struct {
	// ID names the job in its queue: letters, digits, - and _, 1 to
	// [MaxIDLength], and not "j" with only digits behind it. The same id with the
	// same content is the same job, which is not run twice. Empty: the message's
	// Nats-Msg-Id, or the id of its CloudEvent, or "j" and its sequence.
	ID string

	// Requests are the calls to make, at least one and at most
	// [Limits.MaxRequests]. A request's index is its place here. Nil where Input
	// is set.
	Requests []Request

	// Input names an object that holds the requests instead, for jobs above the
	// broker's message limit. Nil: they are in Requests.
	Input *Input

	Order    Order    // in which results are handed out
	FailFast FailFast // when failures end the job; zero: never

	// Reply is the subject that results are relayed to, up to 512 characters,
	// without wildcards and outside of the server's and Pelton's own subjects.
	// Empty: results are read from their stream.
	Reply string

	// Callback names the webhook of the workers' configuration that is called at
	// the end. Empty: none.
	Callback string

	// Notify is the subject to publish the final state to, under the rules of
	// Reply. Empty: none.
	Notify string

	// Timeout is for one attempt of a request, one call of an upstream: what takes
	// longer is tried again. 0: the workers' configuration says, or else it is learned
	// from what the calls take, a minute at least.
	Timeout time.Duration

	// RequestTimeout is for each request from its first attempt on, with its retries
	// and all waits. 0: until the job's deadline.
	RequestTimeout time.Duration

	Deadline Deadline // for the whole job; zero: [DefaultDeadline] after its publish

	// Defaults is a JSON object. Its members are added to each body that lacks
	// them, see [Merge]. Empty: nothing is added.
	Defaults json.RawMessage

	// Metadata is a JSON object of up to [Limits.MaxMetadata] bytes that the
	// job's state repeats. Empty: none.
	Metadata json.RawMessage

	// Tags restrict the deployments to those that have at least one of them: up
	// to 32 of up to 128 characters. Empty: all may be used.
	Tags []string

	// MaxCost is the cost in USD at which the job ends, at most 1e9. It needs the
	// prices of the job's models in the workers' configuration. 0: no limit.
	MaxCost float64

	// SkipInvalid is "invalid": "skip": an invalid request becomes a failed
	// result. False: it makes the job invalid, and nothing runs.
	SkipInvalid bool

	IncludeRequest bool // results repeat the request's body

	// Concurrency bounds the requests in flight on all workers together: from 1
	// to [MaxConcurrency], or [AutoConcurrency]. 0: [DefaultConcurrency].
	Concurrency int
}

// Input names an object in the input bucket that holds one request per line, as
// [LineReader] reads them.
type Input struct {
	Object   string   `json:"object"`             // its name, 1 to 1,024 characters
	Endpoint Endpoint `json:"endpoint,omitempty"` // the one that every line is for; empty: each line says
}

// Request is one call to an OpenAI-compatible endpoint. The zero value is
// invalid, as it has no body.
type Request struct {
	// Body is the JSON object to send. It is kept byte for byte; the job's
	// Defaults are added when it is fed. At most [Limits.MaxBody] bytes.
	Body json.RawMessage

	CustomID string        // the producer's own name for it, up to 1,024 characters, unique in its job; empty: none
	URL      Endpoint      // empty: [ChatCompletions]
	Timeout  time.Duration // of one attempt; 0: the job's

	// Problem is set on a request that is not valid: why it cannot be sent, as
	// the error of its failed result. Body then holds what stood in its place,
	// the batch line around it included, always as valid JSON (text that is no
	// JSON as one string), or nil where it was too long to hold. Only parsers
	// set it; a job with such a request is invalid unless SkipInvalid is set.
	// Other requests may share it: do not modify it. Nil: the request is valid.
	Problem *Error
}

// Endpoint is the path of an OpenAI-compatible endpoint, from the host on. Where a
// request names none it is [ChatCompletions].
type Endpoint string

// The endpoints a request can go to.
const (
	ChatCompletions Endpoint = "/v1/chat/completions"
	Responses       Endpoint = "/v1/responses"
	Completions     Endpoint = "/v1/completions"
	Embeddings      Endpoint = "/v1/embeddings"
	Moderations     Endpoint = "/v1/moderations"
)

// Order is the order in which results are handed out.
type Order string

// The orders.
const (
	OrderDefault    Order = ""           // lists in input order, the relay and iterators in completion order
	OrderCompletion Order = "completion" // as results are stored
	OrderInput      Order = "input"      // by index: a result waits for those before it
)

// FailFast ends a job early when requests fail: by Failures, by Rate, or by
// whichever comes first. The zero value is off.
type FailFast struct {
	Failures int     // this many failed results end the job; 1 is "true" in the document; 0: off
	Rate     float64 // this share of failed results ends the job, above 0 and at most 1; 0: off
	After    int     // results that must be there before Rate counts; needs Rate
}

// Deadline is when a job has to be done. The zero value is [DefaultDeadline] after
// its publish. Workers refuse one beyond half of the time for which results are kept.
type Deadline struct {
	At    time.Time     // a moment, in the years 1000 to 9999; zero: After counts
	After time.Duration // from the job's publish on; 0: [DefaultDeadline]
}

// Time returns the moment the deadline falls on for a job published at t.
func (d Deadline) Time(t time.Time) time.Time {
	switch {
	case !d.At.IsZero():
		return d.At
	case d.After > 0:
		return t.Add(d.After)
	default:
		return t.Add(DefaultDeadline)
	}
}
