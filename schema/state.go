package schema

import (
	"encoding/json"
	"time"
)

// Phase is where a job stands: the "state" of its [State].
type Phase string

// The phases of a job. All but the first two are final.
const (
	Queued              Phase = "queued"                // published, no owner has it yet
	Running             Phase = "running"               // an owner feeds it, or waits for its end
	Succeeded           Phase = "succeeded"             // every request succeeded
	CompletedWithErrors Phase = "completed_with_errors" // every request has a result, some failed
	Failed              Phase = "failed"                // every request failed, or the job was invalid or ended early
	Cancelled           Phase = "cancelled"             // by whoever cancelled it
	Expired             Phase = "expired"               // some requests had no answer at the deadline
)

// Final reports whether a job in this phase has ended.
func (p Phase) Final() bool { return p != "" && p != Queued && p != Running }

// The codes a [Reason] can have.
const (
	ReasonAllFailed    = "all_failed"    // every request failed
	ReasonFailFast     = "fail_fast"     // as many failed as [Job.FailFast] allows
	ReasonInvalidJob   = "invalid_job"   // see [Reason.Problems]
	ReasonIDConflict   = "id_conflict"   // the id belongs to a job with other content
	ReasonUnknownQueue = "unknown_queue" // no worker has ever served the queue
	ReasonNoDeployment = "no_deployment" // no deployment is left for what was still to be fed
	ReasonMaxCost      = "max_cost"      // it cost as much as [Job.MaxCost]
	ReasonCancelled    = "cancelled"     // somebody cancelled it
	ReasonDeadline     = "deadline"      // its deadline passed
)

// Reason says why a job ended other than succeeded.
type Reason struct {
	Code    string `json:"code"`            // one of the Reason constants
	Message string `json:"message"`         // for people
	Index   *int   `json:"index,omitempty"` // the request that decided it; nil: none did by itself

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
	Code       string `json:"code"`        // of the [Error]; its class where it has no code
	Count      int    `json:"count"`       // failed results with it
	FirstIndex int    `json:"first_index"` // the lowest index among them
}

// State describes a job as a whole. It is derived from results by the job's
// owner, its only writer.
type State struct {
	ID         string          `json:"id"`                    // the job's, unique in its queue
	ExternalID string          `json:"external_id,omitempty"` // the producer's own id, where it had to be replaced; see [NormalizeID]
	Queue      string          `json:"queue"`
	State      Phase           `json:"state"`
	Reason     *Reason         `json:"reason,omitempty"` // why it ended other than succeeded; nil otherwise
	Total      int             `json:"total"`            // requests; 0 while an input has not been read
	Counts     Counts          `json:"counts"`
	InFlight   int             `json:"in_flight"`          // requests fed and not parked, without a result
	Isolated   int             `json:"isolated,omitempty"` // requests without a result that are begun in trials, since each worker that had begun them was not heard of again
	Rate       float64         `json:"rate"`               // results per second, lately
	ETASeconds *float64        `json:"eta_s,omitempty"`    // seconds to the last result at this rate; nil when it cannot be told
	Usage      *Usage          `json:"usage,omitempty"`    // summed over all attempts of which it is known; nil: it is of none
	Cost       *float64        `json:"cost,omitempty"`     // USD, summed over all attempts of which it is known; nil: it is of none
	CreatedAt  time.Time       `json:"created_at"`         // when the job was published
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	UpdatedAt  time.Time       `json:"updated_at"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"` // nil until it has ended
	Errors     []ErrorCount    `json:"errors,omitempty"`      // the most frequent first, at most [MaxErrorCodes] codes
	Waiting    []Waiting       `json:"waiting,omitempty"`     // what the parked requests wait for, the most first, at most [MaxWaiting]; nil: none is parked
	RetryOf    string          `json:"retry_of,omitempty"`    // the job whose failures this one runs again; empty: none
	Callback   *Callback       `json:"callback,omitempty"`    // nil: the job names no webhook
	Metadata   json.RawMessage `json:"metadata,omitempty"`    // the job's

	// UnknownAttempts are the calls so far that may have been billed and of which
	// the usage is not known: where there are any, Usage and Cost are the least that
	// they can be. UnpricedAttempts have a usage and no cost: Cost is the least
	// then. See [Result]. States of earlier builds have neither.
	UnknownAttempts  int `json:"unknown_attempts,omitempty"`
	UnpricedAttempts int `json:"unpriced_attempts,omitempty"`

	Incomplete int `json:"incomplete,omitempty"` // successes whose answer is not all that was asked for: see [Result]
}

// Waiting is that requests of a job wait until a model's upstream takes more.
type Waiting struct {
	Model  string    `json:"model"`  // that they ask for
	Count  int       `json:"count"`  // of them
	Until  time.Time `json:"until"`  // when the first of them is called again
	Cause  string    `json:"cause"`  // in short: an HTTP status, the code of an error, limit, cooldown or pause
	Reason string    `json:"reason"` // of one of them, for people, with the upstream's own message
}

// MaxWaiting bounds the models a state lists as waited for.
const MaxWaiting = 5

// MaxErrorCodes bounds the distinct codes a state lists; further ones are
// counted under "other".
const MaxErrorCodes = 20

// Callback is how the call of a job's webhook stands. It never changes how the
// job ended.
type Callback struct {
	Name     string         `json:"name"` // of the webhook in the workers' configuration
	Status   CallbackStatus `json:"status"`
	Attempts int            `json:"attempts"`          // made so far
	NextAt   *time.Time     `json:"next_at,omitempty"` // of the next try; nil: there is none
	Error    string         `json:"error,omitempty"`   // of the last try; empty: there was none, or it was taken
}

// CallbackStatus is how far the call of a webhook has come.
type CallbackStatus string

// A callback is pending until its webhook has taken it, or was tried often enough.
const (
	CallbackPending   CallbackStatus = "pending"   // not taken yet; it is tried again
	CallbackDelivered CallbackStatus = "delivered" // the webhook answered with 2xx
	CallbackFailed    CallbackStatus = "failed"    // given up
)
