package schema_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pelton/schema"
)

// Bytes that are no UTF-8 are refused wherever a job is read or made, by the line
// or the field that has them; no result, event or output could hold them.
func TestNotUTF8(t *testing.T) {
	bad := `{"model":"m","messages":[{"role":"user","content":"caf` + "\xe9" + `"}]}`
	good := `{"model":"m","messages":[]}`
	lines := schema.NewLineReader(strings.NewReader(good+"\n\n"+bad+"\n"+good), schema.Limits{}, nil)
	for lines.Next() {
		if problem := lines.Request().Problem; (problem != nil) != (lines.Line() == 3) {
			t.Errorf("line %d: %v", lines.Line(), problem)
		}
	}
	p := problemsOf(t, lines.Problems())
	if p.Total != 1 || p.List[0].Line != 3 || p.List[0].Code != schema.ProblemJSON || !strings.Contains(p.List[0].Message, "not valid UTF-8 at byte 55 (0xE9)") {
		t.Errorf("%+v", p)
	}
	for name, tt := range map[string]struct{ job, want string }{
		"body":         {`{"id":"a","requests":[` + good + `,` + bad + `]}`, "request 1"},
		"line":         {`{"id":"a","requests":[{"custom_id":"` + "\xff" + `","body":` + good + `}]}`, "request 0"},
		"id":           {`{"id":"` + "\xff" + `","requests":[` + good + `]}`, "id"},
		"metadata":     {`{"id":"a","metadata":{"k":"` + "\xc3" + `"},"requests":[` + good + `]}`, "metadata"},
		"half of one":  {`{"id":"a","order":"` + "\xe2\x82" + `","requests":[` + good + `]}`, "order"},
		"a surrogate":  {`{"id":"a","order":"` + "\xed\xa0\x80" + `","requests":[` + good + `]}`, "order"},
		"overlong":     {`{"id":"a","order":"` + "\xc0\x80" + `","requests":[` + good + `]}`, "order"},
		"the defaults": {`{"id":"a","defaults":{"user":"` + "\xff" + `"},"requests":[` + good + `]}`, "defaults"},
	} {
		_, err := schema.ParseJob([]byte(tt.job), schema.Limits{})
		if p := problemsOf(t, err); p.Total == 0 || !strings.Contains(p.Error(), "not valid UTF-8") || !strings.Contains(p.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	job := schema.Job{ID: "a", Requests: []schema.Request{{Body: json.RawMessage(bad)}}}
	if err := job.Validate(schema.Limits{}); err == nil || !strings.Contains(err.Error(), "not valid UTF-8") {
		t.Errorf("made in Go: %v", err)
	}
	// Skipped, the request is told of as text that can be carried.
	j, err := schema.ParseJob([]byte(`{"id":"a","invalid":"skip","requests":[`+good+`,`+bad+`]}`), schema.Limits{})
	if err != nil || len(j.Requests) != 2 || j.Requests[1].Problem == nil || !utf8.Valid(j.Requests[1].Body) {
		t.Errorf("%v, %+v", err, j.Requests)
	}
}

// What came with bytes that are no UTF-8 is carried beside what can be read.
func TestBodyBase64(t *testing.T) {
	raw := []byte(`{"choices":[{"message":{"content":"` + "\xff" + `"}}]}`)
	r := schema.Result{ID: "j.0", Job: "j", Status: schema.StatusSucceeded, Response: &schema.Response{
		StatusCode: 200, Body: bytes.ToValidUTF8(raw, []byte("\uFFFD")), BodyBase64: raw,
	}}
	text, err := r.AppendJSON(nil)
	if err != nil || !utf8.Valid(text) || !json.Valid(text) {
		t.Fatalf("%v: %q", err, text)
	}
	back, err := schema.ParseResult(text)
	if err != nil || !bytes.Equal(back.Response.BodyBase64, raw) || !strings.Contains(string(back.Response.Body), "\uFFFD") {
		t.Errorf("%v: %+v", err, back.Response)
	}
	plain, err := json.Marshal(r)
	var again schema.Result
	if err != nil || json.Unmarshal(plain, &again) != nil || !bytes.Equal(again.Response.BodyBase64, raw) {
		t.Errorf("%v: %s", err, plain)
	}
}
