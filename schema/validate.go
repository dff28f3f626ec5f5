package schema

import "encoding/json"

// Validate reports what is wrong with a job built in Go, by the rules of
// [ParseJob], as a [*Problems]; nil for nothing. With SkipInvalid, invalid requests
// are no problem, but each body must be JSON even so. It changes nothing.
func (j *Job) Validate(limits Limits) error {
	p := newEnvelope(j, limits)
	for i := range jobFields {
		if f := &jobFields[i]; f.check != nil && f.isSet(j) {
			f.check(p)
		}
	}
	switch {
	case j.Input != nil && len(j.Requests) > 0:
		p.flag(ProblemValue, "input", "cannot stand beside requests; keep one")
	case j.Input != nil:
	case len(j.Requests) == 0:
		p.flag(ProblemMissing, "requests", "is empty; a job has at least one request")
	case len(j.Requests) > p.limits.MaxRequests:
		p.flag(ProblemTooLarge, "requests", "has %d requests; at most %d are allowed", len(j.Requests), p.limits.MaxRequests)
	}
	p.flush()
	p.setDefaults(j.Defaults)
	p.problems.Requests = len(j.Requests)
	p.sameID = func(first int, id string) bool { return j.Requests[first].CustomID == id }
	if len(j.Requests) <= p.limits.MaxRequests {
		for i := range j.Requests {
			p.built(j.Requests[i], i, j.SkipInvalid)
		}
	}
	return p.problems.err()
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
	if at := notUTF8(r.Body); at >= 0 {
		c.skip = false
		c.flag(ProblemJSON, "body", "%s", notUTF8Text(r.Body, at))
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
