package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"pelton/internal/hint"
)

// Flag is a setting given on the command line. It is stronger than the
// environment and the file.
type Flag struct {
	Flag  string // as it was typed, for errors: --server
	Name  string // the variable it stands for: NATS_URL
	Value string
}

// Load reads the configuration: defaults, then the settings file, then the
// environment, then flags. The file is that of PELTON_CONFIG; none is no fault.
// A variable that is set but empty counts as not set.
//
// The error joins every problem found, one per line, each naming the variable,
// flag or file and line. Load changes nothing and may be called again.
func Load(flags ...Flag) (*Config, error) {
	c := Default()
	var problems []error
	bad := func(where string, err error) { problems = append(problems, fmt.Errorf("%s: %w", where, err)) }

	path := os.Getenv("PELTON_CONFIG")
	for _, f := range flags {
		if f.Name == "PELTON_CONFIG" {
			path = f.Value
		}
	}
	if path != "" {
		c.File = path
		problems = append(problems, c.loadFile(path)...)
	}

	problems = append(problems, unknownVariables(os.Environ())...)
	for _, v := range variables {
		// Process takes an empty value for a value.
		if os.Getenv(v.name) == "" || v.name == "PELTON_CONFIG" {
			continue
		}
		if err := v.setFromEnvironment(c); err != nil {
			bad(v.name, err)
		}
	}

	for _, f := range flags {
		v, ok := lookup(f.Name)
		if !ok {
			panic("config: flag " + f.Flag + " stands for no variable: " + f.Name)
		}
		if err := v.set(c, f.Value); err != nil {
			bad(f.Flag, err)
		}
	}

	problems = append(problems, c.problems()...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return c, nil
}

// unknownVariables finds variables that are ours by their prefix and that
// nothing reads: a misspelt one would be without effect and without a word.
func unknownVariables(environ []string) []error {
	var problems []error
	slices.Sort(environ)
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "PELTON_") || serviceLink.MatchString(name) || strings.HasPrefix(name, forTests) {
			continue
		}
		if _, known := lookup(name); known {
			continue
		}
		problem := "no such setting"
		if near := hint.Nearest(name, names(false)); near != "" {
			problem += "; did you mean " + near + "?"
		}
		problems = append(problems, fmt.Errorf("%s: %s", name, problem))
	}
	return problems
}

// forTests begins the names that this project's tests read.
const forTests = "PELTON_TEST_"

// serviceLink matches what Kubernetes puts into every container for a service
// that is called pelton or pelton-something.
var serviceLink = regexp.MustCompile(`^PELTON_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
