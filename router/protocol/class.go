package protocol

import (
	"cmp"
	"maps"
	"strings"

	"pelton/schema"
)

// ClassOf is the class of a failure, as the table [Signs] has it. A class that the
// fault has comes before it. status is the answer's, or the one in its body where
// that says success.
func ClassOf(status int, f *Fault) schema.Class {
	if f.Class != "" {
		return f.Class
	}
	return SignOf(status, f).Class
}

// Scope is how much of a deployment an upstream_fatal error takes out.
type Scope int

const (
	ByTable      Scope = iota // as ScopeOf finds
	WholeAccount              // a key, money, a country: nothing works
	OneModel                  // the model is not there, or not for us
	OneEndpoint               // the server lacks the path
)

func (s Scope) String() string {
	return [...]string{"", "the whole deployment", "the model", "the endpoint"}[s]
}

// ScopeOf says how much an upstream_fatal error takes out.
func ScopeOf(status int, f *Fault) Scope {
	if f.Scope != ByTable {
		return f.Scope
	}
	scope := SignOf(status, f).Scope
	if scope == OneEndpoint && f.NamesModel() {
		return OneModel
	}
	return cmp.Or(scope, OneEndpoint)
}

// NamesModel reports whether the error is a server's word on a model, not on a path.
func (f *Fault) NamesModel() bool {
	return f.named(deadCodes) || !f.Loose && strings.Contains(strings.ToLower(f.Message), "model")
}

// SignOf returns the row of [Signs] that a failure falls under: the first that fits.
func SignOf(status int, f *Fault) *Sign {
	for i := range Signs {
		if Signs[i].fits(status, f) {
			return &Signs[i]
		}
	}
	return &Signs[len(Signs)-1]
}

func (s *Sign) fits(status int, f *Fault) bool {
	if !s.statuses.has(status) {
		return false
	}
	if s.codes == nil && s.Phrases == nil && s.when == nil {
		return true
	}
	return f.named(s.codes) || f.says(s.Phrases) || s.when != nil && s.when(f)
}

// statuses is a set of HTTP statuses: words such as "429", "4xx" or "520-527", each
// with a "!" in front of it where it is left out. Empty: all of them. A set whose
// first word leaves out has all the others.
type statuses []statusRange

type statusRange struct {
	from, to int
	not      bool
}

func (s statuses) has(status int) bool {
	in := len(s) == 0 || s[0].not
	for _, r := range s {
		if status >= r.from && status <= r.to {
			in = !r.not
		}
	}
	return in
}

func statusesOf(text string) (set statuses) {
	for word := range strings.FieldsSeq(text) {
		var r statusRange
		word, r.not = strings.CutPrefix(word, "!")
		first, last, ranged := strings.Cut(word, "-")
		switch {
		case strings.HasSuffix(first, "xx"):
			r.from = int(first[0]-'0') * 100
			r.to = r.from + 99
		case ranged:
			r.from, r.to = digits(first), digits(last)
		default:
			r.from, r.to = digits(first), digits(first)
		}
		set = append(set, r)
	}
	return set
}

// deadCodes are the codes of what takes a deployment, or a model of it, out.
var deadCodes = readSigns()

// readSigns reads the texts of the table, once.
func readSigns() map[string]bool {
	dead := map[string]bool{}
	for i := range Signs {
		s := &Signs[i]
		s.statuses = statusesOf(s.On)
		if s.Codes != "" {
			s.codes = words(s.Codes)
		}
		if s.Class == schema.ClassUpstreamFatal {
			maps.Copy(dead, s.codes)
		}
	}
	return dead
}

// FatalCodes returns the codes by which servers say that a deployment, or a model of
// it, can serve nobody, in lower case.
func FatalCodes() map[string]bool { return maps.Clone(deadCodes) }

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}
