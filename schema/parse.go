package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseJob reads a job message. The job's raw fields and bodies share data's
// memory: they are its bytes, untouched.
//
// An error is a [*Problems] with everything that is wrong. The job then holds
// what could be read of the envelope, so that its id and reply can be told of
// the failure, and no requests; it is never nil. With "invalid": "skip" an
// invalid request is no error: its [Request.Problem] says why.
func ParseJob(data []byte, limits Limits) (*Job, error) {
	c := newChecker(limits)
	j := &Job{}
	p := &envelope{checker: c, job: j}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !json.Valid(data) {
		p.flag(ProblemJSON, "", "not valid JSON: %s", placed(syntaxError(data), data))
		p.flush()
		return j, c.problems.err()
	}
	data = data[skipSpace(data, 0):]
	if data[0] != '{' {
		hint := ""
		if data[0] == '[' {
			hint = `; write {"requests": [...]}`
		}
		p.flag(ProblemType, "", "must be an object, not %s%s", kind(data), hint)
		p.flush()
		return j, c.problems.err()
	}
	raw := map[string]json.RawMessage{}
	_ = walkObject(data, func(f field) { p.member(raw, string(f.key), data[f.start:f.end], f.depth) })
	p.source(raw)
	p.flush()
	c.setDefaults(j.Defaults)
	c.skip = j.SkipBad
	if array := raw["requests"]; len(array) > 0 && array[0] == '[' {
		p.requests(array)
	}
	return j, c.problems.err()
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

// envelope reads the fields around the requests into a job.
type envelope struct {
	*checker
	job *Job
}

// jobFields are the names an envelope can have, in the order people read them.
var jobFields = []string{
	"id", "requests", "input", "concurrency", "order", "fail_fast", "reply", "timeout", "deadline", "max_cost",
	"defaults", "tags", "include_request", "invalid", "metadata",
}

// member reads one field of the envelope.
func (p *envelope) member(seen map[string]json.RawMessage, key string, raw json.RawMessage, depth int) {
	if _, again := seen[key]; again {
		p.flag(ProblemDuplicateField, clip(key), "stands twice; keep one")
		p.flush()
		return
	}
	seen[key] = raw
	j := p.job
	var bad fault
	switch key {
	case "id":
		var id string
		if id, bad = readString(raw); bad.code == "" {
			if text := idFault(id); text != "" {
				bad = faulty(ProblemValue, "%s, not %q", text, clip(id))
			} else {
				j.ID = id
			}
		}
	case "requests":
		if raw[0] != '[' {
			bad = faulty(ProblemType, "must be an array of requests, not %s", kind(raw))
		}
	case "input":
		j.Input, bad = p.input(raw)
	case "concurrency":
		if string(raw) == `"auto"` {
			bad = faulty(ProblemExperimentalOff, `"auto" is experimental and not switched on; write a number from 1 to %d`, MaxConcurrency)
		} else {
			j.Concurrency, bad = readInt(raw, 1, MaxConcurrency)
		}
	case "order":
		var order string
		if order, bad = readString(raw); bad.code == "" {
			j.Order = Order(order)
			bad = checkOrder(j.Order, false)
		}
	case "fail_fast":
		j.FailFast, bad = p.failFast(raw)
	case "reply":
		var reply string
		if reply, bad = readString(raw); bad.code == "" {
			if bad = checkReply(reply, p.limits.Prefix); bad.code == "" {
				j.Reply = reply
			}
		}
	case "timeout":
		j.Timeout, bad = readDuration(raw)
	case "deadline":
		j.Deadline, bad = readDeadline(raw)
	case "max_cost":
		if cost, err := strconv.ParseFloat(string(raw), 64); err != nil || cost <= 0 {
			bad = faulty(ProblemType, "must be a number above 0, in USD")
		}
	case "tags":
		if json.Unmarshal(raw, new([]string)) != nil || raw[0] != '[' {
			bad = faulty(ProblemType, "must be an array of strings, not %s", kind(raw))
		}
	case "defaults":
		j.Defaults, bad = readObject(raw)
	case "include_request":
		j.WithBodies, bad = readBool(raw)
	case "invalid":
		if string(raw) != `"skip"` {
			bad = faulty(ProblemValue, `must be "skip" or left out`)
		}
		j.SkipBad = bad.code == ""
	case "metadata":
		if j.Metadata, bad = readObject(raw); bad.code == "" {
			if bad = p.checkMetadata(raw, depth); bad.code != "" {
				j.Metadata = nil
			}
		}
	default:
		hint := ""
		if p.problems.Total < MaxProblems {
			hint = suggest(key)
		}
		bad = faulty(ProblemUnknownField, "is no field of a job%s", hint)
	}
	if needs := unavailable(key); needs != "" && bad.code == "" {
		bad = fault{ProblemUnavailable, needs}
	}
	p.flagFault(bad, clip(key))
	p.flush()
}

func (p *envelope) checkMetadata(raw []byte, depth int) fault {
	if len(raw) > p.limits.MaxMetadata {
		return faulty(ProblemTooLarge, "is %d bytes long; at most %d is allowed, as every state message carries it", len(raw), p.limits.MaxMetadata)
	}
	if depth > p.limits.MaxDepth {
		return faulty(ProblemTooLarge, "nests %d deep; at most %d is allowed", depth, p.limits.MaxDepth)
	}
	return fault{}
}

func checkOrder(order Order, absent bool) fault {
	if order == OrderCompletion || order == OrderInput || absent && order == OrderDefault {
		return fault{}
	}
	return faulty(ProblemValue, `must be "completion" or "input", not %q`, clip(string(order)))
}

func (p *envelope) input(raw []byte) (*Input, fault) {
	if raw[0] != '{' {
		return nil, faulty(ProblemType, `must be an object {"object": NAME}, not %s`, kind(raw))
	}
	in, found := Input{}, false
	_ = walkObject(raw, func(f field) {
		switch key := string(f.key); {
		case key != "object":
			p.flag(ProblemUnknownField, "input."+clip(key), `is no field of an input, which has "object" alone`)
		case found:
			p.flag(ProblemDuplicateField, "input.object", "stands twice; keep one")
		default:
			found = true
			var bad fault
			if in.Object, bad = readString(raw[f.start:f.end]); bad.code == "" {
				bad = checkText(in.Object, maxObject)
			}
			p.flagFault(bad, "input.object")
		}
	})
	if !found {
		p.flag(ProblemMissing, "input.object", "missing; it names the object that holds the requests")
	}
	return &in, fault{}
}

func (p *envelope) failFast(raw []byte) (FailFast, fault) {
	switch raw[0] {
	case 't':
		return FailFast{Failures: 1}, fault{}
	case 'f':
		return FailFast{}, fault{}
	case '{':
	default:
		return FailFast{}, faulty(ProblemType, `must be true, false, {"failures": N} or {"rate": 0.1, "after": N}, not %s`, kind(raw))
	}
	var ff FailFast
	var after bool
	p.keys.reset()
	before := len(p.found)
	_ = walkObject(raw, func(f field) {
		value, bad := raw[f.start:f.end], fault{}
		switch key := string(f.key); {
		case !p.keys.add(f.key):
			bad = faulty(ProblemDuplicateField, "stands twice; keep one")
		case key == "failures":
			ff.Failures, bad = readInt(value, 1, maxCount)
		case key == "rate":
			var err error
			if ff.Rate, err = strconv.ParseFloat(string(value), 64); err != nil {
				bad = faulty(ProblemType, "must be a number above 0 and at most 1, not %s", kind(value))
			} else {
				bad = checkRate(ff.Rate)
			}
		case key == "after":
			after = true
			ff.After, bad = readInt(value, 0, maxCount)
		default:
			bad = faulty(ProblemUnknownField, `is no field of fail_fast, which has "failures", "rate" and "after"`)
		}
		p.flagFault(bad, "fail_fast."+clip(string(f.key)))
	})
	switch {
	case len(p.found) > before:
	case after && ff.Rate == 0:
		return FailFast{}, faulty(ProblemMissing, `"after" needs "rate" beside it`)
	case ff == FailFast{}:
		return FailFast{}, faulty(ProblemMissing, `is empty; write true, {"failures": N} or {"rate": 0.1, "after": N}`)
	}
	return ff, fault{}
}

// source checks that the requests come from one place.
func (p *envelope) source(raw map[string]json.RawMessage) {
	_, inline := raw["requests"]
	_, object := raw["input"]
	switch {
	case inline && object:
		p.flag(ProblemValue, "input", `cannot stand beside "requests"; keep one`)
	case !inline && !object && raw["messages"] != nil:
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

// suggest is the known field that key is most likely meant to be, as the end of
// a message.
func suggest(key string) string {
	plain := strings.NewReplacer("_", "", "-", "").Replace
	for _, known := range jobFields {
		if len(key) <= 2*len(known) && (strings.EqualFold(plain(known), plain(key)) || oneLetterOff(known, key)) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
	}
	return "; it has " + strings.Join(jobFields, ", ")
}

// oneLetterOff reports whether a and b differ by one letter: too many, too few
// or another.
func oneLetterOff(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch {
	case i == len(b): // equal
		return false
	case len(a) == len(b):
		return a[i+1:] == b[i+1:]
	default:
		return a[i:] == b[i+1:]
	}
}
