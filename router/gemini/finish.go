package gemini

import (
	"strings"

	"pelton/schema"
)

// outcome is what a candidate's finishReason means.
type outcome byte

const (
	unfinished outcome = iota // there is none yet
	complete                  // stop, or tool_calls
	cutShort                  // length
	filtered                  // content_filter: what came may not be all
	withheld                  // content_filter; without content it may come out otherwise the next time
	broken                    // what came is of no use: try again
)

// outcomeOf reads a finishReason, given without its quotes. One that is not known
// counts as complete, and stands beside as it is.
func outcomeOf(reason []byte) outcome {
	switch string(reason) {
	case "", "FINISH_REASON_UNSPECIFIED":
		return unfinished
	case "STOP":
		return complete
	case "MAX_TOKENS", "CONTINUATION":
		return cutShort
	case "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
		"IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION", "MODEL_ARMOR", "PUP_LIMITED_DISABLED":
		return filtered
	case "OTHER", "NO_IMAGE", "IMAGE_OTHER":
		return withheld
	case "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE":
		return broken
	}
	return complete
}

// finishReason is OpenAI's name for how a choice ended.
func (c *choice) finishReason() string {
	switch outcomeOf(c.finish) {
	case cutShort:
		return "length"
	case filtered, withheld:
		return "content_filter"
	case complete, broken:
		if len(c.calls) > 0 {
			return "tool_calls"
		}
		return "stop"
	}
	return ""
}

// failure is why the answer is of no use though its status says success; nil:
// it is of use. A prompt that was blocked has no candidates; a candidate may end
// without content, or with a call that nobody can read.
func (a *answer) failure() *failure {
	if len(a.blockReason) > 0 {
		return &failure{schema.ClassContentPolicy, string(a.blockReason), "the prompt was blocked: " + said(a.blockReason, a.blockMessage)}
	}
	var none *failure
	empty := 0
	for i := range a.choices {
		c := &a.choices[i]
		switch end := outcomeOf(c.finish); {
		case end == broken:
			return &failure{schema.ClassTransient, string(c.finish), "the answer is of no use: " + said(c.finish, c.finishMessage)}
		case c.said():
		case end == filtered:
			empty++
			none = &failure{schema.ClassContentPolicy, string(c.finish), "the answer was withheld: " + said(c.finish, c.finishMessage)}
		case end == withheld:
			empty++
			none = &failure{schema.ClassTransient, string(c.finish), "the answer was withheld: " + said(c.finish, c.finishMessage)}
		}
	}
	if empty == len(a.choices) {
		return none
	}
	return nil
}

// failure is an error that the answer does not call one.
type failure struct {
	class   schema.Class
	code    string
	message string
}

func said(reason, message []byte) string {
	if len(message) == 0 {
		return string(reason)
	}
	return string(reason) + ": " + strings.TrimSpace(string(message))
}
