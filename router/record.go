package router

import "pelton/schema"

// record is what came of a request so far.
type record struct {
	Outcome
	costUnknown bool // an attempt with usage has no price
}

// addUsage adds to the tokens of all attempts.
func (c *record) addUsage(u *schema.Usage) {
	if c.Usage == nil { // never changed: a further one makes a new sum
		c.Usage = u
		return
	}
	sum := c.Usage.Add(*u)
	c.Usage = &sum
}

// addCost adds an attempt to what the request cost. An attempt that failed
// without a count of tokens adds nothing, as upstreams bill by that count; one
// that has a count and no price makes the sum unknown.
func (c *record) addCost(a schema.Attempt) {
	switch {
	case a.Cost == nil && a.Error != nil && a.Usage == nil:
	case a.Cost == nil:
		c.costUnknown, c.Cost = true, nil
	case c.costUnknown:
	case c.Cost == nil:
		c.Cost = a.Cost
	default:
		sum := *c.Cost + *a.Cost
		c.Cost = &sum
	}
}

// end completes the outcome with its last error, nil for success, and why it
// was the last.
func (c *record) end(last *schema.Error, why string) Outcome {
	out := c.Outcome
	out.Status, out.Error = schema.StatusSucceeded, last
	if last == nil {
		return out
	}
	if why != "" {
		e := *last
		e.Message += "; " + why
		out.Error = &e
	}
	switch last.Class {
	case schema.ClassCancelled:
		out.Status = schema.StatusCancelled
	case schema.ClassExpired:
		out.Status = schema.StatusExpired
	default:
		out.Status = schema.StatusFailed
	}
	return out
}
