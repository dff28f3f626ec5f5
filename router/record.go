package router

import "pelton/schema"

// record is what came of a request so far.
type record struct{ Outcome }

// add puts an attempt to those made, and to their bill.
func (c *record) add(a schema.Attempt) {
	c.Attempts = append(c.Attempts, a)
	c.Bill.Add(&a)
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
