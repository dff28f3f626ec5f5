package gateway_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Answers are held to two descriptions: testdata/openai.json, which is ours and
// allows no member that it does not name, and where it lies in PELTON_TEST_DATA,
// OpenAI's published document.

var descriptions = sync.OnceValue(func() (list []func(name string, data []byte) error) {
	list = append(list, described("testdata/openai.json", "#/$defs/", func(data []byte) []byte { return data }))
	if path := published(); path != "" {
		list = append(list, described(path, "#/components/schemas/", withoutNulls))
	}
	return list
})

// published is the path of OpenAI's document, empty where there is none.
func published() string {
	dir := os.Getenv("PELTON_TEST_DATA")
	path := filepath.Join(dir, "openai-openapi.json")
	if _, err := os.Stat(path); dir == "" || err != nil {
		return ""
	}
	return path
}

func described(path, at string, mend func([]byte) []byte) func(string, []byte) error {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("urn:description", document); err != nil {
		panic(err)
	}
	var mu sync.Mutex // a compiler is one goroutine's
	return func(name string, data []byte) error {
		mu.Lock()
		s, err := compiler.Compile("urn:description" + at + name)
		mu.Unlock()
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(mend(data)))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// withoutNulls takes out the members that are null and that the published
// document says are strings, integers or objects, though OpenAI itself sends
// null: this is the document's known fault.
func withoutNulls(data []byte) []byte {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return data
	}
	faulty := map[string]bool{
		"errors": true, "output_file_id": true, "error_file_id": true, "in_progress_at": true, "expires_at": true, "finalizing_at": true,
		"completed_at": true, "failed_at": true, "expired_at": true, "cancelling_at": true, "cancelled_at": true, "usage": true,
	}
	var strip func(v any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if value == nil && faulty[name] {
					delete(v, name)
				}
				strip(value)
			}
		case []any:
			for _, value := range v {
				strip(value)
			}
		}
	}
	strip(v)
	data, _ = json.Marshal(v)
	return data
}

// conforms fails the test unless data is what every description calls name.
func conforms(t testing.TB, name string, data []byte) {
	t.Helper()
	for _, check := range descriptions() {
		if err := check(name, data); err != nil {
			t.Errorf("no %s: %v\n%s", name, err, data)
		}
	}
}
