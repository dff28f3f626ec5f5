package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// jobField is one field of a job's document. Its row in [jobFields] says all
// that is done with it; the JSON Schema in json/job.json is held to the rows by
// a test.
type jobField struct {
	name string

	// text makes the JSON value of what people write in a flag or a label. nil:
	// the field is no single value and cannot be set from text.
	text func(string) []byte

	// read judges a JSON value and takes it into the job. It leaves the field at
	// its default where it returns a fault.
	read func(p *envelope, raw []byte, depth int) fault

	// isSet reports whether the field differs from its default. Only then it is
	// written and checked.
	isSet func(j *Job) bool

	// append appends the JSON value.
	append func(dst []byte, j *Job) ([]byte, error)

	// check flags what is wrong with the Go value. nil: see [Job.Validate].
	check func(p *envelope)
}

// jobFields are the fields in the order in which they are written. Workers know
// a job published twice by the hash of its bytes: a new field goes in front of
// "input", and the order of the others stays.
var jobFields = [...]jobField{
	scalar("id", quotedText, func(j *Job) *string { return &j.ID }, readString, checkID, appendString),
	scalar("concurrency", numberText, func(j *Job) *int { return &j.Concurrency }, readConcurrency, checkConcurrency, appendConcurrency),
	scalar("order", quotedText, func(j *Job) *Order { return &j.Order }, readOrder, checkOrder, appendString),
	{"fail_fast", failFastText, (*envelope).readFailFast, hasFailFast, appendFailFast, (*envelope).checkFailFast},
	scalar("reply", quotedText, func(j *Job) *string { return &j.Reply }, readString, checkSubject, appendString),
	scalar("callback", quotedText, func(j *Job) *string { return &j.Callback }, readString, checkCallback, appendString),
	scalar("notify", quotedText, func(j *Job) *string { return &j.Notify }, readString, checkSubject, appendString),
	scalar("timeout", durationText, func(j *Job) *time.Duration { return &j.Timeout }, readDuration, checkTimeout, appendDuration),
	{"deadline", durationText, (*envelope).readDeadline, hasDeadline, appendDeadline, (*envelope).checkDeadline},
	object("defaults", func(j *Job) *json.RawMessage { return &j.Defaults }, nil, nil),
	{"tags", listText, (*envelope).readTags, hasTags, appendTags, (*envelope).checkTags},
	scalar("max_cost", numberText, func(j *Job) *float64 { return &j.MaxCost }, readCost, checkCost, appendNumber),
	scalar("include_request", boolText, func(j *Job) *bool { return &j.IncludeRequest }, readBool, anyBool, appendTrue),
	scalar("invalid", quotedText, func(j *Job) *bool { return &j.SkipInvalid }, readSkip, anyBool, appendSkip),
	object("metadata", func(j *Job) *json.RawMessage { return &j.Metadata }, (*envelope).metadataFault, (*envelope).checkMetadata),
	scalar("request_timeout", durationText, func(j *Job) *time.Duration { return &j.RequestTimeout }, readDuration, checkTimeout, appendDuration),
	{"input", nil, (*envelope).readInput, hasInput, appendInput, (*envelope).checkInput},
	{"requests", nil, readArray, hasRequests, appendRequests, nil},
}

// jobFieldPlace returns where in jobFields the row of that name is, -1 for none.
func jobFieldPlace(name []byte) int {
	for i := range jobFields {
		if jobFields[i].name == string(name) {
			return i
		}
	}
	return -1
}

// scalar is the row of a field that is one comparable value, whose zero value is
// the default. What read returns is checked as well.
func scalar[T comparable](
	name string,
	text func(string) []byte,
	at func(*Job) *T,
	read func(raw []byte) (T, fault),
	check func(T, Limits) fault,
	write func([]byte, T) []byte,
) jobField {
	return jobField{
		name: name,
		text: text,
		read: func(p *envelope, raw []byte, _ int) fault {
			v, bad := read(raw)
			if bad.code == "" {
				bad = check(v, p.limits)
			}
			if bad.code == "" {
				*at(p.job) = v
			}
			return bad
		},
		isSet:  func(j *Job) bool { var zero T; return *at(j) != zero },
		append: func(dst []byte, j *Job) ([]byte, error) { return write(dst, *at(j)), nil },
		check:  func(p *envelope) { p.flagFault(check(*at(p.job), p.limits), name) },
	}
}

// object is the row of a field that is kept as the JSON object it is. judge, nil
// for none, looks at an object that was read.
func object(
	name string,
	at func(*Job) *json.RawMessage,
	judge func(p *envelope, raw []byte, depth int) fault,
	check func(*envelope),
) jobField {
	return jobField{
		name: name,
		read: func(p *envelope, raw []byte, depth int) fault {
			v, bad := readObject(raw)
			if bad.code == "" && judge != nil {
				bad = judge(p, v, depth)
			}
			if bad.code == "" {
				*at(p.job) = v
			}
			return bad
		},
		isSet: func(j *Job) bool { return len(*at(j)) > 0 },
		append: func(dst []byte, j *Job) ([]byte, error) {
			raw := *at(j)
			if !json.Valid(raw) {
				return dst, fmt.Errorf("job: %s: not valid JSON: %w", name, syntaxError(raw))
			}
			return append(dst, raw...), nil
		},
		check: check,
	}
}

// The forms of text, see [Job.SetText].

func quotedText(s string) []byte { return appendString(nil, s) }

// numberText leaves what is no number to the reader, as a string.
func numberText(s string) []byte {
	if n, err := strconv.Atoi(s); err == nil {
		return strconv.AppendInt(nil, int64(n), 10)
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil && x-x == 0 { // neither NaN nor infinite
		return appendNumber(nil, x)
	}
	return quotedText(s)
}

// durationText reads all that [time.ParseDuration] does, which is more than a
// document may have, and leaves the rest to the reader.
func durationText(s string) []byte {
	if d, err := time.ParseDuration(s); err == nil {
		return appendDuration(nil, d)
	}
	return quotedText(s)
}

func boolText(s string) []byte {
	if b, err := strconv.ParseBool(s); err == nil {
		return strconv.AppendBool(nil, b)
	}
	return quotedText(s)
}

// failFastText reads true, false, or a number of failures.
func failFastText(s string) []byte {
	if n, err := strconv.Atoi(s); err == nil {
		return fmt.Appendf(nil, `{"failures":%d}`, n)
	}
	return boolText(s)
}
