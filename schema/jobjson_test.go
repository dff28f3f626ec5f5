package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pelton/schema"
)

// compacted is the job with the bytes that json.Marshal makes of its raw fields.
func compacted(t *rapid.T, raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	data, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestJobMarshalsAsItsDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyJob.Draw(t, "job")
		data, err := json.Marshal(map[string]any{"job": want, "pointer": &want})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Job     schema.Job
			Pointer *schema.Job
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		want.Defaults, want.Metadata = compacted(t, want.Defaults), compacted(t, want.Metadata)
		for i := range want.Requests {
			want.Requests[i].Body = compacted(t, want.Requests[i].Body)
		}
		if diff := cmp.Diff(want, got.Job) + cmp.Diff(&want, got.Pointer); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestJobFromJSON(t *testing.T) {
	data := []byte(`{"concurrency":"auto","requests":[` + okBody + `]}`)
	job := schema.Job{ID: "old"}
	if err := json.Unmarshal(data, &job); err != nil || job.ID != "" || job.Concurrency != schema.AutoConcurrency || len(job.Requests) != 1 {
		t.Errorf("%+v, %v", job, err)
	}
	clear(data) // the job has memory of its own
	if string(job.Requests[0].Body) != okBody {
		t.Errorf("body %s", job.Requests[0].Body)
	}
	before := job
	for text, want := range map[string]string{
		`{"requests":[7],"concurrency":0}`: "2 problems",
		`[]`:                               `write {"requests": [...]}`,
		`null`:                             "",
	} {
		err := json.Unmarshal([]byte(text), &job)
		if p := problemsOf(t, err); (want == "") != (err == nil) || want != "" && !strings.Contains(p.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(before, job); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestRequestJSON(t *testing.T) {
	for _, text := range []string{`{"messages":[]}`, `{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"dimensions":3},"timeout":"3s"}`, `{"body":{"body":1}}`} {
		var r schema.Request
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got, err := json.Marshal(r); err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	kept := schema.Request{CustomID: "kept"}
	r := kept
	for text, fails := range map[string]bool{`{"custom_id":7,"body":{}}`: true, `7`: true, `null`: false} {
		if err := json.Unmarshal([]byte(text), &r); (err != nil) != fails || cmp.Diff(kept, r) != "" {
			t.Errorf("%s: %v, %+v", text, err, r)
		}
	}
	if _, err := json.Marshal(schema.Request{}); err == nil || !strings.Contains(err.Error(), "body: not valid JSON: it is empty") {
		t.Error(err)
	}
}

func TestSetText(t *testing.T) {
	for _, c := range []struct{ name, text, same, fault string }{
		{"concurrency", "64", `64`, ""},
		{"concurrency", "064", `64`, ""},
		{"concurrency", "auto", `"auto"`, ""},
		{"concurrency", "0", "", "must be an integer from 1 to 10000, not 0"},
		{"concurrency", "many", "", `must be an integer from 1 to 10000, not "many"`},
		{"concurrency", "", "", `must be an integer from 1 to 10000, not ""`},
		{"timeout", "5m", `"5m"`, ""},
		{"timeout", ".5h", `"30m"`, ""},
		{"timeout", "30", "", `must be a duration like "30s", "10m" or "1h30m", not "30"`},
		{"timeout", "-1s", "", "must be above zero"},
		{"deadline", "2030-01-31T18:00:00Z", `"2030-01-31T18:00:00Z"`, ""},
		{"deadline", "soon", "", `must be a duration like "24h" or an RFC 3339 time`},
		{"max_cost", "2.50", `2.5`, ""},
		{"max_cost", ".5", `0.5`, ""},
		{"max_cost", "NaN", "", "must be a number above 0, in USD"},
		{"max_cost", "2e9", "", "must be a number above 0 and at most 1000000000, in USD"},
		{"tags", "free, eu,,", `["free","eu"]`, ""},
		{"tags", strings.Repeat("a", 129), "", "must not be longer than 128 characters"},
		{"fail_fast", "true", `true`, ""},
		{"fail_fast", "false", `false`, ""},
		{"fail_fast", "10", `{"failures":10}`, ""},
		{"fail_fast", "0", "", "must be an integer from 1"},
		{"fail_fast", "often", "", `must be true, false, {"failures": N} or {"rate": 0.1, "after": N}, not "often"`},
		{"invalid", "skip", `"skip"`, ""},
		{"invalid", "keep", "", `must be "skip" or left out`},
		{"include_request", "true", `true`, ""},
		{"include_request", "0", `false`, ""},
		{"include_request", "yes", "", `must be true or false, not "yes"`},
		{"id", "42", `"42"`, ""},
		{"order", "input", `"input"`, ""},
		{"reply", "a.b", `"a.b"`, ""},
		{"notify", "x.b", "", `must not lie under "x"`},
		{"callback", "c", `"c"`, ""},
		{"metadata", "{}", "", `no field "metadata" that can be set from text`},
		{"colour", "red", "", `no field "colour"`},
	} {
		limits := schema.Limits{Prefix: "x", AutoConcurrency: true}
		var got schema.Job
		err := got.SetText(c.name, c.text, limits)
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) || cmp.Diff(schema.Job{}, got) != "" {
				t.Errorf("%s %q: %v, want %s; %+v", c.name, c.text, err, c.fault, got)
			}
			continue
		}
		want, parseErr := schema.ParseJob([]byte(with(`"`+c.name+`":`+c.same)), limits)
		if err != nil || parseErr != nil {
			t.Errorf("%s %q: %v; %v", c.name, c.text, err, parseErr)
			continue
		}
		want.Requests = nil
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Errorf("%s %q: %s", c.name, c.text, diff)
		}
	}
}
