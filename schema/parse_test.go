package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pelton/schema"
)

// problemsOf is the list in err, which must be Problems or nil.
func problemsOf(t testing.TB, err error) *schema.Problems {
	t.Helper()
	if err == nil {
		return &schema.Problems{}
	}
	var p *schema.Problems
	if !errors.As(err, &p) {
		t.Fatalf("%T is no *Problems: %v", err, err)
	}
	if p.Total == 0 || len(p.List) != min(p.Total, schema.MaxProblems) {
		t.Fatalf("%d problems listed of %d", len(p.List), p.Total)
	}
	return p
}

func TestParseJobSamples(t *testing.T) {
	for _, s := range slices.Concat(envelopeSamples, requestSamples) {
		t.Run(s.name, func(t *testing.T) {
			j, err := schema.ParseJob([]byte(s.job), schema.Limits{})
			if s.want == "" {
				if err != nil || j.Input == nil && len(j.Requests) == 0 {
					t.Fatalf("%v", err)
				}
				return
			}
			p := problemsOf(t, err)
			if p.Total != 1 || !strings.Contains(p.Error(), s.want) {
				t.Errorf("got  %v\nwant %s", err, s.want)
			}
			if len(j.Requests) != 0 {
				t.Error("requests of an invalid job were kept")
			}
		})
	}
}

func TestParseJobReadsEveryField(t *testing.T) {
	data := `{
		"id": "nightly-42",
		"requests": [
			{"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
			{"custom_id": "b", "method": "POST", "url": "/v1/embeddings", "body": {"model": "e", "input": 1.0}, "timeout": "30s"}
		],
		"concurrency": 9, "order": "completion", "fail_fast": {"rate": 0.1, "after": 100}, "reply": "my.app.answers",
		"timeout": "5m", "deadline": "2030-01-31T18:00:00Z", "defaults": {"temperature": 0 }, "include_request": true,
		"invalid": "skip", "metadata": {"team": "search" }
	}`
	got, err := schema.ParseJob([]byte(data), schema.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := &schema.Job{
		ID: "nightly-42", Concurrency: 9, Order: schema.OrderCompletion, FailFast: schema.FailFast{Rate: 0.1, After: 100},
		Reply: "my.app.answers", Timeout: 5 * time.Minute, Deadline: schema.Deadline{At: time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)},
		Defaults: json.RawMessage(`{"temperature": 0 }`), Metadata: json.RawMessage(`{"team": "search" }`), IncludeRequest: true, SkipInvalid: true,
		Requests: []schema.Request{
			{Body: json.RawMessage(`{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}`)},
			{CustomID: "b", URL: schema.Embeddings, Timeout: 30 * time.Second, Body: json.RawMessage(`{"model": "e", "input": 1.0}`)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for in, want := range map[string]schema.FailFast{
		`true`: {Failures: 1}, `false`: {}, `{"failures":7}`: {Failures: 7}, `{"rate":0.5}`: {Rate: 0.5},
		`{"failures":2,"rate":1,"after":3}`: {Failures: 2, Rate: 1, After: 3},
	} {
		j, err := schema.ParseJob([]byte(with(`"fail_fast":`+in)), schema.Limits{})
		if err != nil || j.FailFast != want {
			t.Errorf("%s: %+v, %v", in, j.FailFast, err)
		}
	}
}

func TestParseJobSaysWhereJSONBreaks(t *testing.T) {
	for data, want := range map[string]string{
		``:                                    "job: not valid JSON: the message is empty",
		"  \n":                                "job: not valid JSON: the message is empty",
		`{"requests":`:                        "job: not valid JSON: line 1, column 12: unexpected end",
		"{\n\"requests\": [\n  {'model': 1}]": "job: not valid JSON: line 3, column 4: invalid character '\\''",
		`{} {}`:                               "invalid character '{' after top-level value",
		`{"a":` + strings.Repeat("[", 20_000): "exceeded max depth",
		"\xff\xfe{\x00}\x00":                  "job: not valid JSON: line 1, column 1",
	} {
		j, err := schema.ParseJob([]byte(data), schema.Limits{})
		if p := problemsOf(t, err); p.Total != 1 || p.List[0].Code != schema.ProblemJSON || !strings.Contains(p.Error(), want) || j == nil {
			t.Errorf("%.40q: %v; want %s", data, err, want)
		}
	}
	if _, err := schema.ParseJob([]byte("\ufeff"+`{`+okReqs+`}`), schema.Limits{}); err != nil {
		t.Errorf("a byte order mark: %v", err)
	}
}

func TestParseJobReportsAll(t *testing.T) {
	data := `{"id":"a","reply":"$x","timeout":1,"nope":2,"requests":[` +
		`7,{"custom_id":"x","url":"/v2","method":"PUT","body":{"model":""}},` + okBody + `,{"custom_id":"x","body":{"stream":true}}]}`
	j, err := schema.ParseJob([]byte(data), schema.Limits{})
	p := problemsOf(t, err)
	var got []string
	for _, problem := range p.List {
		got = append(got, fmt.Sprintf("%d %s %s", problem.Index, problem.Code, problem.Field))
	}
	want := []string{
		"-1 invalid_value reply", "-1 wrong_type timeout", "-1 unknown_field nope",
		"0 wrong_type ", "1 invalid_value method", "1 invalid_value url", "1 wrong_type body.model",
		"3 duplicate_custom_id custom_id", "3 missing body.model", "3 missing body.messages",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p.Requests != 4 || j.ID != "a" || j.Reply != "" {
		t.Errorf("%d requests, job %+v", p.Requests, j)
	}
	if text := p.Error(); !strings.HasPrefix(text, "10 problems:\n  job: reply: must not begin with $") || strings.Count(text, "\n") != 10 {
		t.Error(text)
	}
	if !p.Has(schema.ProblemDuplicateID) || p.Has(schema.ProblemJSON) {
		t.Error("Has")
	}
	encoded, err := json.Marshal(p)
	var back schema.Problems
	if err != nil || json.Unmarshal(encoded, &back) != nil || cmp.Diff(p, &back) != "" {
		t.Errorf("as JSON: %s, %v", encoded, err)
	}
}

func TestParseJobHintsAtOneRequestAlone(t *testing.T) {
	_, err := schema.ParseJob([]byte(okBody), schema.Limits{})
	if p := problemsOf(t, err); p.Total != 3 || !strings.Contains(p.Error(), `this looks like one request: write {"requests": [ it ]}`) {
		t.Error(err)
	}
}

func TestProblemsAreCountedBeyondTheList(t *testing.T) {
	_, err := schema.ParseJob([]byte(of(strings.Repeat("1,", 249)+"1")), schema.Limits{})
	p := problemsOf(t, err)
	if p.Total != 250 || p.Requests != 250 || !strings.HasSuffix(p.Error(), "\n  and 150 more") {
		t.Errorf("%d problems of %d requests: %s", p.Total, p.Requests, p.Error()[len(p.Error())-40:])
	}
}

func TestParseJobSkipsInvalid(t *testing.T) {
	bad := `{"custom_id":"x","url":"/v1/embeddings","body":{ "input":1},"timeout":"5s"}`
	data := `{"requests":[7,` + okBody + `,` + bad + `,{"custom_id":"x","body":` + okBody + `}],"invalid":"skip"}`
	j, err := schema.ParseJob([]byte(data), schema.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Request{
		{Body: json.RawMessage(`7`), Problem: &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest,
			Message: "must be a JSON object, a body or a batch line, not a number"}},
		{Body: json.RawMessage(okBody)},
		{Body: json.RawMessage(bad), CustomID: "x", Problem: &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest,
			Message: `body.model: missing; name one here or in the job's "defaults"`, Param: "body.model"}},
		{Body: json.RawMessage(`{"custom_id":"x","body":` + okBody + `}`), CustomID: "x", Problem: &schema.Error{Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest,
			Message: `custom_id: "x" is request 2's already; each custom_id can stand once in a job`, Param: "custom_id"}},
	}
	if diff := cmp.Diff(want, j.Requests); diff != "" {
		t.Error(diff)
	}
	// What was read is invalid in the same way when it is published again.
	again, err := j.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := schema.ParseJob(again, schema.Limits{})
	if err != nil || cmp.Diff(j, k) != "" {
		t.Errorf("%v %s", err, cmp.Diff(j, k))
	}
	// Envelope problems count all the same.
	_, err = schema.ParseJob([]byte(`{"invalid":"skip","requests":[7],"order":1}`), schema.Limits{})
	if p := problemsOf(t, err); p.Total != 1 || p.List[0].Field != "order" {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	big := of(`{"model":"m","messages":["` + strings.Repeat("x", 100) + `"]}`)
	for name, c := range map[string]struct {
		job    string
		limits schema.Limits
		want   string
	}{
		"body":            {big, schema.Limits{MaxBody: 100}, "request 0: is 129 bytes long; at most 100 is allowed"},
		"body that fits":  {big, schema.Limits{MaxBody: 129}, ""},
		"requests":        {of(okBody + "," + okBody), schema.Limits{MaxRequests: 1}, "job: requests: has 2 requests; at most 1 are allowed"},
		"depth":           {of(`{"model":"m","messages":[[]]}`), schema.Limits{MaxDepth: 2}, "request 0: nests 3 deep; at most 2"},
		"depth in a line": {of(`{"body":{"model":"m","messages":[[]]}}`), schema.Limits{MaxDepth: 2}, "request 0: body: nests 3 deep; at most 2"},
		"defaults":        {with(`"defaults":{"x":[[]]}`), schema.Limits{MaxDepth: 2}, "job: defaults: nests 3 deep; at most 2"},
		"metadata depth":  {with(`"metadata":{"x":[[]]}`), schema.Limits{MaxDepth: 2}, "job: metadata: nests 3 deep; at most 2"},
		"metadata":        {with(`"metadata":{"x":1}`), schema.Limits{MaxMetadata: 3}, "job: metadata: is 7 bytes long; at most 3"},
		"prefix":          {with(`"reply":"x.y.z"`), schema.Limits{Prefix: "x.y"}, `must not lie under "x.y"`},
		"another prefix":  {with(`"reply":"pelton.y.z"`), schema.Limits{Prefix: "x.y"}, ""},
		"negative":        {`{` + okReqs + `}`, schema.Limits{MaxBody: -1, MaxRequests: -1, MaxDepth: -1}, ""},
	} {
		_, err := schema.ParseJob([]byte(c.job), c.limits)
		if p := problemsOf(t, err); c.want == "" && err != nil || c.want != "" && (p.Total != 1 || !strings.Contains(p.Error(), c.want)) {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}
