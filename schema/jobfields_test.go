package schema

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// jobValues has a value other than the default for each field of a job.
var jobValues = map[string]string{
	"id": `"a"`, "concurrency": `3`, "order": `"input"`, "fail_fast": `{"failures":2,"rate":0.5,"after":3}`, "reply": `"a.b"`,
	"callback": `"c"`, "notify": `"a.c"`, "timeout": `"3s"`, "request_timeout": `"4s"`, "deadline": `"3h0m0s"`, "defaults": `{"model":"m"}`, "tags": `["t","u,v"]`,
	"max_cost": `0.5`, "include_request": `true`, "invalid": `"skip"`, "metadata": `{"k":1}`, "input": `{"object":"o","endpoint":"/v1/embeddings"}`,
	"requests": `[{"model":"m","messages":[]}]`,
}

func jobProperties(t *testing.T) map[string]struct {
	Default  json.RawMessage
	Examples []json.RawMessage
} {
	t.Helper()
	data, _ := DocumentNamed("job")
	var doc struct {
		Properties map[string]struct {
			Default  json.RawMessage
			Examples []json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Properties
}

func TestJobSchemaHasTheFieldsOfTheTable(t *testing.T) {
	names := slices.Sorted(slices.Values(jobFieldNames()))
	properties := jobProperties(t)
	if documented := slices.Sorted(maps.Keys(properties)); !slices.Equal(names, documented) {
		t.Errorf("the table has  %v\njob.json has   %v", names, documented)
	}
	for name, property := range properties {
		for _, value := range append(property.Examples, property.Default) {
			if value == nil {
				continue
			}
			p := newEnvelope(&Job{}, Limits{})
			if bad := jobFields[jobFieldPlace([]byte(name))].read(p, value, 1); bad.code != "" || len(p.found) > 0 {
				t.Errorf("%s: job.json names %s, which is read with %v %v", name, value, bad, p.found)
			}
		}
	}
}

// Each row reads, writes and checks one field of the Go type, which has the
// document's name.
func TestRowsOfJobFields(t *testing.T) {
	goFields := reflect.TypeFor[Job]().NumField()
	if goFields != len(jobFields) {
		t.Errorf("a Job has %d fields, the table %d", goFields, len(jobFields))
	}
	seen := map[string]bool{}
	for i := range jobFields {
		f := &jobFields[i]
		if f.name != "requests" && f.isSet(&Job{}) {
			t.Errorf("%s: is set in the zero Job", f.name)
		}
		job, err := ParseJob([]byte(document(f.name)), Limits{})
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		if !f.isSet(job) {
			t.Errorf("%s: is not set when read", f.name)
		}
		if got, err := f.append(nil, job); err != nil || string(got) != jobValues[f.name] {
			t.Errorf("%s: %s is appended as %s, %v", f.name, jobValues[f.name], got, err)
		}
		if err := job.Validate(Limits{}); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		want := strings.ReplaceAll(f.name, "_", "")
		if want == "invalid" {
			want = "skipinvalid"
		}
		for k := range goFields {
			name := strings.ToLower(reflect.TypeFor[Job]().Field(k).Name)
			zero := reflect.ValueOf(*job).Field(k).IsZero()
			if source := name == "requests"; (zero || source) != (name != want || source) {
				t.Errorf("%s: Go field %s is zero: %v", f.name, name, zero)
			}
			seen[name] = seen[name] || !zero
		}
	}
	if len(seen) != goFields {
		t.Errorf("fields %v", seen)
	}
	for name, set := range seen {
		if !set {
			t.Errorf("no row sets %s", name)
		}
	}
}

// document is a valid job with the sample of one field.
func document(name string) string {
	switch name {
	case "requests", "input":
		return `{"` + name + `":` + jobValues[name] + `}`
	}
	return `{"requests":` + jobValues["requests"] + `,"` + name + `":` + jobValues[name] + `}`
}

// The order of the fields in a written job is part of the protocol: the same job
// published again is known by the hash of its bytes.
func TestOrderOfWrittenFields(t *testing.T) {
	want := `{"id":"a","concurrency":3,"order":"input","fail_fast":{"failures":2,"rate":0.5,"after":3},"reply":"a.b","callback":"c",` +
		`"notify":"a.c","timeout":"3s","deadline":"3h0m0s","defaults":{"model":"m"},"tags":["t","u,v"],"max_cost":0.5,` +
		`"include_request":true,"invalid":"skip","metadata":{"k":1},"requests":[{"model":"m","messages":[]}]}`
	job, err := ParseJob([]byte(want), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := job.AppendJSON(nil); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
