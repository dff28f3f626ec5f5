package litellm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"pelton/router"
	"pelton/router/internal/lazyregexp"
	"pelton/router/protocol"
)

// reader reads the values of one file, and collects what is wrong with them.
type reader struct {
	file     string   // that is being read
	files    []string // all that were read, in order
	env      func(string) (string, bool)
	accepted map[string]bool // settings that need not be carried out
	warnings []Warning
	problems []Problem
	merges   int // done so far
}

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

func (r *reader) problem(line int, message string) {
	r.problems = append(r.problems, Problem{r.file, line, message})
}

func (r *reader) unused(e entry, hint string) { r.warn(e.line, e.path, "not used by Pelton"+hint) }

func (r *reader) warn(line int, key, message string) {
	r.warnings = append(r.warnings, Warning{File: r.file, Line: line, Key: key, Message: message})
}

var yamlLine = lazyregexp.New(`^yaml: (?:line (\d+): )?(.*)$`)

// anchorName is the one thing that the parser repeats of a file. It may be a
// password that begins with a star.
var anchorName = lazyregexp.New(`anchor '.*'`)

// syntax notes what the YAML parser said, with its line in the usual place.
func (r *reader) syntax(err error) {
	if errors.Is(err, io.EOF) {
		r.problem(0, "the file is empty: model_list is needed")
		return
	}
	text, line := anchorName.Get().ReplaceAllString(err.Error(), "anchor (write a value that begins with * or & in quotes)"), 0
	if m := yamlLine.Get().FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	r.problem(line, "not valid YAML: "+text)
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// mapping returns the entries of a mapping in order, merge keys resolved; null
// is an empty one. Of a key given twice the last counts. Anything else is a problem.
func (r *reader) mapping(n *yaml.Node, path string) []entry {
	var entries []entry
	r.collect(n, path, 0, map[string]bool{}, &entries)
	return entries
}

func (r *reader) collect(n *yaml.Node, path string, depth int, seen map[string]bool, entries *[]entry) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.problem(n.Line, path+": must be a mapping of keys to values")
		return
	}
	if depth > maxMergeDepth {
		r.problem(n.Line, path+": merges (<<) nest too deep")
		return
	}
	if depth > 0 {
		if r.merges++; r.merges == maxMerges {
			r.problem(n.Line, path+": too many merges (<<) in this file")
		}
		if r.merges >= maxMerges {
			return
		}
	}
	under := ""
	if path != "the file" {
		under = path + "."
	}
	own := map[string]int{}
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
			r.problem(key.Line, path+": a key must be plain text")
		case own[key.Value] > 0:
			r.warn(key.Line, under+keyName(key.Value), fmt.Sprintf("given in line %d too; the last one counts", own[key.Value]))
			if at := findEntry(*entries, key.Value); at != nil && at.line == own[key.Value] {
				at.line, at.value = key.Line, value
			}
			own[key.Value] = key.Line
		default:
			own[key.Value] = key.Line
			if !seen[key.Value] { // what stands in the mapping itself beats what is merged in
				seen[key.Value] = true
				*entries = append(*entries, entry{key.Value, under + keyName(key.Value), key.Line, value})
			}
		}
	}
	for _, merged := range merges {
		r.collect(merged, path, depth+1, seen, entries)
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
func (r *reader) text(e entry) (string, bool) {
	n := resolve(e.value)
	if isNull(n) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode {
		r.problem(n.Line, e.path+": must be one value, not a list or mapping")
		return "", false
	}
	name, isRef := strings.CutPrefix(n.Value, envPrefix)
	if !isRef {
		return n.Value, true
	}
	value, set := r.env(name)
	switch {
	case !set:
		r.problem(n.Line, fmt.Sprintf("%s: the environment variable %s is not set", e.path, name))
	case strings.TrimSpace(value) == "":
		r.problem(n.Line, fmt.Sprintf("%s: the environment variable %s is empty", e.path, name))
	default:
		return strings.TrimSpace(value), true
	}
	return "", false
}

func (r *reader) secret(e entry) router.Secret {
	text, _ := r.text(e)
	if !httpguts.ValidHeaderFieldValue(text) {
		r.problem(e.line, e.path+": "+router.BadHeaderValue)
		return router.Secret{}
	}
	return router.NewSecret(text)
}

// headers reads extra_headers.
func (r *reader) headers(section entry) map[string]router.Secret {
	headers := map[string]router.Secret{}
	for _, e := range r.mapping(section.value, section.path) {
		if !httpguts.ValidHeaderFieldName(e.key) {
			r.warn(e.line, e.path, "is no header name: it is not sent")
			continue
		}
		headers[http.CanonicalHeaderKey(e.key)] = r.secret(e)
	}
	return headers
}

// environment reads environment_variables, which the rest of the file may
// refer to.
func (r *reader) environment(section entry) {
	own, outer := map[string]string{}, r.env
	for _, e := range r.mapping(section.value, section.path) {
		own[e.key], _ = r.text(e)
	}
	r.env = func(name string) (string, bool) {
		if value, ok := own[name]; ok {
			return value, true
		}
		return outer(name)
	}
}
