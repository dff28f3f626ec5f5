// Package hint finds what somebody most likely meant to write.
package hint

import "strings"

// Nearest returns the name that text is most likely a misspelling of, or "" if
// none is near: neither case nor "_", "-" and spaces count, a name may be cut
// short, and of a short name one letter may be wrong, of a longer one a few. Of
// names that are equally near it returns the first.
func Nearest(text string, names []string) string {
	if len(text) > 200 {
		return ""
	}
	text = folded(text)
	best, least := "", 200
	for _, name := range names {
		if d := apart(text, folded(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

var separators = strings.NewReplacer("_", "", "-", "", " ", "")

func folded(s string) string { return strings.ToLower(separators.Replace(s)) }

// apart is how far two names are apart, or a large number if that is too far.
func apart(a, b string) int {
	shorter, longer := min(len(a), len(b)), max(len(a), len(b))
	d := distance(a, b)
	switch {
	case d == 0, d == 1 && longer >= 3, d == 2 && shorter >= 7, d <= shorter/4:
		return d
	case shorter >= 3 && 2*shorter >= longer && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)):
		return d
	}
	return 1000
}

// distance is how many letters are to insert, remove, replace or swap with their
// neighbour to turn a into b.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
