package faultyllm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Fault is a way for a call to fail. Besides the named ones any status from 400
// to 599 is a fault, for example "418": the plain error answer of that status.
type Fault string

// Answers with an error status and OpenAI's error body.
const (
	FaultBadRequest    Fault = "bad_request"     // 400 invalid_request_error
	FaultContextLength Fault = "context_length"  // 400 context_length_exceeded
	FaultContentFilter Fault = "content_filter"  // 400 content_filter
	FaultAuth          Fault = "auth"            // 401 invalid_api_key
	FaultForbidden     Fault = "forbidden"       // 403 unsupported_country_region_territory
	FaultModelNotFound Fault = "model_not_found" // 404 model_not_found
	FaultTimeout       Fault = "timeout"         // 408
	FaultTooLarge      Fault = "too_large"       // 413
	FaultUnprocessable Fault = "unprocessable"   // 422
	FaultRateLimit     Fault = "rate_limit"      // 429 rate_limit_exceeded
	FaultQuota         Fault = "quota"           // 429 insufficient_quota
	FaultServerError   Fault = "server_error"    // 500
	FaultUnavailable   Fault = "unavailable"     // 503
	FaultOverloaded    Fault = "overloaded"      // 529
)

// Answers that are malformed, late, or do not come.
const (
	// FaultBadGateway answers 502 with a page of HTML, as a proxy would.
	FaultBadGateway Fault = "bad_gateway"
	// FaultHTML answers 200 with a page of HTML.
	FaultHTML Fault = "html"
	// FaultHang takes the request and never answers; it ends when the client
	// goes away or the server is closed.
	FaultHang Fault = "hang"
	// FaultReset resets the TCP connection (RST) half-way through the answer.
	FaultReset Fault = "reset"
	// FaultClose closes the connection without a byte of answer.
	FaultClose Fault = "close"
	// FaultTruncated answers 200 with the first half of the JSON. A stream
	// ends half-way, without finish_reason and [DONE].
	FaultTruncated Fault = "truncated"
	// FaultErrorIn200 answers 200 with an error object. A stream breaks off
	// half-way with one.
	FaultErrorIn200 Fault = "error_in_200"
	// FaultNoChoices answers 200 with an empty list of choices (or data,
	// output, results). A stream consists of [DONE] only.
	FaultNoChoices Fault = "no_choices"
	// FaultEmpty answers 200 with an empty body.
	FaultEmpty Fault = "empty"
	// FaultContentType gives the right answer as text/html.
	FaultContentType Fault = "content_type"
	// FaultSlow gives the right answer at SlowBytesPerSecond.
	FaultSlow Fault = "slow"
)

// shape is how a failure reaches the client.
type shape uint8

const (
	shapeError shape = iota // an error body under an error status
	shapeHTML
	shapeHang
	shapeReset
	shapeClose
	shapeTruncated
	shapeErrorIn200
	shapeNoChoices
	shapeEmpty
	shapeContentType
	shapeSlow
)

var faults = map[Fault]failure{
	FaultBadRequest:    {status: 400, message: "The request is invalid."},
	FaultContextLength: {status: 400, code: "context_length_exceeded", param: "messages", message: "This model's maximum context length is 8192 tokens. However, your messages resulted in more. Please reduce the length of the messages."},
	FaultContentFilter: {status: 400, code: "content_filter", param: "prompt", message: "The response was filtered due to the prompt triggering the content management policy."},
	FaultAuth:          {status: 401, code: "invalid_api_key", message: "Incorrect API key provided."},
	FaultForbidden:     {status: 403, typ: "request_forbidden", code: "unsupported_country_region_territory", message: "Country, region, or territory not supported."},
	FaultModelNotFound: {status: 404, code: "model_not_found", param: "model", message: "The model does not exist or you do not have access to it."},
	FaultTimeout:       {status: 408, typ: "timeout", message: "The request timed out."},
	FaultTooLarge:      {status: 413, message: "The request body is too large."},
	FaultUnprocessable: {status: 422, message: "The request cannot be processed."},
	FaultRateLimit:     {status: 429, typ: "requests", code: "rate_limit_exceeded", message: "Rate limit reached. Please slow down.", retry: true},
	FaultQuota:         {status: 429, typ: "insufficient_quota", code: "insufficient_quota", message: "You exceeded your current quota, please check your plan and billing details."},
	FaultServerError:   {status: 500, typ: "server_error", message: "The server had an error while processing your request. Sorry about that!"},
	FaultUnavailable:   {status: 503, typ: "server_error", message: "The engine is currently overloaded, please try again later.", retry: true},
	FaultOverloaded:    {status: 529, typ: "overloaded_error", code: "server_is_overloaded", message: "Overloaded.", retry: true},

	FaultBadGateway:  {status: 502, shape: shapeHTML},
	FaultHTML:        {status: 200, shape: shapeHTML},
	FaultHang:        {status: 200, shape: shapeHang},
	FaultReset:       {status: 200, shape: shapeReset},
	FaultClose:       {status: 200, shape: shapeClose},
	FaultTruncated:   {status: 200, shape: shapeTruncated},
	FaultErrorIn200:  {status: 200, shape: shapeErrorIn200, typ: "server_error", message: "The model failed to produce an answer."},
	FaultNoChoices:   {status: 200, shape: shapeNoChoices},
	FaultEmpty:       {status: 200, shape: shapeEmpty},
	FaultContentType: {status: 200, shape: shapeContentType},
	FaultSlow:        {status: 200, shape: shapeSlow},
}

// Faults lists the named faults in alphabetical order.
func Faults() []Fault { return slices.Sorted(maps.Keys(faults)) }

// ParseFault checks that a text names a fault or is an error status.
func ParseFault(text string) (Fault, error) {
	f := Fault(text)
	if _, ok := faults[f]; ok {
		return f, nil
	}
	if _, ok := f.asStatus(); ok {
		return f, nil
	}
	return "", fmt.Errorf("unknown fault %q: want a status from 400 to 599 or one of %s", text, joinFaults(Faults()))
}

func (f Fault) asStatus() (int, bool) {
	n, err := strconv.Atoi(string(f))
	return n, err == nil && n >= 400 && n <= 599
}

// failureOf expands a fault that ParseFault has accepted.
func failureOf(f Fault) failure {
	if fail, ok := faults[f]; ok {
		fail.fault = f
		return fail
	}
	status, _ := f.asStatus()
	fail := failureOfStatus(status)
	fail.fault = f
	return fail
}

func joinFaults(fs []Fault) string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}
