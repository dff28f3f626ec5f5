package schema_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pelton/schema"
)

// oddBodies are valid JSON that a decoder and an encoder would change.
var oddBodies = []string{
	`{}`, `[]`, `null`, `"text"`, `0`, `-0`, `1.0`, `1E+2`,
	`{"n":18446744073709551616,"f":1.10,"e":1e400}`,
	`{"a":"\u00e9é\u003c<&>\/\ud83d\ude00"}`,
	"{\n\t\"a\" :  [ 1 ,\r\n2 ] }",
	`{"a":1,"a":2}`,
	`{"\u0062ody":0,"body":0,"request":0}`,
	"{\"a\":\"\u2028\"}",
	`{"lone":"\ud800"}`,
}

func TestResultKeepsBytes(t *testing.T) {
	at := time.Date(2030, 1, 31, 18, 0, 0, 5, time.UTC)
	for _, body := range oddBodies {
		r := schema.Result{
			ID: "j.3", Job: "j", Index: 3, CustomID: `quote " "body":0 <b>`, Status: schema.StatusFailed, FinishedAt: &at,
			Request:  json.RawMessage(body),
			Response: &schema.Response{StatusCode: 400, RequestID: `"body":0`, Body: json.RawMessage(body)},
			Error:    &schema.Error{Class: schema.ClassRequestFatal, Message: `"body":0`},
			Attempts: []schema.Attempt{{Deployment: "d", StartedAt: at}},
		}
		data, err := r.AppendJSON([]byte("before"))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		data, ok := bytes.CutPrefix(data, []byte("before"))
		if !ok {
			t.Fatalf("%s: dst was overwritten", body)
		}
		if n := bytes.Count(data, []byte(body)); n < 2 {
			t.Errorf("%s: not in %s", body, data)
		}
		got, err := schema.ParseResult(data)
		if err != nil {
			t.Fatalf("%s: %v in %s", body, err, data)
		}
		if body == "null" { // no request
			r.Request = nil
		}
		if diff := cmp.Diff(&r, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
		line, err := r.AppendLine(nil)
		if err != nil || bytes.Count(line, []byte("\n")) != 1 || bytes.Contains(line, []byte("\r")) || line[len(line)-1] != '\n' {
			t.Errorf("%s: %v, not one line: %q", body, err, line)
		}
		if _, err := schema.ParseResult(line); err != nil {
			t.Errorf("%s: %v in %s", body, err, line)
		}
	}
}

func TestResultWithoutParts(t *testing.T) {
	r := schema.Result{ID: "j.0", Job: "j", Status: schema.StatusSucceeded}
	data, err := r.AppendJSON(nil)
	if want := `{"id":"j.0","job":"j","index":0,"status":"succeeded","response":null,"error":null}`; err != nil || string(data) != want {
		t.Errorf("got %s, %v", data, err)
	}
	r.Response = &schema.Response{StatusCode: 204}
	if data, err = r.AppendJSON(nil); err != nil || !strings.Contains(string(data), `"response":{"status_code":204,"body":null}`) {
		t.Errorf("got %s, %v", data, err)
	}
	nan := math.NaN()
	r.Cost = &nan
	if data, err = r.AppendLine([]byte("x")); err == nil || string(data) != "x" {
		t.Errorf("a cost that is no number: %q, %v", data, err)
	}
}

func TestParseResultRefuses(t *testing.T) {
	for data, want := range map[string]string{
		``:                                 "result: unexpected end",
		`[]`:                               "result: ",
		`null`:                             "index: missing",
		`{"job":"j","status":"succeeded"}`: "index: missing",
		`{"job":"j","index":-1,"status":"succeeded"}`:                              "must not be negative",
		`{"index":0,"status":"succeeded"}`:                                         "job: missing",
		`{"job":"j","index":0,"status":"done"}`:                                    `not "done"`,
		`{"job":"j","index":0,"status":"failed"}`:                                  "error: must be there exactly when",
		`{"job":"j","index":0,"status":"succeeded","error":{"class":"transient"}}`: "error: must be there exactly when",
		`{"job":"j","index":"0","status":"succeeded"}`:                             "result: ",
	} {
		if r, err := schema.ParseResult([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", data, r, err, want)
		}
	}
	r, err := schema.ParseResult([]byte(`{"job":"j","index":4,"status":"succeeded","response":{"status_code":200,"body":{ "a":1}},"new":{},"request":null}`))
	if err != nil || r.Index != 4 || string(r.Response.Body) != `{ "a":1}` || r.Request != nil {
		t.Errorf("unknown fields are for newer readers: %+v, %v", r, err)
	}
}

func TestParseState(t *testing.T) {
	s, err := schema.ParseState([]byte(`{"id":"j","state":"running","total":2,"counts":{"succeeded":1},"metadata":{ "a":1}}`))
	if err != nil || s.State != schema.Running || s.Counts.Succeeded != 1 || string(s.Metadata) != `{ "a":1}` {
		t.Errorf("got %+v, %v", s, err)
	}
	for data, want := range map[string]string{
		``: "state: ", `{}`: "id: missing", `{"id":"j"}`: `no such state: ""`, `{"id":"j","state":"Done"}`: `"Done"`, `3`: "state: ",
	} {
		if s, err := schema.ParseState([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", data, s, err, want)
		}
	}
}

func TestParseCancel(t *testing.T) {
	long := strings.Repeat("é", 600)
	for data, want := range map[string]string{
		``: "", " \n": "", `{}`: "", `{"reason":"wrong prompt"}`: "wrong prompt", `stop it`: "stop it",
		`"quoted"`: `"quoted"`, `{"reason":7}`: `{"reason":7}`, `{"reason"`: `{"reason"`, `[1]`: `[1]`,
		long: long[:1000], "\xff": "\ufffd",
	} {
		if got := schema.ParseCancel([]byte(data)); got.Reason != want || got.Code != "" {
			t.Errorf("%q: got %+v", data, got)
		}
	}
	if got := schema.ParseCancel([]byte(`{"reason":"r","code":"fail_fast","index":3}`)); got.Code != "fail_fast" || *got.Index != 3 {
		t.Errorf("got %+v", got)
	}
}
