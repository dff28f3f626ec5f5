package router

import (
	"errors"

	"pelton/router/internal/http1"
	"pelton/router/protocol"
)

// usageUnknown reports whether a call may have been billed though its usage is not
// known. It certainly was not where nothing of it was sent, or where the server says
// that it refused to work on it: see [protocol.Refused]; nor where the server had
// closed the connection before the call. A success without a count
// of tokens is unknown, too; so is a stream that broke off, and an answer that
// cannot be read: they were paid for as far as they came.
func (c *call) usageUnknown(v judgement) bool {
	switch {
	case v.usage != nil, v.stale, !c.sent, c.reply.Status == 0 && c.unsent():
		return false
	case v.err == nil, c.err != nil, c.tooLarge, c.stream != nil && !c.stream.document:
		return true
	}
	f := &c.answer.Fault
	status := c.reply.Status
	if c.reply.OK() && f.Status != 0 {
		status = f.Status
	}
	return !protocol.Refused(status, f)
}

// unsent reports whether nothing was sent of a call that has no answer.
func (c *call) unsent() bool {
	var unsent http1.UnsentError
	return errors.As(c.err, &unsent) || !c.Begun()
}
