package router

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// entry is one key of a mapping with the keys it lies under.
type entry struct {
	key, path string
	line      int
	value     *yaml.Node
}

const envPrefix = "os.environ/"

// maxMergeDepth bounds how deep "<<" may nest, so that one that contains itself ends.
const maxMergeDepth = 16

func (l *loader) problem(line int, message string) {
	l.problems = append(l.problems, Problem{l.file, line, message})
}

func (l *loader) unused(e entry, hint string) { l.warn(e.line, e.path, "not used by Pelton"+hint) }

func (l *loader) warn(line int, key, message string) {
	l.warnings = append(l.warnings, Warning{l.file, line, key, message})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax notes what the YAML parser said, with its line in the usual place.
func (l *loader) syntax(err error) {
	if errors.Is(err, io.EOF) {
		l.problem(0, "the file is empty: model_list is needed")
		return
	}
	text, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	l.problem(line, "not valid YAML: "+text)
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// mapping returns the entries of a mapping in order, merge keys resolved; null
// is an empty one. Anything else, and a key given twice, is a problem.
func (l *loader) mapping(n *yaml.Node, path string) []entry {
	var entries []entry
	l.collect(n, path, 0, map[string]bool{}, &entries)
	return entries
}

func (l *loader) collect(n *yaml.Node, path string, depth int, seen map[string]bool, entries *[]entry) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.problem(n.Line, path+": must be a mapping of keys to values")
		return
	}
	if depth > maxMergeDepth {
		l.problem(n.Line, path+": merges (<<) nest too deep")
		return
	}
	under := ""
	if path != "the file" {
		under = path + "."
	}
	own := map[string]bool{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			if merged := resolve(value); merged.Kind == yaml.SequenceNode {
				merges = append(merges, merged.Content...)
			} else {
				merges = append(merges, merged)
			}
		case key.Kind != yaml.ScalarNode:
			l.problem(key.Line, path+": a key must be plain text")
		case own[key.Value]:
			l.problem(key.Line, under+keyName(key.Value)+": given twice")
		default:
			own[key.Value] = true
			if !seen[key.Value] { // what stands in the mapping itself beats what is merged in
				seen[key.Value] = true
				*entries = append(*entries, entry{key.Value, under + keyName(key.Value), key.Line, value})
			}
		}
	}
	for _, merged := range merges {
		l.collect(merged, path, depth+1, seen, entries)
	}
}

// keyName is how messages name a key: as it is, or quoted where that is unclear.
func keyName(key string) string {
	if quoted := strconv.Quote(key); key == "" || len(quoted) > len(key)+2 {
		return bound(quoted, 100)
	}
	return bound(key, 100)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// text returns a scalar as text, an os.environ reference resolved. It is empty,
// and false, for null and for what was noted as a problem.
func (l *loader) text(e entry) (string, bool) {
	n := resolve(e.value)
	if isNull(n) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode {
		l.problem(n.Line, e.path+": must be one value, not a list or mapping")
		return "", false
	}
	name, isRef := strings.CutPrefix(n.Value, envPrefix)
	if !isRef {
		return n.Value, true
	}
	value, set := l.env(name)
	switch {
	case !set:
		l.problem(n.Line, fmt.Sprintf("%s: the environment variable %s is not set", e.path, name))
	case strings.TrimSpace(value) == "":
		l.problem(n.Line, fmt.Sprintf("%s: the environment variable %s is empty", e.path, name))
	default:
		return strings.TrimSpace(value), true
	}
	return "", false
}

func (l *loader) secret(e entry) Secret {
	text, _ := l.text(e)
	if !validHeaderValue(text) {
		l.problem(e.line, e.path+": "+badHeaderValue)
		return Secret{}
	}
	return NewSecret(text)
}

// headers reads extra_headers.
func (l *loader) headers(section entry) map[string]Secret {
	headers := map[string]Secret{}
	for _, e := range l.mapping(section.value, section.path) {
		if !validHeaderName(e.key) {
			l.problem(e.line, e.path+": is no header name")
			continue
		}
		headers[http.CanonicalHeaderKey(e.key)] = l.secret(e)
	}
	return headers
}

// seconds reads a positive time: a number of seconds, as LiteLLM has it, or a
// Go duration such as 30s. 0 means none or a problem.
func (l *loader) seconds(e entry) time.Duration {
	text, ok := l.text(e)
	if !ok {
		return 0
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d
	}
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || !(s > 0) || s > math.MaxInt64/float64(time.Second)/2 {
		l.problem(e.line, fmt.Sprintf("%s: %q must be a number of seconds above 0", e.path, resolve(e.value).Value))
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// count reads a number of tries, from 0 to 100.
func (l *loader) count(e entry) (int, bool) { return l.upTo(e, maxTries) }

// upTo reads a whole number from 0 to most.
func (l *loader) upTo(e entry, most int) (int, bool) {
	text, ok := l.text(e)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		l.problem(e.line, fmt.Sprintf("%s: %q must be a whole number from 0 to %d", e.path, resolve(e.value).Value, most))
		return 0, false
	}
	return n, true
}

// secondsOrZero reads a time that may be nothing; nil means that it does not say.
func (l *loader) secondsOrZero(e entry) *time.Duration {
	text, ok := l.text(e)
	if !ok {
		return nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n == 0 {
		return new(time.Duration)
	}
	d := l.seconds(e)
	return &d
}

// amount reads a number that is not negative; nil means that it does not say.
func (l *loader) amount(e entry) *float64 {
	text, ok := l.text(e)
	if !ok {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n < 1e12) {
		l.problem(e.line, fmt.Sprintf("%s: %q must be a number, and not negative", e.path, resolve(e.value).Value))
		return nil
	}
	return &n
}

func (l *loader) price(e entry) *float64 {
	if n := l.amount(e); n != nil && *n < 1e6 {
		return n
	}
	return nil
}

// whole reads a limit: a whole number above 0. LiteLLM writes some as 1e6.
func (l *loader) whole(e entry) int {
	n := l.amount(e)
	switch {
	case n == nil:
		return 0
	case *n < 1 || *n != math.Trunc(*n) || *n > math.MaxInt32:
		l.problem(e.line, fmt.Sprintf("%s: %q must be a whole number above 0", e.path, resolve(e.value).Value))
		return 0
	}
	return int(*n)
}

// order reads a level. Those below 1 move down by one: 0 is "none" in a [Deployment].
func (l *loader) order(e entry) int {
	text, ok := l.text(e)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1_000_000 || n > 1_000_000 {
		l.problem(e.line, fmt.Sprintf("%s: %q must be a whole number", e.path, resolve(e.value).Value))
		return 0
	}
	if n < 1 {
		n--
	}
	return n
}

// yes reads a switch.
func (l *loader) yes(e entry) bool {
	text, ok := l.text(e)
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true
	case "false", "no", "off", "0":
	default:
		if ok {
			l.problem(e.line, fmt.Sprintf("%s: %q must be true or false", e.path, resolve(e.value).Value))
		}
	}
	return false
}

// names reads a list of texts, or one text.
func (l *loader) names(e entry) []string {
	n := resolve(e.value)
	if n.Kind != yaml.SequenceNode {
		if text, ok := l.text(e); ok {
			return []string{text}
		}
		return nil
	}
	var names []string
	for i, item := range n.Content {
		one := entry{key: e.key, path: fmt.Sprintf("%s[%d]", e.path, i), line: item.Line, value: item}
		if resolve(item).Kind == yaml.MappingNode { // a fallback with parameters of its own
			if model := findEntry(l.mapping(item, one.path), "model"); model != nil {
				l.unused(one, " but for its model")
				one.value = model.value
			}
		}
		if text, ok := l.text(one); ok {
			names = append(names, text)
		}
	}
	return names
}
