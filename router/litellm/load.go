// Package litellm reads LiteLLM's config.yaml into a [router.Config]: its
// model_list and router_settings, and where LiteLLM's providers are. What it says
// of the file, problems and warnings, names line and key.
package litellm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"

	"go.yaml.in/yaml/v3"

	"pelton/router"
	"pelton/router/internal/file"
)

// Load reads a configuration file in the shape of LiteLLM's config.yaml: its
// model_list and router_settings. References such as os.environ/NAME are looked
// up with env (os.LookupEnv), and so are the keys of deployments that have none
// of their own and no address of their own, under their provider's usual names.
//
// What the file says and Pelton does not use is returned as warnings, also
// beside an error. The error joins all problems, one [Problem] each. The key
// pelton_settings is left to others.
func Load(path string, env func(string) (string, bool)) (*router.Config, []Warning, error) {
	text, err := file.Read(path, file.Max)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, text, env)
}

// Problem is something wrong in a configuration file.
type Problem struct {
	File    string
	Line    int    // from 1; 0 when it concerns the file as a whole
	Message string // begins with the key it is about
}

// Error returns file, line and message, as compilers do.
func (p Problem) Error() string { return position(p.File, p.Line) + p.Message }

// Warning is something in a configuration file that is not used.
type Warning struct {
	File    string
	Line    int
	Key     string // with the keys it lies under, such as "router_settings.routing_strategy"
	Message string
}

// String returns file, line, key and message on one line.
func (w Warning) String() string { return position(w.File, w.Line) + w.Key + ": " + w.Message }

func position(file string, line int) string {
	if line == 0 {
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// loader makes a configuration of one file, and collects what is wrong.
type loader struct {
	*reader
	ids         map[string]int // id of a deployment → its line
	credentials map[string][]entry
	mentions    []mention
	aliasLines  map[string]int
}

func parse(name string, text []byte, env func(string) (string, bool)) (*router.Config, []Warning, error) {
	l := &loader{
		reader: &reader{file: name, env: env},
		ids:    map[string]int{}, credentials: map[string][]entry{}, aliasLines: map[string]int{},
	}
	cfg := l.document(text)
	slices.SortStableFunc(l.warnings, func(a, b Warning) int { return a.Line - b.Line })
	if len(l.problems) == 0 {
		return cfg, l.warnings, nil
	}
	sort.SliceStable(l.problems, func(i, j int) bool { return l.problems[i].Line < l.problems[j].Line })
	errs := make([]error, len(l.problems))
	for i, p := range l.problems {
		errs[i] = p
	}
	return nil, l.warnings, errors.Join(errs...)
}

func (l *loader) document(text []byte) *router.Config {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil {
		l.syntax(err)
		return nil
	}
	var second yaml.Node
	if decoder.Decode(&second) == nil {
		l.problem(second.Line, "a second YAML document: a configuration is one")
	}
	cfg := &router.Config{}
	sections := l.mapping(root.Content[0], "the file")
	// What others refer to comes first, and what replaces something last.
	for _, key := range []string{"environment_variables", "credential_list", "model_list", "litellm_settings", "router_settings"} {
		e := findEntry(sections, key)
		switch {
		case e == nil && key == "model_list":
			l.problem(0, "model_list: missing; it lists the models and where they are")
		case e == nil:
		case key == "environment_variables":
			l.environment(*e)
		case key == "credential_list":
			l.credentialList(*e)
		case key == "model_list":
			l.modelList(cfg, *e)
		default:
			l.routerSettings(cfg, *e)
		}
	}
	for _, e := range sections {
		switch e.key {
		case "environment_variables", "credential_list", "model_list", "litellm_settings", "router_settings", "pelton_settings":
		default:
			l.unused(e, "")
		}
	}
	if len(l.problems) == 0 {
		l.dangling(cfg)
	}
	return cfg
}
