package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MarshalJSON returns the job's document: what [Job.AppendJSON] appends.
// [json.Marshal] removes the space between tokens and escapes <, > and &
// afterwards; use AppendJSON where bodies must keep their bytes.
func (j Job) MarshalJSON() ([]byte, error) { return j.AppendJSON(nil) }

// UnmarshalJSON reads a job's document as [ParseJob] does with the default
// [Limits], and replaces the whole of j. It takes a concurrency of "auto": whether
// that is switched on is for the workers to say. The error is a [*Problems] and
// leaves j as it is; null is no error and does the same.
func (j *Job) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	read, err := ParseJob(bytes.Clone(data), Limits{AutoConcurrency: true})
	if err != nil {
		return err
	}
	*j = *read
	return nil
}

// MarshalJSON returns the request as an element of a job's "requests": what
// [AppendRequest] appends. It fails when the body is not JSON.
func (r Request) MarshalJSON() ([]byte, error) {
	if !json.Valid(r.Body) {
		return nil, fmt.Errorf("request: body: not valid JSON: %w", bodyError(r.Body))
	}
	return AppendRequest(nil, r), nil
}

// UnmarshalJSON reads an element of a job's "requests" as [ParseRequest] does
// with the default [Limits], and replaces the whole of r. The job's defaults are
// not known here, so a body may lack what they can supply. The error is a
// [*Problems] and leaves r as it is; null is no error and does the same.
func (r *Request) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	supplied := json.RawMessage(`{"model":"m","messages":[],"input":"","prompt":""}`)
	read, err := ParseRequest(bytes.Clone(data), Limits{}, supplied)
	if err != nil {
		return err
	}
	*r = read
	return nil
}

// SetText sets the field that a job's document calls name from text, as people
// write it in a flag or a label:
//
//	concurrency      "64", "auto"
//	fail_fast        "true", "false", or the failures that end the job: "10"
//	include_request  "true", "false"
//	max_cost         "2.50", in USD
//	tags             "free,eu"; empty: none
//	timeout          "10m", "1h30m", also Go's other forms: ".5h"
//	deadline         the same, or "2030-01-31T18:00:00Z"
//
// id, order, reply, callback, notify and invalid are what stands between the
// quotes in the document. The rules are those of [ParseJob]; the zero [Limits]
// are the defaults. The error says what is wrong and what to
// write, without the field's name, and leaves the job as it is.
func (j *Job) SetText(name, text string, limits Limits) error {
	place := jobFieldPlace([]byte(name))
	if place < 0 || jobFields[place].text == nil {
		return fmt.Errorf("there is no field %q that can be set from text", clip(name))
	}
	f := &jobFields[place]
	p := newEnvelope(j, limits)
	bad := f.read(p, f.text(text), 0)
	switch {
	case bad.code == "" && len(p.found) == 0:
		return nil
	case bad.code == "":
		return errors.New(p.found[0].Message)
	}
	// Whoever wrote the text knows no JSON types.
	if rest, found := strings.CutSuffix(bad.message, ", not a string"); found {
		return fmt.Errorf("%s, not %q", rest, clip(text))
	}
	return errors.New(bad.message)
}
