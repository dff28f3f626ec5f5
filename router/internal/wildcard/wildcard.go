// Package wildcard matches names with "*"s in them.
package wildcard

import "strings"

// Name is a name in which each "*" stands for at least a letter.
type Name []string

// New returns the name that text is.
func New(text string) Name { return strings.Split(text, "*") }

// Exact reports whether the name stands for itself alone.
func (n Name) Exact() bool { return len(n) == 1 }

// gap stands between what several "*" of one name stand for.
const gap = "\x00"

// Match returns what the "*"s stand for in text, for [Fill]: the first ones as much
// as they can. It reports whether text has the form of the name.
func (n Name) Match(text string) (stands string, ok bool) {
	first, last := n[0], n[len(n)-1]
	if len(text) <= len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return "", false
	}
	rest := text[len(first) : len(text)-len(last)]
	for i := len(n) - 2; i > 0; i-- {
		at := strings.LastIndex(rest[:len(rest)-1], n[i])
		if at <= 0 {
			return "", false
		}
		stands, rest = gap+rest[at+len(n[i]):]+stands, rest[:at]
	}
	return rest + stands, true
}

// Fill puts what [Name.Match] returned in the place of the "*"s of text, the first in
// the place of the first.
func Fill(text, stands string) string {
	if !strings.Contains(stands, gap) {
		return strings.Replace(text, "*", stands, 1)
	}
	var filled strings.Builder
	for one := range strings.SplitSeq(stands, gap) {
		before, after, more := strings.Cut(text, "*")
		filled.WriteString(before)
		if text = after; !more {
			break
		}
		filled.WriteString(one)
	}
	return filled.String() + text
}
