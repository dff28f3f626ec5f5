// Package lazyregexp has regular expressions that are compiled when they are first
// used: most runs of a program use few of those that it has.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression. It is safe for concurrent use.
type Regexp struct{ compiled func() *regexp.Regexp }

// New returns the expression of a text, which must be one: the first use panics
// otherwise.
func New(text string) Regexp {
	return Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// Get is the expression.
func (r Regexp) Get() *regexp.Regexp { return r.compiled() }
