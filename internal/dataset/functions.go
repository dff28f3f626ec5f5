package dataset

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

// functions are what templates can use besides those every Go template has.
var functions = template.FuncMap{
	"json":     asJSONChecked,
	"upper":    func(v any) string { return strings.ToUpper(text(v)) },
	"lower":    func(v any) string { return strings.ToLower(text(v)) },
	"trim":     func(v any) string { return strings.TrimSpace(text(v)) },
	"replace":  func(old, new string, v any) string { return strings.ReplaceAll(text(v), old, new) },
	"split":    func(separator string, v any) []string { return strings.Split(text(v), separator) },
	"join":     join,
	"contains": func(part string, v any) bool { return strings.Contains(text(v), part) },
	"default":  orDefault,
	"truncate": truncate,
	"index":    index,
	"int":      func(v any) (int, error) { return strconv.Atoi(strings.TrimSpace(text(v))) },
	"float":    func(v any) (float64, error) { return strconv.ParseFloat(strings.TrimSpace(text(v)), 64) },
}

func text(v any) string { return fmt.Sprint(v) }

func asJSONChecked(v any) (s string, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("cannot be written as JSON")
		}
	}()
	return asJSON(v), nil
}

func join(separator string, v any) (string, error) {
	var parts []string
	switch v := v.(type) {
	case array:
		for _, item := range v {
			parts = append(parts, text(item))
		}
	case []string:
		parts = v
	default:
		return "", errors.New("join wants a list")
	}
	return strings.Join(parts, separator), nil
}

// index is the template language's own, but a key that is not there is an
// error: it would print "<no value>".
func index(value any, keys ...any) (any, error) {
	for _, key := range keys {
		switch v := value.(type) {
		case object, textRow:
			inner, there := get(v, text(key))
			if !there {
				return nil, fmt.Errorf("there is no field %q%s", text(key), listed(fieldsOf(v)))
			}
			value = inner
		case array:
			inner, err := element(v, key)
			if err != nil {
				return nil, err
			}
			value = inner
		case []string: // of split
			inner, err := element(v, key)
			if err != nil {
				return nil, err
			}
			value = inner
		default:
			return nil, fmt.Errorf("%s is neither a list nor an object", truncate(40, value))
		}
	}
	return value, nil
}

func element[T any](list []T, key any) (v T, err error) {
	i, err := strconv.Atoi(text(key))
	if err != nil || i < 0 || i >= len(list) {
		return v, fmt.Errorf("there is no element %s in a list of %d", text(key), len(list))
	}
	return list[i], nil
}

// orDefault is v unless it is empty: {{.name | default "nobody"}}.
func orDefault(fallback, v any) any {
	if text(v) == "" {
		return fallback
	}
	return v
}

// truncate keeps the first n characters.
func truncate(n int, v any) string {
	s := text(v)
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}
