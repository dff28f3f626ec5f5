package gateway

import (
	"encoding/json"
	"strings"
	"time"

	"pelton/schema"
)

// originKey is where a job's metadata says what it is as a batch.
const originKey = "pelton_batch"

// origin is what a batch is beyond its job.
type origin struct {
	Key       string `json:"key,omitempty"` // whose it is; empty: nobody's in particular
	InputFile string `json:"input_file_id"`
	Endpoint  string `json:"endpoint"`
	Window    string `json:"completion_window"`
	KeepFor   int64  `json:"output_expires_after,omitempty"` // seconds; 0: as long as results are kept
	TooMany   string `json:"too_many,omitempty"`             // why it fails, where its file has too many lines: none of them is in the job
}

// batchID and jobID are the two names of one thing.
const batchPrefix = "batch_"

func jobID(batch string) (string, bool) {
	id, ok := strings.CutPrefix(batch, batchPrefix)
	return id, ok && schema.ValidQueue(id)
}

// batch is a job as OpenAI's API describes it. Times are in Unix seconds.
type batch struct {
	ID               string        `json:"id"`
	Object           string        `json:"object"`
	Endpoint         string        `json:"endpoint"`
	Errors           *batchErrors  `json:"errors"`
	InputFileID      string        `json:"input_file_id"`
	CompletionWindow string        `json:"completion_window"`
	Status           string        `json:"status"`
	OutputFileID     *string       `json:"output_file_id"`
	ErrorFileID      *string       `json:"error_file_id"`
	CreatedAt        int64         `json:"created_at"`
	InProgressAt     *int64        `json:"in_progress_at"`
	ExpiresAt        *int64        `json:"expires_at"`
	FinalizingAt     *int64        `json:"finalizing_at"`
	CompletedAt      *int64        `json:"completed_at"`
	FailedAt         *int64        `json:"failed_at"`
	ExpiredAt        *int64        `json:"expired_at"`
	CancellingAt     *int64        `json:"cancelling_at"`
	CancelledAt      *int64        `json:"cancelled_at"`
	RequestCounts    requestCounts `json:"request_counts"`
	Usage            *usage        `json:"usage"`
	Metadata         any           `json:"metadata"` // of strings, or null

	Pelton extension `json:"pelton"`
}

type batchErrors struct {
	Object string       `json:"object"`
	Data   []batchError `json:"data"`
}

type batchError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int    `json:"line"`
}

type requestCounts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

type usage struct {
	InputTokens        int64            `json:"input_tokens"`
	InputTokensDetails map[string]int64 `json:"input_tokens_details"`
	OutputTokens       int64            `json:"output_tokens"`
	OutputDetails      map[string]int64 `json:"output_tokens_details"`
	TotalTokens        int64            `json:"total_tokens"`
}

// extension is what OpenAI's batches do not have.
type extension struct {
	Job      string        `json:"job"`
	Queue    string        `json:"queue"`
	State    schema.Phase  `json:"state"`
	Reason   string        `json:"reason,omitempty"`
	Counts   schema.Counts `json:"counts"`
	InFlight int           `json:"in_flight"`
	Rate     float64       `json:"rate"`
	ETA      *float64      `json:"eta_s,omitempty"`
	Cost     *float64      `json:"cost,omitempty"`

	// As in a job's state: where there are any, usage and cost are the least.
	UnknownAttempts  int `json:"unknown_attempts,omitempty"`
	UnpricedAttempts int `json:"unpriced_attempts,omitempty"`

	RetryOf string `json:"retry_of,omitempty"`
}

// readMetadata takes a job's metadata apart: what the gateway wrote, and what is
// the client's own, as strings.
func readMetadata(raw json.RawMessage) (o origin, own map[string]string) {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return o, nil
	}
	for name, value := range all {
		if name == originKey {
			_ = json.Unmarshal(value, &o) // of a job that somebody else made: nothing
			continue
		}
		if own == nil {
			own = map[string]string{}
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		own[name] = text
	}
	return o, own
}

// batchOf describes a job. cancelled says that it was told to end.
func batchOf(s *schema.State, cancelled bool, longest time.Duration) *batch {
	o, own := readMetadata(s.Metadata)
	b := &batch{
		ID: batchPrefix + s.ID, Object: "batch", Endpoint: o.Endpoint, InputFileID: o.InputFile,
		CompletionWindow: o.Window, Status: statusOf(s, cancelled), CreatedAt: s.CreatedAt.Unix(), Metadata: orNone(own),
		RequestCounts: requestCounts{Total: s.Total, Completed: s.Counts.Succeeded, Failed: s.Counts.Stored() - s.Counts.Succeeded},
		Pelton: extension{Job: s.ID, Queue: s.Queue, State: s.State, Counts: s.Counts, InFlight: s.InFlight, Rate: s.Rate,
			ETA: s.ETASeconds, Cost: s.Cost, UnknownAttempts: s.UnknownAttempts, UnpricedAttempts: s.UnpricedAttempts, RetryOf: s.RetryOf},
	}
	if o == (origin{}) { // submitted over NATS or by the command line
		b.Endpoint, b.InputFileID = string(schema.ChatCompletions), inputPrefix+s.ID
		b.CompletionWindow = min(schema.DefaultDeadline, longest).String()
	}
	if s.State == schema.Expired {
		b.RequestCounts.Failed += s.Counts.NotStarted // they have their lines in the error file
	}
	if window, err := parseWindow(b.CompletionWindow); err == nil {
		b.ExpiresAt = unix(s.CreatedAt.Add(window))
	}
	if s.StartedAt != nil && b.Status != "validating" && (s.Reason == nil || s.Reason.Code != schema.ReasonInvalidJob) {
		b.InProgressAt = unix(*s.StartedAt)
	}
	if s.Usage != nil {
		b.Usage = &usage{s.Usage.PromptTokens, map[string]int64{"cached_tokens": 0}, s.Usage.CompletionTokens, map[string]int64{"reasoning_tokens": 0}, s.Usage.TotalTokens}
	}
	b.end(s, o)
	return b
}

// end adds what an ended job has.
func (b *batch) end(s *schema.State, o origin) {
	if s.Reason != nil {
		b.Pelton.Reason = s.Reason.Code
	}
	switch b.Status {
	case "cancelling":
		b.CancellingAt = unix(s.UpdatedAt)
	case "finalizing":
		b.FinalizingAt = unix(s.UpdatedAt)
	}
	if !s.State.Final() || s.FinishedAt == nil {
		return
	}
	at := unix(*s.FinishedAt)
	switch b.Status {
	case "completed":
		b.FinalizingAt, b.CompletedAt = at, at
	case "failed":
		b.FailedAt, b.Errors = at, errorsOf(s.Reason, o)
	case "expired":
		b.FinalizingAt, b.ExpiredAt = at, at
	case "cancelled":
		b.CancellingAt, b.CancelledAt = at, at
	}
	if o.KeepFor == 0 || time.Now().Before(s.FinishedAt.Add(time.Duration(o.KeepFor)*time.Second)) {
		b.OutputFileID, b.ErrorFileID = fileIDs(s)
	}
}

// statusOf is where a job stands in OpenAI's words.
func statusOf(s *schema.State, cancelled bool) string {
	switch s.State {
	case schema.Succeeded, schema.CompletedWithErrors:
		return "completed"
	case schema.Cancelled:
		return "cancelled"
	case schema.Expired:
		return "expired"
	case schema.Failed:
		if s.Reason != nil && s.Reason.Code == schema.ReasonAllFailed {
			return "completed" // every request has its line, if in the error file
		}
		return "failed"
	}
	switch {
	case cancelled:
		return "cancelling"
	case s.State == schema.Queued, s.Total == 0: // its owner has not judged the input
		return "validating"
	case s.Counts.Stored() == s.Total:
		return "finalizing"
	}
	return "in_progress"
}

// errorsOf says why a job failed as a whole: line by line, where its input was
// not valid.
func errorsOf(reason *schema.Reason, o origin) *batchErrors {
	list := &batchErrors{Object: "list", Data: []batchError{}}
	if reason == nil {
		return list
	}
	if o.TooMany != "" {
		list.Data = append(list.Data, batchError{Code: codeTooManyTasks, Message: o.TooMany})
		return list
	}
	for i := range reason.Problems {
		p := &reason.Problems[i]
		e := batchError{Code: lineCode(p), Message: p.Message}
		if p.Line > 0 {
			e.Line = &p.Line
		}
		if p.Field != "" {
			e.Param = &p.Field
		}
		list.Data = append(list.Data, e)
	}
	if len(list.Data) == 0 {
		e := batchError{Code: reason.Code, Message: reason.Message}
		if reason.Index != nil {
			line := *reason.Index + 1
			e.Line = &line
		}
		list.Data = append(list.Data, e)
	}
	return list
}

func unix(t time.Time) *int64 {
	n := t.Unix()
	return &n
}

func orNone(m map[string]string) any {
	if m == nil {
		return nil
	}
	return m
}
