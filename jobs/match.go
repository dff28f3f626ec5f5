package jobs

import "strings"

// subjectMatches reports whether a subject without wildcards matches a pattern
// with those of NATS: * for one token, > for one or more at the end.
func subjectMatches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s), token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}
