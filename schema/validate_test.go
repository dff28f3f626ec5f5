package schema_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/schema"
)

func TestValidate(t *testing.T) {
	ok := schema.Chat("m", schema.User("Hello"))
	raw := func(s string) schema.Request { return schema.Request{Body: json.RawMessage(s)} }
	one := []schema.Request{ok}
	for name, c := range map[string]struct {
		job  schema.Job
		want string
	}{
		"least":       {schema.Job{Requests: one}, ""},
		"no requests": {schema.Job{}, "job: requests: is empty"},
		"input":       {schema.Job{Input: &schema.Input{Object: "x"}}, ""},
		"both":        {schema.Job{Input: &schema.Input{Object: "x"}, Requests: one}, "job: input: cannot stand beside requests"},
		"empty input": {schema.Job{Input: &schema.Input{}}, "job: input.object: must not be empty"},
		"id":          {schema.Job{Requests: one, ID: "a b"}, `job: id: must be 1 to 64 letters, digits, - and _, not "a b"`},
		"concurrency": {schema.Job{Requests: one, Concurrency: -2}, "job: concurrency: must be from 1 to 10000, not -2"},
		"order":       {schema.Job{Requests: one, Order: "up"}, `job: order: must be "completion" or "input", not "up"`},
		"reply":       {schema.Job{Requests: one, Reply: "a.*"}, "job: reply: must be one subject"},
		"timeout":     {schema.Job{Requests: one, Timeout: -time.Second}, "job: timeout: must not be negative, not -1s"},
		"deadline":    {schema.Job{Requests: one, Deadline: schema.Deadline{After: -1}}, "job: deadline: must not be negative"},
		"year":        {schema.Job{Requests: one, Deadline: schema.Deadline{At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)}}, "job: deadline: must be in the years 1000 to 9999"},
		"failures":    {schema.Job{Requests: one, FailFast: schema.FailFast{Failures: -1}}, "job: fail_fast.failures: must be from 0 (off)"},
		"rate":        {schema.Job{Requests: one, FailFast: schema.FailFast{Rate: math.NaN()}}, "job: fail_fast.rate: must be above 0"},
		"after":       {schema.Job{Requests: one, FailFast: schema.FailFast{Rate: 1, After: -1}}, "job: fail_fast.after: must be from 0"},
		"after alone": {schema.Job{Requests: one, FailFast: schema.FailFast{After: 1}}, `job: fail_fast.rate: is 0; "after" needs it`},
		"defaults":    {schema.Job{Requests: one, Defaults: []byte(`{`)}, "job: defaults: not valid JSON"},
		"metadata":    {schema.Job{Requests: one, Metadata: []byte(`{`)}, "job: metadata: not valid JSON"},
		"metadata []": {schema.Job{Requests: one, Metadata: []byte(` []`)}, "job: metadata: must be an object, not an array"},

		"no body":       {schema.Job{Requests: []schema.Request{ok, {}}}, "request 1: body: not valid JSON: it is empty"},
		"half a body":   {schema.Job{Requests: []schema.Request{raw(`{"a"`)}}, "request 0: body: not valid JSON: unexpected end"},
		"an array":      {schema.Job{Requests: []schema.Request{raw(` []`)}}, "request 0: body: must be an object, not an array"},
		"no model":      {schema.Job{Requests: []schema.Request{raw(`{"messages":[]}`)}}, "request 0: body.model: missing"},
		"from defaults": {schema.Job{Requests: []schema.Request{raw(`{"messages":[]}`)}, Defaults: []byte(`{"model":"m"}`)}, ""},
		"a body inside": {schema.Job{Requests: []schema.Request{raw(`{"model":"m","messages":[],"body":{}}`)}}, ""},
		"embeddings":    {schema.Job{Requests: []schema.Request{{Body: ok.Body, URL: schema.Embeddings}}}, "request 0: body.input: missing"},
		"url":           {schema.Job{Requests: []schema.Request{{Body: ok.Body, URL: "/v2"}}}, "request 0: url: must be one of"},
		"its timeout":   {schema.Job{Requests: []schema.Request{{Body: ok.Body, Timeout: -1}}}, "request 0: timeout: must not be negative"},
		"custom_id":     {schema.Job{Requests: []schema.Request{{Body: ok.Body, CustomID: strings.Repeat("a", 1025)}}}, "request 0: custom_id: must not be longer"},
		"twice":         {schema.Job{Requests: []schema.Request{{Body: ok.Body, CustomID: "a"}, ok, {Body: ok.Body, CustomID: "a"}}}, `request 2: custom_id: "a" is request 0's already`},
		"skipped":       {schema.Job{SkipInvalid: true, Requests: []schema.Request{ok, raw(`{}`), raw(`1`), {Body: ok.Body, URL: "/v2"}}}, ""},
		"not skippable": {schema.Job{SkipInvalid: true, Requests: []schema.Request{raw(`{}`), raw(`{`), raw(`{}`)}}, "request 1: body: not valid JSON"},
		"read as bad":   {schema.Job{Requests: []schema.Request{{Body: []byte(`7`), Problem: &schema.Error{Message: "is a number"}}}}, "request 0: is a number"},
	} {
		t.Run(name, func(t *testing.T) {
			p := problemsOf(t, c.job.Validate(schema.Limits{}))
			if c.want == "" && p.Total != 0 || c.want != "" && (p.Total != 1 || !strings.Contains(p.Error(), c.want)) {
				t.Errorf("got  %v\nwant %s", p, c.want)
			}
		})
	}
	two := schema.Job{Requests: []schema.Request{ok, ok}}
	if err := two.Validate(schema.Limits{MaxRequests: 1}); err == nil || !strings.Contains(err.Error(), "job: requests: has 2 requests; at most 1") {
		t.Error(err)
	}
}

// A job that ParseJob took, Validate takes, and the other way round.
func TestValidateAgreesWithParseJob(t *testing.T) {
	for _, s := range slices.Concat(envelopeSamples, requestSamples) {
		j, err := schema.ParseJob([]byte(s.job), schema.Limits{})
		if err == nil {
			if err := j.Validate(schema.Limits{}); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}
}

func TestAppendJSONRefusesWhatIsNoJSON(t *testing.T) {
	for want, j := range map[string]schema.Job{
		"job: defaults: not valid JSON":   {Defaults: []byte(`{`)},
		"job: metadata: not valid JSON":   {Metadata: []byte(`}`)},
		"request 1: body: not valid JSON": {Requests: []schema.Request{schema.Chat("m"), {Body: []byte(`{`)}}},
		"it is empty":                     {Requests: []schema.Request{{}}},
	} {
		if _, err := j.AppendJSON(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestChat(t *testing.T) {
	r := schema.Chat("m", schema.System("a <b> & \"c\"\n"), schema.User("é"), schema.Assistant(""))
	want := `{"model":"m","messages":[{"role":"system","content":"a <b> & \"c\"\n"},{"role":"user","content":"é"},{"role":"assistant","content":""}]}`
	if string(r.Body) != want {
		t.Errorf("got %s", r.Body)
	}
	if r = schema.Chat(""); string(r.Body) != `{"messages":[]}` {
		t.Errorf("got %s", r.Body)
	}
}
