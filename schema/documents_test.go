package schema_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"pelton/schema"
)

// compiled returns the schema of that name, or of the part that path points to.
func compiled(t testing.TB, name, path string) *jsonschema.Schema {
	t.Helper()
	data, ok := schema.DocumentNamed(name)
	if !ok {
		t.Fatalf("no document %s", name)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := schema.StringField(data, "$id")
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(id, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(id + path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func accepts(t testing.TB, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return s.Validate(v)
}

func TestJobSchemaAgreesWithParseJob(t *testing.T) {
	s := compiled(t, "job", "")
	for _, sample := range slices.Concat(envelopeSamples, requestSamples) {
		if sample.beyond {
			continue
		}
		err := accepts(t, s, []byte(sample.job))
		if (err == nil) != (sample.want == "") {
			t.Errorf("%s: the schema says %v, ParseJob %q: %.200s", sample.name, err, sample.want, sample.job)
		}
	}
}

// Each request of the samples, by itself, is judged alike by the schema of a
// line and ParseRequest.
func TestLineSchemaAgreesWithParseRequest(t *testing.T) {
	s := compiled(t, "line", "")
	for _, sample := range requestSamples {
		if sample.beyond {
			continue
		}
		var job struct{ Requests []json.RawMessage }
		if err := json.Unmarshal([]byte(sample.job), &job); err != nil {
			t.Fatal(err)
		}
		for _, raw := range job.Requests {
			_, want := schema.ParseRequest(raw, schema.Limits{}, nil)
			if got := accepts(t, s, raw); (got == nil) != (want == nil) {
				t.Errorf("%s: the schema says %v, ParseRequest %v: %s", sample.name, got, want, raw)
			}
		}
	}
}

func TestDocuments(t *testing.T) {
	shared := map[string]string{} // a definition stands in several documents, everywhere the same
	ids := map[string]bool{}
	for _, d := range schema.Documents() {
		if d.Title == "" || len(d.Data) == 0 {
			t.Errorf("%s: title %q, %d bytes", d.Name, d.Title, len(d.Data))
		}
		if d.Name == "asyncapi" {
			continue
		}
		s := compiled(t, d.Name, "")
		var doc struct {
			Schema      string                     `json:"$schema"`
			ID          string                     `json:"$id"`
			Description string                     `json:"description"`
			Defs        map[string]json.RawMessage `json:"$defs"`
			Examples    []json.RawMessage          `json:"examples"`
		}
		if err := json.Unmarshal(d.Data, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Schema != "https://json-schema.org/draft/2020-12/schema" || doc.ID != "urn:pelton:schema:"+d.Name || doc.Description == "" || ids[doc.ID] {
			t.Errorf("%s: head %+v", d.Name, doc)
		}
		ids[doc.ID] = true
		for _, example := range doc.Examples {
			if err := accepts(t, s, example); err != nil {
				t.Errorf("%s: example %s: %v", d.Name, example, err)
			}
		}
		for name, def := range doc.Defs {
			if name == "headers" { // each its own
				continue
			}
			if other, ok := shared[name]; ok && other != string(def) {
				t.Errorf("%s: $defs/%s differs from another document's", d.Name, name)
			}
			shared[name] = string(def)
		}
	}
	if _, ok := schema.DocumentNamed("../doc.go"); ok {
		t.Error("a file outside")
	}
	if names := schema.DocumentNames(); !strings.HasPrefix(names, "job line result") {
		t.Error(names)
	}
}

// Every field of the Go types stands in its schema and the other way round.
func TestSchemasHaveTheFieldsOfTheTypes(t *testing.T) {
	for path, value := range map[string]any{
		"result": schema.Result{}, "result/$defs/attempt": schema.Attempt{}, "result/$defs/error": schema.Error{},
		"error": schema.Error{}, "result/$defs/usage": schema.Usage{}, "state": schema.State{}, "progress": schema.State{},
		"state/properties/counts": schema.Counts{}, "state/properties/reason": schema.Reason{},
		"state/properties/errors/items": schema.ErrorCount{}, "state/properties/callback": schema.Callback{}, "cancel": schema.Cancel{}, "parked": schema.Parked{},
		"problems": schema.Problems{}, "problems/$defs/problem": schema.Problem{}, "job/properties/input": schema.Input{},
		"event": schema.Event{}, "list-answer/$defs/state": schema.State{}, "run-answer/$defs/result": schema.Result{},
	} {
		steps := strings.Split(path, "/")
		data, _ := schema.DocumentNamed(steps[0])
		for _, step := range steps[1:] {
			data, _ = schema.Field(data, step)
		}
		var doc struct{ Properties map[string]any }
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var want []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(value)) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(doc.Properties)); !slices.Equal(got, want) {
			t.Errorf("%s: schema %v, type %v", path, got, want)
		}
	}
}

func TestMessagesFitTheirSchemas(t *testing.T) {
	result := schema.Result{ID: "j.0", Job: "j", Status: schema.StatusFailed, Error: &schema.Error{Class: schema.ClassTimeout, Message: "m"},
		Response: &schema.Response{StatusCode: 500, Body: json.RawMessage(`"html"`)}, Attempts: []schema.Attempt{{}}, Usage: &schema.Usage{}}
	resultData, err := result.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	index := 3
	stateData, _ := json.Marshal(schema.State{ID: "j", Queue: "q", State: schema.Failed, Reason: &schema.Reason{Code: schema.ReasonFailFast, Index: &index}})
	_, problems := schema.ParseJob([]byte(`{"requests":[1],"id":""}`), schema.Limits{})
	problemData, _ := json.Marshal(problems)
	for _, c := range []struct{ name, path, data, want string }{
		{"result", "", string(resultData), ""},
		{"run-answer", "", "[" + string(resultData) + "]", ""},
		{"result", "", strings.Replace(string(resultData), `"failed"`, `"succeeded"`, 1), "error"},
		{"result", "", strings.Replace(string(resultData), `"timeout"`, `"slow"`, 1), "class"},
		{"error", "", `{"class":"timeout","message":"m"}`, ""},
		{"state", "", string(stateData), ""},
		{"progress", "", string(stateData), ""},
		{"status-answer", "", string(stateData), ""},
		{"list-answer", "", "[" + string(stateData) + "]", ""},
		{"state", "", strings.Replace(string(stateData), `"failed"`, `"done"`, 1), "state"},
		{"problems", "", string(problemData), ""},
		{"cancel", "", `{}`, ""},
		{"cancel", "", `{"reason":"r"}`, ""},
		{"cancel", "", `{"reason":1}`, "reason"},
		{"submit-answer", "", `{"id":"j","state":"queued","duplicate":true}`, ""},
		{"cancel-answer", "", `{"id":"j"}`, ""},
		{"call", "", `{"reason":"r"}`, "id"},
		{"work", "", okBody, ""},
		{"work", "#/$defs/headers", `{"Pelton-Job":"j","Pelton-Index":"0","Pelton-Total":"1","Pelton-Url":"/v1/embeddings","Pelton-Timeout":"10m0s","Pelton-Deadline":"2030-01-31T18:00:00Z","Pelton-Queued-At":"2030-01-31T18:00:00Z"}`, ""},
		{"result", "#/$defs/headers", `{"Pelton-Job":"j","Pelton-Index":"0","Pelton-Status":"succeeded","Pelton-Usage":"1,2,3"}`, ""},
		{"state", "#/$defs/headers", `{"Pelton-Job":"j","Pelton-Index":"end","Pelton-Status":"expired","Pelton-Total":"1"}`, ""},
		{"stored", "", `{"Pelton-Job":"j","Pelton-Index":"-1","Pelton-Status":"succeeded"}`, "Pelton-Index"},
		{"service-error", "", `{"Nats-Service-Error":"x","Nats-Service-Error-Code":"413"}`, ""},
	} {
		err := accepts(t, compiled(t, c.name, c.path), []byte(c.data))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s%s: %v; want %q: %s", c.name, c.path, err, c.want, c.data)
		}
	}
}
