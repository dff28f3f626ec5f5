package anthropic

import (
	"strings"
)

// model is what a model's name says of what it takes.
type model struct {
	name      string // as the call has it
	limit     int    // the longest answer
	adaptive  bool   // how much it thinks is told by effort, not by a budget
	xhigh     bool   // it takes the efforts xhigh and max; max alone where only adaptive is set
	schema    bool   // it takes output_config.format
	sampling  bool   // it takes temperature, top_p and top_k
	midSystem bool   // it takes system messages within a conversation
	thinks    bool   // it thinks unless told not to
	always    bool   // it cannot be told not to think
}

// unknownModel is a model of which the name says nothing: it gets what it is
// sent, and the server judges.
var unknownModel = model{limit: 128000, adaptive: true, xhigh: true, schema: true, sampling: true}

// modelOf reads a name such as claude-haiku-4-5-20251001, claude-3-5-sonnet@20241022
// or us.anthropic.claude-opus-4-6-v1.
func modelOf(name string) model {
	i := strings.LastIndex(name, "claude-")
	if i < 0 {
		return unknownModel
	}
	family, version := "", 0
	digits := 0
	for word := range strings.FieldsFuncSeq(name[i+len("claude-"):], func(r rune) bool { return r == '-' || r == '@' || r == ':' || r == '.' }) {
		n, number := small(word)
		switch {
		case number && digits < 2:
			version, digits = version*10+n, digits+1
		case !number && family == "" && word[0] >= 'a' && word[0] <= 'z':
			family = word
		}
		if !number && digits > 0 && family != "" {
			break
		}
	}
	if digits == 1 {
		version *= 10
	}
	switch {
	case family == "mythos" && digits == 0: // the preview
		return model{limit: 128000, adaptive: true, xhigh: true, schema: true, thinks: true, always: true}
	case digits == 0:
		return unknownModel
	}
	m := model{
		limit:    longest(family, version),
		adaptive: version >= 46, xhigh: version >= 47,
		schema:   version >= 45 || version == 41 && family == "opus",
		sampling: version < 47, midSystem: version >= 48, thinks: version >= 50,
	}
	m.always = m.thinks && (family == "fable" || family == "mythos" || version > 50 && family != "haiku")
	return m
}

// longest is the longest answer that a model gives, in tokens.
func longest(family string, version int) int {
	switch {
	case version >= 46:
		return 128000
	case version < 35:
		return 4096
	case version < 37:
		return 8192
	case family == "opus" && version < 45:
		return 32000
	}
	return 64000
}

// small reads a number of one or two digits: a part of a version, and no date.
func small(word string) (int, bool) {
	n := 0
	for _, c := range []byte(word) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(word) <= 2
}
