package litellm

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// seconds reads a positive time: a number of seconds, as LiteLLM has it, or a
// Go duration such as 30s. 0 means none or a problem.
func (r *reader) seconds(e entry) time.Duration {
	text, ok := r.text(e)
	if !ok {
		return 0
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d
	}
	s, err := strconv.ParseFloat(text, 64)
	if err == nil && s == 0 {
		r.warn(e.line, e.path, "0 is no bound; leave the key out")
		return 0
	}
	if err != nil || !(s > 0) || s > math.MaxInt64/float64(time.Second)/2 {
		r.problem(e.line, fmt.Sprintf("%s: %q must be a number of seconds, and not negative", e.path, resolve(e.value).Value))
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// count reads a number of tries, from 0 to 100.
func (r *reader) count(e entry) (int, bool) { return r.upTo(e, maxTries) }

// upTo reads a whole number from 0 to most.
func (r *reader) upTo(e entry, most int) (int, bool) {
	text, ok := r.text(e)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		r.problem(e.line, fmt.Sprintf("%s: %q must be a whole number from 0 to %d", e.path, resolve(e.value).Value, most))
		return 0, false
	}
	return n, true
}

// secondsOrZero reads a time that may be nothing; nil means that it does not say.
func (r *reader) secondsOrZero(e entry) *time.Duration {
	text, ok := r.text(e)
	if !ok {
		return nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n == 0 {
		return new(time.Duration)
	}
	d := r.seconds(e)
	return &d
}

// amount reads a number that is not negative; nil means that it does not say.
func (r *reader) amount(e entry) *float64 {
	text, ok := r.text(e)
	if !ok {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n < 1e12) {
		r.problem(e.line, fmt.Sprintf("%s: %q must be a number, and not negative", e.path, resolve(e.value).Value))
		return nil
	}
	return &n
}

func (r *reader) price(e entry) *float64 {
	if n := r.amount(e); n != nil && *n < 1e6 {
		return n
	}
	return nil
}

// whole reads a limit: a whole number above 0, or 0 for none. LiteLLM writes some
// as 1e6.
func (r *reader) whole(e entry) int {
	n := r.amount(e)
	switch {
	case n == nil:
		return 0
	case *n == 0:
		r.warn(e.line, e.path, "0 is no limit here; leave the key out")
		return 0
	case *n < 1 || *n != math.Trunc(*n) || *n > math.MaxInt32:
		r.problem(e.line, fmt.Sprintf("%s: %q must be a whole number, and not negative", e.path, resolve(e.value).Value))
		return 0
	}
	return int(*n)
}

// order reads a level. Those below 1 move down by one: 0 is "none" in a [Deployment].
func (r *reader) order(e entry) int {
	text, ok := r.text(e)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1_000_000 || n > 1_000_000 {
		r.problem(e.line, fmt.Sprintf("%s: %q must be a whole number", e.path, resolve(e.value).Value))
		return 0
	}
	if n < 1 {
		n--
	}
	return n
}

// yes reads a switch.
func (r *reader) yes(e entry) bool {
	text, ok := r.text(e)
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true
	case "false", "no", "off", "0":
	default:
		if ok {
			r.problem(e.line, fmt.Sprintf("%s: %q must be true or false", e.path, resolve(e.value).Value))
		}
	}
	return false
}

// names reads a list of texts, or one text.
func (r *reader) names(e entry) []string {
	n := resolve(e.value)
	if n.Kind != yaml.SequenceNode {
		if text, ok := r.text(e); ok {
			return []string{text}
		}
		return nil
	}
	var names []string
	for i, item := range n.Content {
		one := entry{key: e.key, path: fmt.Sprintf("%s[%d]", e.path, i), line: item.Line, value: item}
		if text, ok := r.text(one); ok {
			names = append(names, text)
		}
	}
	return names
}

// textOf is text for an entry that may be absent.
func (r *reader) textOf(e *entry) string {
	if e == nil {
		return ""
	}
	text, _ := r.text(*e)
	return text
}

// command reads a list of words, or one text that is split at its spaces.
func (r *reader) command(e entry) []string {
	if resolve(e.value).Kind == yaml.SequenceNode {
		return r.names(e)
	}
	text, _ := r.text(e)
	return strings.Fields(text)
}
