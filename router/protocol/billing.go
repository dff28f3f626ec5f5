package protocol

import (
	"net/http"

	"pelton/schema"
)

// Refused reports whether an error answer says that its server has not worked on
// the call, so that it certainly was not billed: it sent the call away (a redirect,
// a 4xx, whatever names a key, a limit or an overload). All other failures may have
// been billed.
//
// A prompt that is filtered, or found too long, has been worked on, and so may have
// been what timed out at the server (408), was given up (499) or failed as it was made
// (424, 460, 498): Azure bills these although they fail, and does not bill a 401 or a
// 429 (https://learn.microsoft.com/azure/ai-services/openai/how-to/manage-costs). A 5xx
// by itself says nothing: a proxy gives it for a call that goes on behind it.
func Refused(status int, f *Fault) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusFailedDependency, 460, 498, 499:
		return false
	case 529: // Anthropic's, and nobody else's: nothing was begun
		return true
	}
	switch ClassOf(status, f) {
	case schema.ClassContextWindow, schema.ClassContentPolicy:
		return false
	case schema.ClassUpstreamFatal, schema.ClassRateLimited:
		return true
	}
	return f.named(overloaded) || status >= 300 && status < 500
}

// overloaded are the names of an overload.
var overloaded = words(capacityCodes)
