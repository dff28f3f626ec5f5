package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseResult reads a result. Fields it does not know are passed over, so that
// older readers understand newer workers; the bytes of the request and of the
// response's body stay as they are. It fails when data is no JSON object, when
// job, index or status are missing or wrong, or when there is an error beside
// success or none beside failure.
func ParseResult(data []byte) (*Result, error) {
	r, hasIndex, ok := readResult(data)
	if !ok {
		var err error
		if r, hasIndex, err = unmarshalResult(data); err != nil {
			return nil, fmt.Errorf("result: %w", err)
		}
	}
	if string(r.Request) == "null" {
		r.Request = nil
	}
	switch {
	case !hasIndex:
		return nil, errors.New("result: index: missing")
	case r.Index < 0:
		return nil, fmt.Errorf("result: index: must not be negative, not %d", r.Index)
	case r.Job == "":
		return nil, errors.New("result: job: missing")
	}
	switch r.Status {
	case StatusSucceeded, StatusFailed, StatusCancelled, StatusExpired:
	default:
		return nil, fmt.Errorf("result %d: status: must be succeeded, failed, cancelled or expired, not %q", r.Index, clip(string(r.Status)))
	}
	if (r.Status == StatusSucceeded) != (r.Error == nil) {
		return nil, fmt.Errorf("result %d: error: must be there exactly when status is not succeeded; status is %s", r.Index, r.Status)
	}
	return r, nil
}

func unmarshalResult(data []byte) (r *Result, hasIndex bool, err error) {
	r = new(Result)
	raw := struct {
		*Result
		Index *int `json:"index"` // to tell 0 from nothing
	}{Result: r}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, false, err
	}
	if raw.Index != nil {
		r.Index = *raw.Index
	}
	return r, raw.Index != nil, nil
}

// ParseState reads a job's state. Fields it does not know are passed over. It
// fails when data is no JSON object or has no id or no known state.
func ParseState(data []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if string(s.Metadata) == "null" {
		s.Metadata = nil
	}
	if s.ID == "" {
		return nil, errors.New("state: id: missing")
	}
	switch s.State {
	case Queued, Running, Succeeded, CompletedWithErrors, Failed, Cancelled, Expired:
		return &s, nil
	}
	return nil, fmt.Errorf("state of %s: state: no such state: %q", clip(s.ID), clip(string(s.State)))
}

// Cancel is the message that ends a job early. The zero value gives no reason.
type Cancel struct {
	Reason string `json:"reason,omitempty"` // for people; cut at 1,000 bytes when read

	// Code and Index are those of the [Reason], where the job's owner ends it.
	Code  string `json:"code,omitempty"`
	Index *int   `json:"index,omitempty"`
}

// ParseCancel reads a cancel message: {"reason":"…"} or nothing. It never
// fails: whoever publishes to that subject wants the job to end, so any other
// text is taken as the reason itself.
func ParseCancel(data []byte) Cancel {
	var c Cancel
	if data = bytes.TrimSpace(data); len(data) == 0 {
		return c
	}
	if json.Unmarshal(data, &c) != nil || data[0] != '{' {
		c = Cancel{Reason: string(data)}
	}
	if len(c.Reason) > 1000 {
		cut := 1000
		for !utf8.RuneStart(c.Reason[cut]) && cut > 996 {
			cut--
		}
		c.Reason = c.Reason[:cut]
	}
	c.Reason = strings.ToValidUTF8(c.Reason, "\ufffd")
	return c
}
