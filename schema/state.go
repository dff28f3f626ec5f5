package schema

import (
	"encoding/json"
	"time"
)

// Phase is where a job stands: the "state" of its [State].
type Phase string

// The phases of a job. All but the first two are final.
const (
	Queued              Phase = "queued"
	Running             Phase = "running"
	Succeeded           Phase = "succeeded"             // every request succeeded
	CompletedWithErrors Phase = "completed_with_errors" // every request has a result, some failed
	Failed              Phase = "failed"
	Cancelled           Phase = "cancelled"
	Expired             Phase = "expired"
)

// Final reports whether a job in this phase has ended.
func (p Phase) Final() bool { return p != "" && p != Queued && p != Running }

// The codes a [Reason] can have.
const (
	ReasonAllFailed    = "all_failed"
	ReasonFailFast     = "fail_fast"
	ReasonInvalidJob   = "invalid_job"
	ReasonIDConflict   = "id_conflict"
	ReasonUnknownQueue = "unknown_queue"
	ReasonNoDeployment = "no_deployment"
	ReasonMaxCost      = "max_cost"
	ReasonCancelled    = "cancelled"
	ReasonDeadline     = "deadline"
)

// Reason says why a job ended other than succeeded.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Index   *int   `json:"index,omitempty"` // the request that decided it, where one did

	// Problems are what is wrong with an invalid job, the first [MaxReasonProblems].
	Problems []Problem `json:"problems,omitempty"`
}

// MaxReasonProblems bounds the problems that a [Reason] lists one by one: every
// state message carries them.
const MaxReasonProblems = 20

// Counts are the results of a job by outcome. NotStarted is set when the job
// has ended: the requests that were never fed and so have no result.
type Counts struct {
	Succeeded  int `json:"succeeded"`
	Failed     int `json:"failed"`
	Cancelled  int `json:"cancelled"`
	Expired    int `json:"expired"`
	NotStarted int `json:"not_started"`
}

// Stored is the number of results that exist.
func (c Counts) Stored() int { return c.Succeeded + c.Failed + c.Cancelled + c.Expired }

// Add counts one more result of the given status.
func (c *Counts) Add(s Status) {
	switch s {
	case StatusSucceeded:
		c.Succeeded++
	case StatusFailed:
		c.Failed++
	case StatusCancelled:
		c.Cancelled++
	case StatusExpired:
		c.Expired++
	}
}

// ErrorCount groups the failures of a job by code.
type ErrorCount struct {
	Code       string `json:"code"`
	Count      int    `json:"count"`
	FirstIndex int    `json:"first_index"`
}

// State describes a job as a whole. It is derived from results by the job's
// owner, its only writer.
type State struct {
	ID         string          `json:"id"`
	ExternalID string          `json:"external_id,omitempty"` // the producer's own id, where it had to be replaced by a hash
	Queue      string          `json:"queue"`
	State      Phase           `json:"state"`
	Reason     *Reason         `json:"reason,omitempty"`
	Total      int             `json:"total"`
	Counts     Counts          `json:"counts"`
	InFlight   int             `json:"in_flight"`
	Rate       float64         `json:"rate"`            // results per second, lately
	ETASeconds *float64        `json:"eta_s,omitempty"` // nil when it cannot be told
	Usage      *Usage          `json:"usage,omitempty"`
	Cost       *float64        `json:"cost,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	UpdatedAt  time.Time       `json:"updated_at"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
	Errors     []ErrorCount    `json:"errors,omitempty"` // at most [MaxErrorCodes] codes
	RetryOf    string          `json:"retry_of,omitempty"`
	Callback   *Callback       `json:"callback,omitempty"` // nil: the job names no webhook
	Metadata   json.RawMessage `json:"metadata,omitempty"`
}

// MaxErrorCodes bounds the distinct codes a state lists; further ones are
// counted under "other".
const MaxErrorCodes = 20

// Callback is how the call of a job's webhook stands. It never changes how the
// job ended.
type Callback struct {
	Name     string         `json:"name"`
	Status   CallbackStatus `json:"status"`
	Attempts int            `json:"attempts"`
	NextAt   *time.Time     `json:"next_at,omitempty"` // of the next try
	Error    string         `json:"error,omitempty"`   // of the last try
}

// CallbackStatus is how far the call of a webhook has come.
type CallbackStatus string

// A callback is pending until its webhook has taken it, or was tried often enough.
const (
	CallbackPending   CallbackStatus = "pending"
	CallbackDelivered CallbackStatus = "delivered"
	CallbackFailed    CallbackStatus = "failed"
)
