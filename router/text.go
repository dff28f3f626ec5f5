package router

import (
	"strings"

	"pelton/schema"
)

// maxMessage bounds an error's message, in bytes.
const maxMessage = 2 << 10

// tidy bounds and scrubs everything of an error that others will read.
func tidy(e *schema.Error, scrub scrubber) *schema.Error {
	e.Message = bound(scrub.text(e.Message), maxMessage)
	e.Code = bound(scrub.text(e.Code), 128)
	e.Type = bound(scrub.text(e.Type), 128)
	e.Param = bound(scrub.text(e.Param), 256)
	return e
}

// bound cuts text to at most limit bytes of valid UTF-8 on one line.
func bound(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
	}
	text = strings.ToValidUTF8(text, "�")
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}
