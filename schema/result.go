package schema

import (
	"encoding/json"
	"time"
)

// Status is the outcome of one request.
type Status string

// The outcomes a stored result can have. A request that was never fed has no
// result at all and is counted as not started.
const (
	StatusSucceeded Status = "succeeded"
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled" // was fed, then aborted
	StatusExpired   Status = "expired"   // was fed, then the job's deadline passed
)

// Result is the one final answer to one request of a job. Of two that are stored
// for one index the first stands. It holds raw JSON: write it by AppendJSON or
// AppendLine where its bytes matter.
type Result struct {
	ID         string          `json:"id"` // JOB.INDEX
	Job        string          `json:"job"`
	Index      int             `json:"index"`               // of the request in its job, from 0
	CustomID   string          `json:"custom_id,omitempty"` // the request's; empty: it has none
	Status     Status          `json:"status"`
	Request    json.RawMessage `json:"request,omitempty"`     // the body, when the job asked for it
	Response   *Response       `json:"response"`              // the upstream's last answer, failed ones included; nil: none came
	Error      *Error          `json:"error"`                 // nil exactly when Status is succeeded
	Attempts   []Attempt       `json:"attempts,omitempty"`    // every call made, in order
	Usage      *Usage          `json:"usage,omitempty"`       // summed over the attempts of which it is known; nil: it is of none
	Cost       *float64        `json:"cost,omitempty"`        // USD, summed over the attempts of which it is known; nil: it is of none
	TTFTMs     *float64        `json:"ttft_ms,omitempty"`     // milliseconds to the first token of the last attempt; nil: not streamed
	Incomplete string          `json:"incomplete,omitempty"`  // of a success: why the answer is not all that was asked for, see [IncompleteLength]; empty: it is
	QueuedAt   *time.Time      `json:"queued_at,omitempty"`   // when the job was published
	StartedAt  *time.Time      `json:"started_at,omitempty"`  // when a worker began it; nil: no call was made
	FinishedAt *time.Time      `json:"finished_at,omitempty"` // when the result was made, before it was stored

	// UnknownAttempts are those with UsageUnknown: where there are any, Usage and
	// Cost are the least that they can be. UnpricedAttempts have a usage and no
	// cost: Cost is the least then. Of results that earlier builds stored both
	// are 0, which says nothing.
	UnknownAttempts  int `json:"unknown_attempts,omitempty"`
	UnpricedAttempts int `json:"unpriced_attempts,omitempty"`

	// Seq is the result's place in the order of completion: the sequence of its
	// message in the results stream. 0 outside of what collectors hand out.
	Seq uint64 `json:"-"`

	// Model is the model asked for, set on the way to the store where no
	// deployment is left for it: the job's owner has to know.
	Model string `json:"-"`
}

// Why the answer of a success is not all that was asked for.
const (
	IncompleteLength = "length"         // it was to be JSON, and was cut at its longest
	IncompleteFilter = "content_filter" // a filter ended it
)

// Err returns the result's error, or nil exactly when it succeeded.
func (r *Result) Err() error {
	if r.Status == StatusSucceeded {
		return nil
	}
	if r.Error == nil {
		return &Error{Class: ClassInternal, Message: "result with status " + string(r.Status) + " carries no error"}
	}
	return r.Error
}

// Response is an upstream's answer. Body holds its bytes as they came; an
// answer that is no JSON is held as one JSON string. Of one that is not valid UTF-8
// Body has U+FFFD in the place of what is not, and BodyBase64 the bytes as they came.
type Response struct {
	StatusCode int             `json:"status_code"`           // of HTTP
	RequestID  string          `json:"request_id,omitempty"`  // the upstream's name for the call; empty: it gave none
	Body       json.RawMessage `json:"body"`                  // empty is written as null
	BodyBase64 []byte          `json:"body_base64,omitempty"` // all its bytes, where they are not valid UTF-8; else nil
}

// Attempt is one call to one deployment.
type Attempt struct {
	Deployment string    `json:"deployment"`        // its id in the configuration
	Model      string    `json:"model"`             // the name the upstream was given
	StartedAt  time.Time `json:"started_at"`        // when the call was made
	LatencyMs  float64   `json:"latency_ms"`        // from the call to the end of its answer
	WaitedMs   float64   `json:"waited_ms"`         // back-off and waiting for a free deployment before this call
	StatusCode int       `json:"status_code"`       // of HTTP; 0 when no answer came
	Error      *Error    `json:"error"`             // nil: it succeeded
	Usage      *Usage    `json:"usage,omitempty"`   // nil: the upstream reported none
	Cost       *float64  `json:"cost,omitempty"`    // USD; nil: unknown, or none
	TTFTMs     *float64  `json:"ttft_ms,omitempty"` // milliseconds to the first token; nil: not streamed

	// UsageUnknown says that the call may have been billed, and that nobody told
	// for how many tokens. Without Usage and UsageUnknown it certainly was not
	// billed: it never left, or the upstream refused to work on it.
	UsageUnknown bool `json:"usage_unknown,omitempty"`
}

// Usage is the upstream's count of tokens, under OpenAI's names. The zero value is
// none.
type Usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`     // of the request
	CompletionTokens int64 `json:"completion_tokens"` // of the answer
	TotalTokens      int64 `json:"total_tokens"`      // as the upstream says, which may count more than the other two
}

// Add returns the sum of u and o.
func (u Usage) Add(o Usage) Usage {
	return Usage{
		PromptTokens:     u.PromptTokens + o.PromptTokens,
		CompletionTokens: u.CompletionTokens + o.CompletionTokens,
		TotalTokens:      u.TotalTokens + o.TotalTokens,
	}
}
