// Package litellm reads LiteLLM's config.yaml into a [router.Config]: its
// model_list and router_settings, and where LiteLLM's providers are. What it says
// of the file, problems and warnings, names line and key.
package litellm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pelton/router"
	"pelton/router/internal/file"
)

// Load reads a configuration file in the shape of LiteLLM's config.yaml: its
// model_list and router_settings, and those of the files it includes. References
// such as os.environ/NAME are looked up with env (os.LookupEnv), and so are the
// keys of deployments that have none of their own and no address of their own,
// under their provider's usual names.
//
// A deployment that cannot be used is left out, and costs its group alone: one
// that has no other is in [router.Config.Unserved], with the reason. Only when no
// group is left that could be is that an error. What is left out, and what the
// file says and Pelton does not use, is returned as warnings, also beside an error.
// The error joins all problems, one [Problem] each. A file that lists no model at
// all gives a configuration without deployments.
//
// Settings that guard money, data or safety and are not carried out are problems,
// unless accept names them. The key pelton_settings is left to others.
func Load(path string, env func(string) (string, bool), accept ...string) (*router.Config, []Warning, error) {
	text, err := file.Read(path, file.Max)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, text, env, accept...)
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
	LeftOut bool // for it a deployment, or a whole group, is not there
}

// String returns file, line, key and message on one line.
func (w Warning) String() string { return position(w.File, w.Line) + w.Key + ": " + w.Message }

func position(file string, line int) string {
	if line == 0 {
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// loader makes a configuration of one file and those it includes, and collects
// what is wrong.
type loader struct {
	*reader
	ids             map[string]int // id of a deployment → its line
	credentials     map[string][]entry
	mentions        []mention
	aliasLines      map[string]int
	providerBudgets map[string]spending
	defaults        []entry   // of router_settings.default_litellm_params
	leftOut         []Problem // why deployments are, where no group may be left
	variants        map[string]router.Variant
	total           spending // of all deployments together
	tagLine         int      // where the first tags of a deployment are; 0: nowhere
	refresh         bool     // who has no key on Azure uses what Azure's own search finds
}

// deploymentReader reads one entry of model_list: how its model is reached and what it
// may do.
type deploymentReader struct{ *loader }

// routerReader reads router_settings, and what of litellm_settings is the router's.
type routerReader struct{ *loader }

func parse(name string, text []byte, env func(string) (string, bool), accept ...string) (*router.Config, []Warning, error) {
	l := &loader{
		reader: &reader{file: name, files: []string{name}, env: env, accepted: words(strings.Join(accept, " "))},
		ids:    map[string]int{}, credentials: map[string][]entry{}, aliasLines: map[string]int{},
		variants: map[string]router.Variant{}, providerBudgets: map[string]spending{},
	}
	cfg := l.document(text)
	if len(l.problems) == 0 && len(cfg.Deployments) == 0 && len(l.leftOut) > 0 {
		l.problems = l.leftOut
		l.warnings = slices.DeleteFunc(l.warnings, func(w Warning) bool { return w.LeftOut })
	}
	l.warnings = unique(l.warnings)
	slices.SortStableFunc(l.warnings, func(a, b Warning) int {
		return cmp.Or(slices.Index(l.files, a.File)-slices.Index(l.files, b.File), a.Line-b.Line)
	})
	if len(l.problems) == 0 {
		return cfg, l.warnings, nil
	}
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		return cmp.Or(slices.Index(l.files, a.File)-slices.Index(l.files, b.File), a.Line-b.Line)
	})
	errs := make([]error, len(l.problems))
	for i, p := range l.problems {
		errs[i] = p
	}
	return nil, l.warnings, errors.Join(errs...)
}

// The sections of a file that are read, in this order: what others refer to comes
// first, and what replaces something last.
var sectionOrder = []string{"environment_variables", "credential_list", "model_list", "litellm_settings", "router_settings"}

func (l *loader) document(text []byte) *router.Config {
	all := l.sections(text)
	cfg := &router.Config{IgnoreTags: true}
	for _, key := range sectionOrder {
		parts := all[key]
		for _, part := range parts {
			l.file = part.file
			switch key {
			case "environment_variables":
				l.environment(part.entry)
			case "credential_list":
				l.credentialList(part.entry)
			case "litellm_settings", "router_settings":
				routerReader{l}.routerSettings(cfg, part.entry)
			}
		}
		if key == "model_list" {
			if settings := all["router_settings"]; len(settings) > 0 {
				l.file = settings[0].file
				routerReader{l}.defaultParams(settings[0].entry)
			}
			for _, part := range all["litellm_settings"] {
				l.file = part.file
				l.refresh = l.refresh || l.refreshesTokens(part.entry)
			}
			l.readBudgets(all)
			l.modelList(cfg, parts)
		}
	}
	for key, parts := range all {
		if !slices.Contains(sectionOrder, key) {
			for _, part := range parts {
				l.file = part.file
				l.otherSection(part.entry)
			}
		}
	}
	l.file = l.files[0]
	if len(l.problems) == 0 {
		cfg.Variants = l.variants
		l.dangling(cfg)
		l.unusedTags(cfg)
	}
	return cfg
}

// unique drops what was said before: a mapping may be read twice.
func unique(all []Warning) []Warning {
	said := map[Warning]bool{}
	return slices.DeleteFunc(all, func(w Warning) bool {
		before := said[w]
		said[w] = true
		return before
	})
}
