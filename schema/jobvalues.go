package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// This file holds what the rows of [jobFields] read, check and append, field by
// field.

func checkID(id string, _ Limits) fault {
	if text := idFault(id); text != "" {
		return faulty(ProblemValue, "%s, not %q", text, clip(id))
	}
	return fault{}
}

func readConcurrency(raw []byte) (int, fault) {
	if string(raw) == `"auto"` {
		return AutoConcurrency, fault{}
	}
	return readInt(raw, 1, MaxConcurrency)
}

func checkConcurrency(n int, limits Limits) fault {
	switch {
	case n == AutoConcurrency && limits.AutoConcurrency:
		return fault{}
	case n == AutoConcurrency:
		return faulty(ProblemExperimentalOff, `"auto" is experimental and not switched on (PELTON_EXPERIMENTAL=adaptive-concurrency at the worker); write a number from 1 to %d`, MaxConcurrency)
	case n < 1 || n > MaxConcurrency:
		return faulty(ProblemValue, "must be from 1 to %d, not %d", MaxConcurrency, n)
	}
	return fault{}
}

func appendConcurrency(dst []byte, n int) []byte {
	if n == AutoConcurrency {
		return append(dst, `"auto"`...)
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

func readOrder(raw []byte) (Order, fault) {
	order, bad := readString(raw)
	return Order(order), bad
}

func checkOrder(order Order, _ Limits) fault {
	if order == OrderCompletion || order == OrderInput {
		return fault{}
	}
	return faulty(ProblemValue, `must be "completion" or "input", not %q`, clip(string(order)))
}

// readFailFast flags what is wrong inside the object by itself.
func (p *envelope) readFailFast(raw []byte, _ int) fault {
	switch raw[0] {
	case 't':
		p.job.FailFast = FailFast{Failures: 1}
		return fault{}
	case 'f':
		p.job.FailFast = FailFast{}
		return fault{}
	case '{':
	default:
		return faulty(ProblemType, `must be true, false, {"failures": N} or {"rate": 0.1, "after": N}, not %s`, kind(raw))
	}
	var ff FailFast
	var after bool
	before := len(p.found)
	p.members(raw, "fail_fast", `fail_fast, which has "failures", "rate" and "after"`, func(key string, value []byte) (bad fault, known bool) {
		switch key {
		case "failures":
			ff.Failures, bad = readInt(value, 1, maxCount)
		case "rate":
			ff.Rate, bad = readRate(value)
		case "after":
			after = true
			ff.After, bad = readInt(value, 0, maxCount)
		default:
			return fault{}, false
		}
		return bad, true
	})
	switch {
	case len(p.found) > before:
		return fault{}
	case after && ff.Rate == 0:
		return faulty(ProblemMissing, `"after" needs "rate" beside it`)
	case ff == FailFast{}:
		return faulty(ProblemMissing, `is empty; write true, {"failures": N} or {"rate": 0.1, "after": N}`)
	}
	p.job.FailFast = ff
	return fault{}
}

func readRate(raw []byte) (float64, fault) {
	rate, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, faulty(ProblemType, "must be a number above 0 and at most 1, not %s", kind(raw))
	}
	return rate, checkRate(rate)
}

func checkRate(rate float64) fault {
	if !(rate > 0 && rate <= 1) {
		return faulty(ProblemValue, "must be above 0 and at most 1; to end at the first failure, write fail_fast: true")
	}
	return fault{}
}

func (p *envelope) checkFailFast() {
	switch ff := p.job.FailFast; {
	case ff.Failures < 0 || ff.Failures > maxCount:
		p.flag(ProblemValue, "fail_fast.failures", "must be from 0 (off) to %d, not %d", maxCount, ff.Failures)
	case ff.After < 0 || ff.After > maxCount:
		p.flag(ProblemValue, "fail_fast.after", "must be from 0 to %d, not %d", maxCount, ff.After)
	case ff.Rate != 0:
		p.flagFault(checkRate(ff.Rate), "fail_fast.rate")
	case ff.After != 0:
		p.flag(ProblemMissing, "fail_fast.rate", `is 0; "after" needs it`)
	}
}

func hasFailFast(j *Job) bool { return j.FailFast != FailFast{} }

func appendFailFast(dst []byte, j *Job) ([]byte, error) {
	f := j.FailFast
	if f == (FailFast{Failures: 1}) {
		return append(dst, "true"...), nil
	}
	dst = append(dst, '{')
	if f.Failures != 0 {
		dst = strconv.AppendInt(append(dst, `"failures":`...), int64(f.Failures), 10)
	}
	if f.Rate != 0 || f.After != 0 {
		if f.Failures != 0 {
			dst = append(dst, ',')
		}
		dst = appendNumber(append(dst, `"rate":`...), f.Rate)
		dst = strconv.AppendInt(append(dst, `,"after":`...), int64(f.After), 10)
	}
	return append(dst, '}'), nil
}

// checkCallback is for the names of webhooks. An address is none.
func checkCallback(name string, _ Limits) fault {
	if ValidQueue(name) {
		return fault{}
	}
	return faulty(ProblemValue, "must be the name of a webhook that the workers' configuration has (letters, digits, - and _), not %q", clip(name))
}

// checkSubject keeps results away from subjects where a plain publish does harm:
// under $ lies the server's own API, under the prefix lie Pelton's streams.
func checkSubject(s string, limits Limits) fault {
	if bad := checkText(s, maxReply); bad.code != "" {
		return bad
	}
	if s[0] == '$' {
		return faulty(ProblemValue, "must not begin with $: such subjects are the server's own")
	}
	if s == limits.Prefix || strings.HasPrefix(s, limits.Prefix+".") {
		return faulty(ProblemValue, "must not lie under %q: such subjects are Pelton's own", limits.Prefix)
	}
	if strings.ContainsAny(s, "*>") {
		return faulty(ProblemValue, "must be one subject, without the wildcards * and >")
	}
	if s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return faulty(ProblemValue, "must be tokens with one dot between them; %q has an empty token", clip(s))
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			return faulty(ProblemValue, "must not hold spaces or control characters")
		}
	}
	return fault{}
}

func checkTimeout(d time.Duration, _ Limits) fault {
	if d < 0 {
		return faulty(ProblemValue, "must not be negative, not %v", d)
	}
	return fault{}
}

func appendDuration(dst []byte, d time.Duration) []byte { return appendString(dst, d.String()) }

func (p *envelope) readDeadline(raw []byte, _ int) fault {
	d, bad := readDeadline(raw)
	if bad.code == "" {
		p.job.Deadline = d
	}
	return bad
}

func (p *envelope) checkDeadline() {
	d := p.job.Deadline
	if d.After < 0 {
		p.flag(ProblemValue, "deadline", "must not be negative, not %v", d.After)
	}
	if year := d.At.Year(); !d.At.IsZero() && (year < 1000 || year > 9999) {
		p.flag(ProblemValue, "deadline", "must be in the years 1000 to 9999, not %d", year)
	}
}

func hasDeadline(j *Job) bool { return !j.Deadline.At.IsZero() || j.Deadline.After != 0 }

func appendDeadline(dst []byte, j *Job) ([]byte, error) {
	if at := j.Deadline.At; !at.IsZero() {
		return appendString(dst, at.Format(time.RFC3339Nano)), nil
	}
	return appendDuration(dst, j.Deadline.After), nil
}

func (p *envelope) readTags(raw []byte, _ int) fault {
	var tags []string
	if raw[0] != '[' || json.Unmarshal(raw, &tags) != nil {
		return faulty(ProblemType, "must be an array of strings, not %s", kind(raw))
	}
	bad := tagsFault(tags)
	if bad.code == "" {
		p.job.Tags = tags
	}
	return bad
}

// tagsFault bounds what travels with each request.
func tagsFault(tags []string) fault {
	if len(tags) > maxTags {
		return faulty(ProblemTooLarge, "has %d tags; at most %d are allowed", len(tags), maxTags)
	}
	for _, tag := range tags {
		if bad := checkText(tag, maxTag); bad.code != "" {
			return bad
		}
	}
	return fault{}
}

func (p *envelope) checkTags() { p.flagFault(tagsFault(p.job.Tags), "tags") }

func hasTags(j *Job) bool { return len(j.Tags) > 0 }

func appendTags(dst []byte, j *Job) ([]byte, error) {
	tags, err := json.Marshal(j.Tags)
	return append(dst, tags...), err
}

// listText splits at commas. Spaces around an item, and items that are empty, are
// left out.
func listText(s string) []byte {
	dst := []byte{'['}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, item)
	}
	return append(dst, ']')
}

func readCost(raw []byte) (float64, fault) {
	cost, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, faulty(ProblemType, "must be a number above 0, in USD")
	}
	return cost, checkCost(cost, Limits{})
}

func checkCost(cost float64, _ Limits) fault {
	if !(cost > 0) || cost > maxCost {
		return faulty(ProblemValue, "must be a number above 0 and at most %.0f, in USD", float64(maxCost))
	}
	return fault{}
}

func appendNumber(dst []byte, x float64) []byte { return strconv.AppendFloat(dst, x, 'g', -1, 64) }

func anyBool(bool, Limits) fault { return fault{} }

func appendTrue(dst []byte, _ bool) []byte { return append(dst, "true"...) }

func readSkip(raw []byte) (bool, fault) {
	if string(raw) != `"skip"` {
		return false, faulty(ProblemValue, `must be "skip" or left out`)
	}
	return true, fault{}
}

func appendSkip(dst []byte, _ bool) []byte { return append(dst, `"skip"`...) }

func (p *envelope) metadataFault(raw []byte, depth int) fault {
	if len(raw) > p.limits.MaxMetadata {
		return faulty(ProblemTooLarge, "is %d bytes long; at most %d is allowed, as every state message carries it", len(raw), p.limits.MaxMetadata)
	}
	if depth > p.limits.MaxDepth {
		return faulty(ProblemTooLarge, "nests %d deep; at most %d is allowed", depth, p.limits.MaxDepth)
	}
	return fault{}
}

func (p *envelope) checkMetadata() {
	raw := p.job.Metadata
	if !json.Valid(raw) {
		p.flag(ProblemJSON, "metadata", "not valid JSON: %v", syntaxError(raw))
		return
	}
	start := skipSpace(raw, 0)
	end, depth := skipValue(raw, start)
	if _, bad := readObject(raw[start:end]); !p.flagFault(bad, "metadata") {
		p.flagFault(p.metadataFault(raw, depth), "metadata")
	}
}

// readInput flags what is wrong inside the object by itself.
func (p *envelope) readInput(raw []byte, _ int) fault {
	if raw[0] != '{' {
		return faulty(ProblemType, `must be an object {"object": NAME}, not %s`, kind(raw))
	}
	in := Input{}
	found := false
	p.members(raw, "input", `an input, which has "object" and "endpoint"`, func(key string, value []byte) (bad fault, known bool) {
		switch key {
		case "object":
			found = true
			if in.Object, bad = readString(value); bad.code == "" {
				bad = checkText(in.Object, maxObject)
			}
		case "endpoint":
			in.Endpoint, bad = readEndpoint(value)
		default:
			return fault{}, false
		}
		return bad, true
	})
	if !found {
		p.flag(ProblemMissing, "input.object", "missing; it names the object that holds the requests")
	}
	p.job.Input = &in
	return fault{}
}

func (p *envelope) checkInput() {
	in := p.job.Input
	p.flagFault(checkText(in.Object, maxObject), "input.object")
	if in.Endpoint != "" {
		p.flagFault(checkEndpoint(in.Endpoint), "input.endpoint")
	}
}

func hasInput(j *Job) bool { return j.Input != nil }

func appendInput(dst []byte, j *Job) ([]byte, error) {
	dst = appendString(append(dst, `{"object":`...), j.Input.Object)
	if j.Input.Endpoint != "" {
		dst = appendString(append(dst, `,"endpoint":`...), j.Input.Endpoint)
	}
	return append(dst, '}'), nil
}

// readArray keeps the array. Its elements are read once the rest of the job is
// known, see [ParseJob].
func readArray(p *envelope, raw []byte, _ int) fault {
	if raw[0] != '[' {
		return faulty(ProblemType, "must be an array of requests, not %s", kind(raw))
	}
	p.array = raw
	return fault{}
}

func hasRequests(j *Job) bool { return len(j.Requests) > 0 || j.Input == nil }

func appendRequests(dst []byte, j *Job) ([]byte, error) {
	dst = append(dst, '[')
	for i := range j.Requests {
		r := &j.Requests[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		if !json.Valid(r.Body) {
			return dst, fmt.Errorf("request %d: body: not valid JSON: %w", i, bodyError(r.Body))
		}
		dst = appendElement(dst, *r)
	}
	return append(dst, ']'), nil
}
