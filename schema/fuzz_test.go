package schema_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pelton/schema"
)

// largeNumber is what the schema's validator would work on for ages.
var largeNumber = regexp.MustCompile(`[0-9][eE]`)

func FuzzParseJob(f *testing.F) {
	for _, s := range slices.Concat(envelopeSamples, requestSamples) {
		if len(s.job) < 5000 {
			f.Add([]byte(s.job))
		}
	}
	judge := compiled(f, "job", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		j, err := schema.ParseJob(data, schema.Limits{AutoConcurrency: true})
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		plain := bytes.TrimPrefix(data, []byte("\ufeff"))
		if json.Valid(plain) && !largeNumber.Match(plain) {
			agrees := accepts(t, judge, plain)
			if err == nil && agrees != nil {
				t.Fatalf("ParseJob takes what the schema does not: %v", agrees)
			}
			if err != nil && agrees == nil && !beyondSchema(problemsOf(t, err)) {
				t.Fatalf("the schema takes what ParseJob does not: %v", err)
			}
		}
		if err != nil {
			p := problemsOf(t, err)
			if len(j.Requests) > 0 || !utf8.ValidString(strings.ToValidUTF8(p.Error(), "")) {
				t.Fatal("an invalid job")
			}
			return
		}
		for i, r := range j.Requests {
			if !bytes.Contains(data, r.Body) || !json.Valid(r.Body) {
				t.Fatalf("request %d: body is not the input's", i)
			}
			if (r.Problem != nil) && !j.SkipInvalid {
				t.Fatalf("request %d: %v", i, r.Problem)
			}
		}
		again, err := j.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		k, err := schema.ParseJob(again, schema.Limits{AutoConcurrency: true})
		if err != nil || cmp.Diff(j, k) != "" {
			t.Fatalf("%v %s", err, cmp.Diff(j, k))
		}
	})
}

// beyondSchema reports whether a schema cannot see some of the problems.
func beyondSchema(p *schema.Problems) bool {
	return slices.ContainsFunc(p.List, func(problem schema.Problem) bool {
		switch problem.Code {
		case schema.ProblemDuplicateField, schema.ProblemDuplicateID, schema.ProblemTooLarge:
			return true
		}
		// Durations of centuries overflow, and there is no leap second in Go.
		return problem.Code == schema.ProblemValue && (strings.Contains(problem.Message, "duration") || strings.Contains(problem.Message, "above zero"))
	})
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range requestSamples {
		if raw, ok := schema.Field([]byte(s.job), "requests"); ok && len(raw) < 5000 {
			f.Add([]byte(raw[1:len(raw)-1]), `{"model":"m"}`)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, defaults string) {
		r, err := schema.ParseRequest(raw, schema.Limits{}, json.RawMessage(defaults))
		if err != nil {
			problemsOf(t, err)
			return
		}
		line := schema.AppendRequest(nil, r)
		again, err := schema.ParseRequest(line, schema.Limits{}, json.RawMessage(defaults))
		if err != nil || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Body = bytes.NewBuffer(spaced(r.Body)).Bytes(); cmp.Diff(r, again) != "" {
			t.Fatal(cmp.Diff(r, again))
		}
	})
}

func spaced(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r"), []byte(" ")), []byte("\n"), []byte(" "))
}

func FuzzLineReader(f *testing.F) {
	f.Add([]byte(okBody+"\r\n\n{\"custom_id\":\"a\",\"body\":"+okBody+"}"), 1000, 64)
	f.Add([]byte("\ufeff[\n1\n{}\n\"\xff\"\n"), 10, 1)
	f.Fuzz(func(t *testing.T, input []byte, maxBody, maxRequests int) {
		limits := schema.Limits{MaxBody: maxBody, MaxRequests: maxRequests}
		l := schema.NewLineReader(bytes.NewReader(input), limits, nil)
		bad, lines := 0, 0
		for l.Next() {
			r := l.Request()
			if l.Index() != lines || l.Line() <= lines || l.Line() > bytes.Count(input, []byte("\n"))+1 {
				t.Fatalf("index %d, line %d after %d", l.Index(), l.Line(), lines)
			}
			lines++
			if r.Problem != nil {
				bad++
				if r.Body != nil && !json.Valid(r.Body) {
					t.Fatalf("%q is no JSON", r.Body)
				}
			} else if !bytes.Contains(input, r.Body) {
				t.Fatal("body is not the input's")
			}
		}
		p := problemsOf(t, l.Problems())
		if l.Err() != nil || p.Total < bad || bad > 0 && p.Requests != lines {
			t.Fatalf("%d bad, %v, %v", bad, p, l.Err())
		}
	})
}

func FuzzFromCloudEvent(f *testing.F) {
	f.Add("ce-id", "a%20b", "application/cloudevents+json", []byte(`{"specversion":"1.0","id":"a","type":"t","data":{}}`))
	f.Add("CE-SPECVERSION", "1.0", "", []byte(`{}`))
	f.Add("ce-type", "%", "application/cloudevents-batch+json; x=\"", []byte(`{"data_base64":"e30="}`))
	f.Fuzz(func(t *testing.T, name, value, media string, data []byte) {
		header := map[string][]string{name: {value}, "Content-Type": {media}, "ce-type": {"t"}, "empty": nil}
		job, id, is, err := schema.FromCloudEvent(header, data)
		if !is && (err != nil || id != "" || !bytes.Equal(job, data)) || err == nil && is && id == "" {
			t.Fatalf("%q, %q, %v, %v", job, id, is, err)
		}
		if got, external := schema.NormalizeID(id); id != "" && (!schema.ValidID(got) || external != "" && external != id) {
			t.Fatalf("%q became %q, %q", id, got, external)
		}
	})
}

func FuzzParseResult(f *testing.F) {
	f.Add([]byte(`{"id":"j.0","job":"j","index":0,"status":"succeeded","response":{"status_code":200,"body":{ "a":1e999}},"error":null,"request":[1 ]}`))
	f.Add([]byte(`{"job":"j","index":1,"status":"failed","error":{"class":"timeout","message":"\"body\":0"},"attempts":[{"started_at":"2030-01-31T18:00:00Z"}],"cost":1e-7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = schema.ParseState(data)
		_ = schema.ParseCancel(data)
		r, err := schema.ParseResult(data)
		if err != nil {
			return
		}
		first, err := r.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := schema.ParseResult(first)
		if err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		if r.Response != nil && len(r.Response.Body) > 0 && !bytes.Equal(r.Response.Body, again.Response.Body) || !bytes.Equal(r.Request, again.Request) {
			t.Fatal("the raw bytes changed")
		}
		if second, err := again.AppendJSON(nil); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
	})
}

func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"a": 1, "b" : [ ] }`), "a", []byte(`"x"`))
	f.Add([]byte("{\n}"), "\"", []byte(`{"c":18446744073709551616}`))
	f.Add([]byte(`{"\u0061":1,"a":"\\\""}`), "a", []byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte, key string, value []byte) {
		had, there := schema.Field(body, key)
		out, err := schema.SetField(body, key, value)
		if err != nil {
			if json.Valid(value) && json.Valid(body) && bytes.TrimSpace(body)[0] == '{' {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%s is no JSON", out)
		}
		got, ok := schema.Field(out, key)
		if utf8.ValidString(key) && (!ok || string(bytes.TrimSpace(value)) != string(got)) {
			t.Fatalf("%s: found %s", out, got)
		}
		if there { // setting it back gives the bytes back, where it stands once
			if back, err := schema.SetField(out, key, had); err != nil || bytes.Count(body, had) == 1 && !bytes.Equal(back, body) && len(back) == len(body) {
				t.Fatalf("%v: %s became %s", err, body, back)
			}
		} else if utf8.ValidString(key) { // only an insertion before the last brace
			end := bytes.LastIndexByte(body, '}')
			head := bytes.TrimRight(body[:end], " \t\r\n")
			if !bytes.HasPrefix(out, head) || !bytes.HasSuffix(out, body[len(head):]) {
				t.Fatalf("%s became %s", body, out)
			}
		}
		merged, err := schema.Merge(body, value)
		if err == nil && !json.Valid(merged) {
			t.Fatalf("%s is no JSON", merged)
		}
		if same, err := schema.Merge(body, body); err != nil || !bytes.Equal(same, body) {
			t.Fatalf("%v: merged with itself: %s", err, same)
		}
	})
}
