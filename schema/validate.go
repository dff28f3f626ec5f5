package schema

import "encoding/json"

// Validate reports what is wrong with a job built in Go, by the rules of
// [ParseJob], as a [*Problems]; nil for nothing. With SkipInvalid, invalid requests
// are no problem, but each body must be JSON even so. It changes nothing.
func (j *Job) Validate(limits Limits) error {
	c := newChecker(limits)
	p := &envelope{checker: c, job: j}
	p.values()
	switch {
	case j.Input != nil && len(j.Requests) > 0:
		p.flag(ProblemValue, "input", "cannot stand beside requests; keep one")
	case j.Input != nil:
		p.flagFault(checkText(j.Input.Object, maxObject), "input.object")
		if j.Input.Endpoint != "" {
			p.flagFault(checkEndpoint(j.Input.Endpoint), "input.endpoint")
		}
	case len(j.Requests) == 0:
		p.flag(ProblemMissing, "requests", "is empty; a job has at least one request")
	case len(j.Requests) > c.limits.MaxRequests:
		p.flag(ProblemTooLarge, "requests", "has %d requests; at most %d are allowed", len(j.Requests), c.limits.MaxRequests)
	}
	p.flush()
	c.setDefaults(j.Defaults)
	c.problems.Requests = len(j.Requests)
	c.sameID = func(first int, id string) bool { return j.Requests[first].CustomID == id }
	if len(j.Requests) <= c.limits.MaxRequests {
		for i := range j.Requests {
			c.built(j.Requests[i], i, j.SkipInvalid)
		}
	}
	return c.problems.err()
}

// values checks the fields of a job that are Go values.
func (p *envelope) values() {
	j := p.job
	if j.ID != "" {
		if text := idFault(j.ID); text != "" {
			p.flag(ProblemValue, "id", "%s, not %q", text, clip(j.ID))
		}
	}
	if j.Concurrency != 0 {
		p.flagFault(checkConcurrency(j.Concurrency, p.limits.AutoConcurrency), "concurrency")
	}
	p.flagFault(checkOrder(j.Order, true), "order")
	if j.Callback != "" {
		p.flagFault(checkCallback(j.Callback), "callback")
	}
	if j.Notify != "" {
		p.flagFault(checkReply(j.Notify, p.limits.Prefix), "notify")
	}
	if j.Reply != "" {
		p.flagFault(checkReply(j.Reply, p.limits.Prefix), "reply")
	}
	if j.Timeout < 0 {
		p.flag(ProblemValue, "timeout", "must not be negative, not %v", j.Timeout)
	}
	if j.Deadline.After < 0 {
		p.flag(ProblemValue, "deadline", "must not be negative, not %v", j.Deadline.After)
	}
	if year := j.Deadline.At.Year(); !j.Deadline.At.IsZero() && (year < 1000 || year > 9999) {
		p.flag(ProblemValue, "deadline", "must be in the years 1000 to 9999, not %d", year)
	}
	switch ff := j.FailFast; {
	case ff.Failures < 0 || ff.Failures > maxCount:
		p.flag(ProblemValue, "fail_fast.failures", "must be from 0 (off) to %d, not %d", maxCount, ff.Failures)
	case ff.After < 0 || ff.After > maxCount:
		p.flag(ProblemValue, "fail_fast.after", "must be from 0 to %d, not %d", maxCount, ff.After)
	case ff.Rate != 0:
		p.flagFault(checkRate(ff.Rate), "fail_fast.rate")
	case ff.After != 0:
		p.flag(ProblemMissing, "fail_fast.rate", `is 0; "after" needs it`)
	}
	p.flagFault(checkTags(j.Tags), "tags")
	if j.MaxCost != 0 {
		p.flagFault(checkCost(j.MaxCost), "max_cost")
	}
	if len(j.Metadata) > 0 {
		p.rawObject(j.Metadata, "metadata")
	}
}

func (p *envelope) rawObject(raw json.RawMessage, name string) {
	if !json.Valid(raw) {
		p.flag(ProblemJSON, name, "not valid JSON: %v", syntaxError(raw))
		return
	}
	start := skipSpace(raw, 0)
	end, depth := skipValue(raw, start)
	if _, bad := readObject(raw[start:end]); !p.flagFault(bad, name) {
		p.flagFault(p.checkMetadata(raw, depth), name)
	}
}

// built judges a request that a Go program made.
func (c *checker) built(r Request, index int, skip bool) {
	c.found, c.skip = c.found[:0], skip
	if !json.Valid(r.Body) {
		c.skip = false // nobody could carry it
		c.flag(ProblemJSON, "body", "not valid JSON: %v", bodyError(r.Body))
		c.settle(r, nil, index, 0)
		return
	}
	if r.Problem != nil {
		c.flag(ProblemValue, r.Problem.Param, "%s", r.Problem.Message)
		c.settle(r, nil, index, 0)
		return
	}
	if r.CustomID != "" && !c.flagFault(checkText(r.CustomID, maxCustomID), "custom_id") {
		c.checkUnique(r.CustomID, index)
	}
	if r.Timeout < 0 {
		c.flag(ProblemValue, "timeout", "must not be negative, not %v", r.Timeout)
	}
	url := r.URL
	if url == "" {
		url = ChatCompletions
	}
	if c.flagFault(checkEndpoint(url), "url") {
		url = ""
	}
	body := r.Body[skipSpace(r.Body, 0):]
	if body[0] != '{' {
		c.flag(ProblemType, "body", "must be an object, not %s", kind(body))
	} else {
		c.checkBody(c.scan(body, "body"), url, len(r.Body), "body")
	}
	c.settle(r, nil, index, 0)
}
