package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pelton/schema"
)

// param is one member for every body.
type param struct {
	key   string
	value []byte // JSON on one line
}

type params []param

func (p params) get(key string) ([]byte, bool) {
	for _, param := range p {
		if param.key == key {
			return param.value, true
		}
	}
	return nil, false
}

// readParams reads --model and --param.
func readParams(o Options) (params, error) {
	var list params
	if o.Model != "" {
		list = append(list, param{"model", appendJSON(nil, o.Model)})
	}
	for _, text := range o.Params {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return list, fmt.Errorf("--param %s: must be KEY=VALUE, like temperature=0", text)
		}
		if _, twice := list.get(key); twice {
			return list, fmt.Errorf("--param %s: is set twice; keep one", key)
		}
		list = append(list, param{key, paramValue(value)})
	}
	return list, nil
}

func paramValue(text string) []byte {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) == nil {
		return compact.Bytes()
	}
	return appendJSON(nil, text)
}

// answerFormat is a JSON Schema that answers must follow.
type answerFormat struct {
	name   string
	schema []byte
}

// readSchema reads a file that holds a JSON Schema; nil for no file.
func readSchema(path string) (*answerFormat, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--schema %s: %w", path, plainPath(err))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, bytes.TrimPrefix(content, []byte("\ufeff"))); err != nil {
		return nil, fmt.Errorf("--schema %s: not valid JSON: %w", path, err)
	}
	f := &answerFormat{schema: compact.Bytes()}
	if len(f.schema) == 0 || f.schema[0] != '{' {
		return nil, fmt.Errorf("--schema %s: must hold a JSON object, a JSON Schema", path)
	}
	title, _ := schema.StringField(f.schema, "title")
	if title == "" {
		title = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	f.name = strings.Map(func(r rune) rune { // what OpenAI takes as a name
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, title)
	if len(f.name) > 64 {
		f.name = f.name[:64]
	}
	return f, nil
}

func chatFormat(f *answerFormat) []byte {
	return fmt.Appendf(nil, `{"type":"json_schema","json_schema":{"name":%q,"strict":true,"schema":%s}}`, f.name, f.schema)
}

func responsesFormat(f *answerFormat) []byte {
	return fmt.Appendf(nil, `{"type":"json_schema","name":%q,"strict":true,"schema":%s}`, f.name, f.schema)
}
