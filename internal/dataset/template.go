package dataset

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"pelton/internal/hint"
)

// rowTemplate is a template over rows. Its errors are for those who wrote it.
type rowTemplate struct {
	flag     string
	template *template.Template
	out      strings.Builder
}

// newTemplate parses the value of a flag; nil for an empty one.
func newTemplate(flag, text string) (*rowTemplate, error) {
	if text == "" {
		return nil, nil
	}
	t, err := template.New("t").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", flag, templatePlace.ReplaceAllString(err.Error(), ""))
	}
	return &rowTemplate{flag: flag, template: t}, nil
}

func (t *rowTemplate) execute(value any) (string, error) {
	t.out.Reset()
	if err := t.template.Execute(&t.out, value); err != nil {
		return "", t.explain(err, value)
	}
	s := t.out.String()
	if !utf8.ValidString(s) { // a function cut a character in two
		return "", fmt.Errorf("%s: gives text that is not valid UTF-8", t.flag)
	}
	return s, nil
}

// executeID is execute for a custom id, which may not be empty.
func (t *rowTemplate) executeID(value any) (string, error) {
	id, err := t.execute(value)
	if err == nil && id == "" {
		err = fmt.Errorf("%s: gives an empty text", t.flag)
	}
	return id, err
}

var (
	templatePlace = regexp.MustCompile(`^template: t(:\d+)*: `)
	executing     = regexp.MustCompile(`^template: t[:0-9]*: executing "t" at <(.*?)>: (?s:(.*))$`)
	callFault     = regexp.MustCompile(`^error calling \w+: `)
	noEntry       = regexp.MustCompile(`^map has no entry for key "(.*)"$`)
)

// explain says what of the row a template could not use.
func (t *rowTemplate) explain(err error, value any) error {
	found := executing.FindStringSubmatch(err.Error())
	if found == nil {
		return fmt.Errorf("%s: %s", t.flag, templatePlace.ReplaceAllString(err.Error(), ""))
	}
	at, what := found[1], found[2]
	missing := noEntry.FindStringSubmatch(what)
	if missing == nil {
		what = callFault.ReplaceAllString(what, "")
		return fmt.Errorf("%s: {{%s}}: %s", t.flag, at, what)
	}
	message := fmt.Sprintf("%s: {{%s}}: there is no field %q", t.flag, at, missing[1])
	names := fieldsOf(holder(value, at, missing[1]))
	if near := hint.Nearest(missing[1], names); near != "" {
		message += fmt.Sprintf(" (did you mean %q?)", near)
	}
	return errors.New(message + listed(names))
}

// listed names the fields there are, for the end of an error.
func listed(names []string) string {
	if len(names) == 0 {
		return ""
	}
	if len(names) > 20 {
		names = append(names[:20], "…")
	}
	return "; the fields are " + strings.Join(names, ", ")
}

// holder is the object in which the path .a.b looked for key. It is nil where
// that cannot be told: inside range and with, paths begin elsewhere.
func holder(value any, path, key string) any {
	steps := strings.Split(path, ".")
	for _, step := range steps[1:] {
		inner, there := get(value, step)
		switch {
		case step == key && there:
			return nil
		case step == key:
			return value
		case !there:
			return nil
		}
		value = inner
	}
	return nil
}

func get(value any, key string) (inner any, there bool) {
	switch v := value.(type) {
	case object:
		inner, there = v[key]
	case textRow:
		inner, there = v[key]
	}
	return inner, there
}

func fieldsOf(value any) []string {
	var m map[string]any
	switch v := value.(type) {
	case object:
		m = v
	case textRow:
		m = v
	}
	return slices.Sorted(maps.Keys(m))
}
