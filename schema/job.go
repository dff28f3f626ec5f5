package schema

import (
	"encoding/json"
	"time"
)

// Defaults and bounds of a job.
const (
	DefaultConcurrency = 8
	MaxConcurrency     = 10_000
	AutoConcurrency    = -1 // "auto": the job finds its own bound (experimental)
	DefaultTimeout     = 10 * time.Minute
	DefaultDeadline    = 24 * time.Hour
)

// Job is a batch of requests, published once and run by whoever serves its
// queue. The zero value of every field but Requests (or Input) means its
// default.
type Job struct {
	ID             string    // letters, digits, - and _, up to 64; empty: given at publish
	Requests       []Request // either these …
	Input          *Input    // … or a reference to NDJSON in the object store
	Order          Order
	FailFast       FailFast
	Reply          string          // subject to relay results to; empty: none
	Callback       string          // webhook of the configuration to tell the end to; empty: none
	Notify         string          // subject to publish the final state to; empty: none
	Timeout        time.Duration   // per request with all its retries; 0: [DefaultTimeout]
	Deadline       Deadline        // for the whole job; zero: [DefaultDeadline] after publish
	Defaults       json.RawMessage // a JSON object whose fields fill in where a body lacks them
	Metadata       json.RawMessage // a JSON object, carried into the state
	Tags           []string        // only deployments with one of these are used
	MaxCost        float64         // USD at which the job ends; 0: no limit; needs the prices of its models
	SkipInvalid    bool            // "invalid": "skip": invalid requests become failed results instead of ending the job
	IncludeRequest bool            // "include_request": results repeat the request's body

	// Concurrency bounds the requests in flight on all workers together.
	// 0: [DefaultConcurrency]; at most [MaxConcurrency]; or [AutoConcurrency].
	Concurrency int
}

// Input names an object in the input bucket that holds one request per line.
type Input struct {
	Object   string   `json:"object"`
	Endpoint Endpoint `json:"endpoint,omitempty"` // the one that every line is for; empty: each line says
}

// Request is one call to an OpenAI-compatible endpoint.
type Request struct {
	Body     json.RawMessage // the JSON object to send, kept byte for byte
	CustomID string          // the producer's own name for it; unique in a job
	URL      Endpoint        // empty: [ChatCompletions]
	Timeout  time.Duration   // with all its retries; 0: the job's

	// Problem is set on a request that is not valid: why it cannot be sent, as
	// the error of its failed result. Body then holds what stood in its place,
	// the batch line around it included, always as valid JSON (text that is no
	// JSON as one string), or nil where it was too long to hold. Only parsers
	// set it; a job with such a request is invalid unless SkipInvalid is set. Other
	// requests may share it: do not modify it.
	Problem *Error
}

// Endpoint is the path of an OpenAI-compatible endpoint.
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

// The two orders. Absent, lists are in input order, and the relay and iterators
// in completion order.
const (
	OrderDefault    Order = ""
	OrderCompletion Order = "completion"
	OrderInput      Order = "input"
)

// FailFast ends a job early when requests fail. The zero value is off.
type FailFast struct {
	Failures int     // this many failures end the job; 1 is "true"; 0 is off
	Rate     float64 // this share of failures ends the job; 0 is off
	After    int     // results before Rate counts
}

// Deadline is a time or a time after publish. The zero value is "absent".
type Deadline struct {
	At    time.Time
	After time.Duration
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
