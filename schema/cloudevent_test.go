package schema_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"pelton/schema"
)

func TestFromCloudEvent(t *testing.T) {
	type header = map[string][]string
	structured := header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
	binary := header{"ce-specversion": {"1.0"}, "ce-id": {"e1"}, "ce-type": {"pelton.job"}, "ce-source": {"/x"}}
	event := func(fields string) string { return `{"specversion":"1.0","id":"e1","type":"t",` + fields + `}` }
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"a": 1}`))
	for name, c := range map[string]struct {
		header  header
		data    string
		job, id string
		is      bool
		err     string
	}{
		"no event":               {nil, `{"a":1}`, `{"a":1}`, "", false, ""},
		"other headers":          {header{"Content-Type": {"application/json"}, "Nats-Msg-Id": {"x"}}, `{}`, `{}`, "", false, ""},
		"binary":                 {binary, `{"a": 1}`, `{"a": 1}`, "e1", true, ""},
		"binary in any case":     {header{"Ce-Specversion": {"1.0"}, "CE-ID": {"e1"}, "cE-tYPE": {"t"}}, `{}`, `{}`, "e1", true, ""},
		"percent-decoded":        {header{"ce-specversion": {"1.0"}, "ce-id": {"caf%C3%A9%20%zz%4"}, "ce-type": {"t"}}, `{}`, `{}`, "café %zz%4", true, ""},
		"two spellings":          {header{"ce-specversion": {"1.0"}, "ce-id": {"small"}, "CE-ID": {"large"}, "ce-type": {"t"}}, `{}`, `{}`, "large", true, ""},
		"binary without id":      {header{"ce-specversion": {"1.0"}, "ce-type": {"t"}}, `{}`, "", "", true, "CloudEvent: id: missing"},
		"binary without type":    {header{"ce-specversion": {"1.0"}, "ce-id": {"e1"}}, `{}`, "", "e1", true, "type: missing"},
		"binary without version": {header{"ce-id": {"e1"}, "ce-type": {"t"}}, `{}`, "", "e1", true, "specversion: missing"},
		"older":                  {header{"ce-specversion": {"0.3"}, "ce-id": {"e1"}, "ce-type": {"t"}}, `{}`, "", "e1", true, `must be "1.0", not "0.3"`},

		"structured, no header":  {nil, event(`"data": {"a" : 1.0}`), `{"a" : 1.0}`, "e1", true, ""},
		"structured, plain JSON": {header{"Content-Type": {"application/json"}}, event(`"data":{}`), `{}`, "e1", true, ""},
		"no header, older":       {nil, `{"specversion":"0.3","id":"e1","data":{}}`, "", "e1", true, "type: missing"},
		"no header, no version":  {nil, `{"specversion":null,"id":"e1","type":"t","data":{}}`, "", "e1", true, "specversion: missing"},
		"binary, event inside":   {binary, event(`"data":{}`), event(`"data":{}`), "e1", true, ""},
		"the word in a message":  {nil, `{"requests":[{"body":{"specversion":"1.0","x":"\"specversion\""}}]}`, `{"requests":[{"body":{"specversion":"1.0","x":"\"specversion\""}}]}`, "", false, ""},
		"the word, no JSON":      {nil, `{"specversion":`, `{"specversion":`, "", false, ""},
		"the word, no object":    {nil, `["specversion"]`, `["specversion"]`, "", false, ""},

		"structured":             {structured, event(`"data": {"a" : 1.0}`), `{"a" : 1.0}`, "e1", true, ""},
		"structured, extensions": {structured, event(`"x":{},"time":"now","data":{}`), `{}`, "e1", true, ""},
		"structured in base64":   {structured, event(`"data_base64":"` + encoded + `"`), `{"a": 1}`, "e1", true, ""},
		"bad base64":             {structured, event(`"data_base64":"*"`), "", "e1", true, "data_base64: must be a string in base64"},
		"base64 no string":       {structured, event(`"data_base64":1`), "", "e1", true, "data_base64: must be a string"},
		"both":                   {structured, event(`"data":{},"data_base64":""`), "", "e1", true, "has data and data_base64"},
		"no data":                {structured, event(`"x":1`), "", "e1", true, "data: missing; it holds the job"},
		"id a number":            {structured, `{"specversion":"1.0","id":1,"type":"t","data":{}}`, "", "", true, "id: missing, empty or no string"},
		"no JSON":                {structured, `{`, "", "", true, "not valid JSON"},
		"no object":              {structured, `[]`, "", "", true, "must be a JSON object"},
		"empty":                  {structured, ``, "", "", true, "not valid JSON"},
		"a batch":                {header{"content-type": {"application/cloudevents-batch+json"}}, `[]`, "", "", true, "is not supported"},
		"avro":                   {header{"content-type": {"Application/CloudEvents+Avro"}}, ``, "", "", true, "is not supported"},
	} {
		job, id, is, err := schema.FromCloudEvent(c.header, []byte(c.data))
		if string(job) != c.job || id != c.id || is != c.is || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %q, %q, %v, %v", name, job, id, is, err)
		}
	}
}

func TestNormalizeID(t *testing.T) {
	for _, id := range []string{"", "a", "Nightly_4-2", "j", "j1x", "h1", strings.Repeat("z", 64)} {
		if job, external := schema.NormalizeID(id); job != id || external != "" {
			t.Errorf("%q: %q, %q", id, job, external)
		}
	}
	for _, id := range []string{"a.b", "a b", "é", "j42", "\xff", "*", strings.Repeat("z", 65)} {
		job, external := schema.NormalizeID(id)
		if !schema.ValidID(job) || len(job) != 33 || job[0] != 'h' || external != id {
			t.Errorf("%q: %q, %q", id, job, external)
		}
	}
	if job, _ := schema.NormalizeID("a b"); job != "hc8687a08aa5d6ed2044328fa6a697ab8" {
		t.Errorf("the hash of an id must never change: %s", job)
	}
}

func TestValidNames(t *testing.T) {
	for id, want := range map[string]bool{"a": true, "j": true, "j1": false, "j1-": true, "": false, "a.b": false, "-": true} {
		if schema.ValidID(id) != want {
			t.Errorf("id %q", id)
		}
	}
	for queue, want := range map[string]bool{"default": true, "j1": true, "": false, "a.b": false, "*": false} {
		if schema.ValidQueue(queue) != want {
			t.Errorf("queue %q", queue)
		}
	}
}
