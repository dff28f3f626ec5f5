package router

import (
	"pelton/router/protocol"
	"pelton/schema"
)

// tidy bounds and scrubs everything of an error that others will read.
func tidy(e *schema.Error, scrub scrubber) *schema.Error {
	e.Message = protocol.OneLine(scrub.text(e.Message), protocol.MaxMessage)
	e.Code = protocol.OneLine(scrub.text(e.Code), 128)
	e.Type = protocol.OneLine(scrub.text(e.Type), 128)
	e.Param = protocol.OneLine(scrub.text(e.Param), 256)
	return e
}
