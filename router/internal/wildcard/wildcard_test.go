package wildcard

import (
	"regexp"
	"strings"
	"testing"
)

// A name matches as the regular expression does in which each "*" is (.+).
func FuzzMatch(f *testing.F) {
	for _, pair := range [][2]string{
		{"*", "a"}, {"a/*", "a/"}, {"a/*/b-*", "a/1/b-2/b-3"}, {"**", "ab"}, {"*a*a*", "xaaaay"}, {"*ab*", "ab"}, {"x", "x"}, {"*-*-*", "--a--"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if len(name) > 30 || len(text) > 60 || !strings.Contains(name, "*") || strings.ContainsRune(name+text, 0) {
			return
		}
		for _, r := range name + text {
			if r == '\n' || r > 126 {
				return
			}
		}
		parts := New(name)
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		want := regexp.MustCompile("(?s)^" + strings.Join(parts, "(.+)") + "$").FindStringSubmatch(text)
		stands, ok := New(name).Match(text)
		if ok != (want != nil) {
			t.Fatalf("%q %q: %v, want %v", name, text, ok, want)
		}
		if ok && Fill(name, stands) != text {
			t.Fatalf("%q %q: %q gives %q", name, text, stands, Fill(name, stands))
		}
		if ok && stands != strings.Join(want[1:], gap) {
			t.Fatalf("%q %q: %q, want %q", name, text, stands, want[1:])
		}
	})
}
