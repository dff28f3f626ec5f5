package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ParseJob reads a job message; the zero [Limits] are the defaults. A byte order
// mark is passed over. The job's raw fields and bodies share data's
// memory: they are its bytes, untouched.
//
// An error is a [*Problems] with everything that is wrong. The job then holds
// what could be read of the envelope, so that its id and reply can be told of
// the failure, and no requests; it is never nil. With "invalid": "skip" an
// invalid request is no error: its [Request.Problem] says why.
func ParseJob(data []byte, limits Limits) (*Job, error) {
	j := &Job{}
	p := newEnvelope(j, limits)
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !json.Valid(data) {
		p.flag(ProblemJSON, "", "not valid JSON: %s", placed(syntaxError(data), data))
		p.flush()
		return j, p.problems.err()
	}
	data = data[skipSpace(data, 0):]
	if data[0] != '{' {
		hint := ""
		if data[0] == '[' {
			hint = `; write {"requests": [...]}`
		}
		p.flag(ProblemType, "", "must be an object, not %s%s", kind(data), hint)
		p.flush()
		return j, p.problems.err()
	}
	_ = walkObject(data, func(f field) { p.member(f.key, data[f.start:f.end], f.depth) })
	p.source()
	p.flush()
	p.setDefaults(j.Defaults)
	p.skip = j.SkipInvalid
	if p.array != nil {
		p.requests(p.array)
	}
	return j, p.problems.err()
}

// placed is a syntax error with its line and column in data.
func placed(err error, data []byte) string {
	syntax := (*json.SyntaxError)(nil)
	if len(bytes.TrimSpace(data)) == 0 {
		return "the message is empty"
	}
	if !errors.As(err, &syntax) {
		return err.Error()
	}
	before := data[:min(max(int(syntax.Offset), 0), len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Sprintf("line %d, column %d: %v", line, column, syntax)
}

// source checks that the requests come from one place.
func (p *envelope) source() {
	inline, object := p.has("requests"), p.has("input")
	switch {
	case inline && object:
		p.flag(ProblemValue, "input", `cannot stand beside "requests"; keep one`)
	case !inline && !object && p.messages:
		p.flag(ProblemMissing, "requests", `missing; this looks like one request: write {"requests": [ it ]}`)
	case !inline && !object:
		p.flag(ProblemMissing, "requests", `missing; a job has "requests" or "input"`)
	}
}

// requests reads the array. Nothing is kept of a job that is invalid already.
func (p *envelope) requests(array []byte) {
	total := 0
	walkArray(array, func([]byte, int) bool { total++; return true })
	switch {
	case total == 0:
		p.flag(ProblemMissing, "requests", "is empty; a job has at least one request")
	case total > p.limits.MaxRequests:
		p.flag(ProblemTooLarge, "requests", "has %d requests; at most %d are allowed", total, p.limits.MaxRequests)
	}
	p.flush()
	p.problems.Requests = total
	if total > p.limits.MaxRequests {
		return
	}
	var kept []Request
	p.sameID = func(first int, id string) bool { return first >= len(kept) || kept[first].CustomID == id }
	index := 0
	walkArray(array, func(element []byte, _ int) bool {
		r := p.request(element, index, 0)
		if p.problems.Total > 0 {
			kept = nil
		} else {
			if kept == nil {
				kept = make([]Request, 0, total)
			}
			kept = append(kept, r)
		}
		index++
		return true
	})
	p.job.Requests = kept
}
