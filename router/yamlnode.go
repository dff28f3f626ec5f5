package router

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"pelton/router/protocol"
	"regexp"
	"strconv"
	"strings"

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

// maxMerges bounds how often a file merges in all: with each merge naming others
// several times, a few lines ask for more than any machine can do.
const maxMerges = 10_000

func (l *loader) problem(line int, message string) {
	l.problems = append(l.problems, Problem{l.file, line, message})
}

func (l *loader) unused(e entry, hint string) { l.warn(e.line, e.path, "not used by Pelton"+hint) }

func (l *loader) warn(line int, key, message string) {
	l.warnings = append(l.warnings, Warning{l.file, line, key, message})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// anchorName is the one thing that the parser repeats of a file. It may be a
// password that begins with a star.
var anchorName = regexp.MustCompile(`anchor '.*'`)

// syntax notes what the YAML parser said, with its line in the usual place.
func (l *loader) syntax(err error) {
	if errors.Is(err, io.EOF) {
		l.problem(0, "the file is empty: model_list is needed")
		return
	}
	text, line := anchorName.ReplaceAllString(err.Error(), "anchor (write a value that begins with * or & in quotes)"), 0
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
	if depth > 0 {
		if l.merges++; l.merges == maxMerges {
			l.problem(n.Line, path+": too many merges (<<) in this file")
		}
		if l.merges >= maxMerges {
			return
		}
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
		return protocol.OneLine(quoted, 100)
	}
	return protocol.OneLine(key, 100)
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
