package keywords

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// Drop returns body without the parameters at paths: names, or as LiteLLM writes
// what lies deeper, tools[*].function.strict. A body that has none of them is
// returned as it is.
func Drop(body []byte, paths []string) []byte {
	var names, deep []string
	for _, path := range paths {
		if strings.ContainsAny(path, ".[") {
			deep = append(deep, path)
		} else {
			names = append(names, path)
		}
	}
	body = dropNames(body, names)
	if len(deep) == 0 {
		return body
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return body
	}
	dropped := false
	for _, path := range deep {
		dropped = dropAt(value, steps(path)) || dropped
	}
	if !dropped {
		return body
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return body
	}
	return bytes.TrimSpace(out.Bytes())
}

func dropNames(body []byte, names []string) []byte {
	has := func(key []byte) bool { return slices.Contains(names, string(key)) }
	found := false
	if _, valid := rawjson.Object(body, func(key, _ []byte) { found = found || has(rawjson.Key(key)) }); !valid || !found {
		return body
	}
	out := append(make([]byte, 0, len(body)), '{')
	_, _ = rawjson.Object(body, func(key, value []byte) {
		if !has(rawjson.Key(key)) {
			out = translate.AppendMember(out, key, value)
		}
	})
	return append(out, '}')
}

// steps are the names and indexes of a path; "*" is all of a list.
func steps(path string) []string {
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	return strings.Split(path, ".")
}

// dropAt removes what lies at a path within a decoded value, and reports whether
// there was anything.
func dropAt(value any, path []string) bool {
	switch v := value.(type) {
	case map[string]any:
		next, there := v[path[0]]
		if !there {
			return false
		}
		if len(path) == 1 {
			delete(v, path[0])
			return true
		}
		return dropAt(next, path[1:])
	case []any:
		if len(path) == 1 {
			return false // a list keeps its members
		}
		dropped := false
		for i, next := range v {
			if path[0] == "*" || path[0] == strconv.Itoa(i) {
				dropped = dropAt(next, path[1:]) || dropped
			}
		}
		return dropped
	}
	return false
}
