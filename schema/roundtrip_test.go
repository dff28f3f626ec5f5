package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pelton/schema"
)

// space is any white space between tokens.
var space = rapid.StringMatching(`[ \t\r\n]{0,3}`)

// scalar is the text of a JSON value that is no array and no object.
var scalar = rapid.OneOf(
	rapid.SampledFrom([]string{`null`, `true`, `false`, `0`, `-0`, `1.0`, `1E400`, `18446744073709551616`, `-9223372036854775809`, `0.1000000000000000055511151231257827`,
		`""`, `"\u00e9"`, `"é"`, `"\ud83d\ude00"`, `"😀"`, `"\ud800"`, `"\/\\\""`, `"<&>"`, `"` + "\u2028" + `"`, `"]}"`, `"\"}"`}),
	rapid.Map(rapid.String(), func(s string) string { b, _ := json.Marshal(s); return string(b) }),
)

// value is the text of any JSON value, with odd spaces.
func value(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	if depth == 0 || kind < 2 {
		return scalar.Draw(t, "scalar")
	}
	if kind == 2 {
		return object(t, depth)
	}
	items := make([]string, rapid.IntRange(0, 3).Draw(t, "items"))
	for i := range items {
		items[i] = space.Draw(t, "space") + value(t, depth-1) + space.Draw(t, "space")
	}
	return "[" + strings.Join(items, ",") + space.Draw(t, "space") + "]"
}

// object is the text of a JSON object with the members given and some more.
func object(t *rapid.T, depth int, members ...string) string {
	for i := range rapid.IntRange(0, 3).Draw(t, "members") {
		members = append(members, fmt.Sprintf(`"%s%d"`, rapid.SampledFrom([]string{"k", `\u006b`, "é", "<", `\"`}).Draw(t, "key"), i)+space.Draw(t, "space")+":"+space.Draw(t, "space")+value(t, depth-1))
	}
	var b strings.Builder
	b.WriteString("{" + space.Draw(t, "space"))
	for i, m := range rapid.Permutation(members).Draw(t, "order") {
		if i > 0 {
			b.WriteString(space.Draw(t, "space") + "," + space.Draw(t, "space"))
		}
		b.WriteString(m)
	}
	b.WriteString(space.Draw(t, "space") + "}")
	return b.String()
}

var anyRequest = rapid.Custom(func(t *rapid.T) schema.Request {
	var r schema.Request
	field := `"messages":`
	if rapid.Bool().Draw(t, "line") {
		r.URL = rapid.SampledFrom([]schema.Endpoint{"", schema.ChatCompletions, schema.Responses, schema.Completions, schema.Embeddings, schema.Moderations}).Draw(t, "url")
		switch r.URL {
		case "", schema.ChatCompletions:
		case schema.Completions:
			field = `"prompt" : `
		default:
			field = `"input": `
		}
		r.CustomID = rapid.StringN(0, 20, -1).Draw(t, "custom_id")
		r.Timeout = time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "timeout"))
	}
	members := []string{`"model":"m"`, field + `[` + value(t, 2) + `]`}
	if rapid.IntRange(0, 9).Draw(t, "tricky") == 0 {
		members = append(members, rapid.SampledFrom([]string{`"body"`, `"\u0062ody"`, `"custom_id"`, `"custom\u005fid"`}).Draw(t, "key")+`:`+value(t, 1))
	}
	r.Body = json.RawMessage(object(t, 3, members...))
	return r
})

var anyJob = rapid.Custom(func(t *rapid.T) schema.Job {
	j := schema.Job{
		ID:             rapid.StringMatching(`([A-Z_-][a-zA-Z0-9_-]{0,63})?`).Draw(t, "id"),
		Concurrency:    rapid.IntRange(0, schema.MaxConcurrency).Draw(t, "concurrency"),
		Tags:           rapid.SampledFrom([][]string{nil, {"free"}, {"a,b", "\u00e9"}}).Draw(t, "tags"),
		MaxCost:        rapid.SampledFrom([]float64{0, 0.01, 5}).Draw(t, "max_cost"),
		Order:          rapid.SampledFrom([]schema.Order{"", schema.OrderInput, schema.OrderCompletion}).Draw(t, "order"),
		Callback:       rapid.StringMatching(`([a-zA-Z0-9_-]{1,5})?`).Draw(t, "callback"),
		Notify:         rapid.StringMatching(`([a-zA-Z_é-]{1,5}(\.[a-z$0-9]{1,5}){0,3})?`).Draw(t, "notify"),
		Reply:          rapid.StringMatching(`([a-zA-Z_é-]{1,5}(\.[a-z$0-9]{1,5}){0,3})?`).Draw(t, "reply"),
		Timeout:        time.Duration(rapid.Int64Range(0, 1e17).Draw(t, "timeout")),
		IncludeRequest: rapid.Bool().Draw(t, "include"),
		SkipInvalid:    rapid.Bool().Draw(t, "skip"),
		FailFast: schema.FailFast{
			Failures: rapid.IntRange(0, 3).Draw(t, "failures"),
			Rate:     rapid.SampledFrom([]float64{0, 1e-300, 0.1, 1. / 3, 1}).Draw(t, "rate"),
		},
	}
	if j.FailFast.Rate > 0 {
		j.FailFast.After = rapid.IntRange(0, 1000).Draw(t, "after")
	}
	switch rapid.IntRange(0, 2).Draw(t, "deadline") {
	case 1:
		j.Deadline.After = time.Duration(rapid.Int64Range(1, 1e17).Draw(t, "after"))
	case 2:
		j.Deadline.At = time.Unix(rapid.Int64Range(-3e10, 2e11).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	}
	if rapid.Bool().Draw(t, "has defaults") {
		j.Defaults = json.RawMessage(object(t, 2))
	}
	if rapid.Bool().Draw(t, "has metadata") {
		j.Metadata = json.RawMessage(object(t, 2))
	}
	if rapid.IntRange(0, 9).Draw(t, "has input") == 0 {
		j.Input = &schema.Input{Object: rapid.StringN(1, 50, -1).Draw(t, "object"),
			Endpoint: rapid.SampledFrom([]schema.Endpoint{"", schema.ChatCompletions, schema.Embeddings}).Draw(t, "endpoint")}
		return j
	}
	j.Requests = rapid.SliceOfN(anyRequest, 1, 4).Draw(t, "requests")
	seen := map[string]bool{}
	for i := range j.Requests {
		if r := &j.Requests[i]; seen[r.CustomID] {
			r.CustomID = ""
		} else {
			seen[r.CustomID] = true
		}
	}
	return j
})

func TestJobSurvivesItsMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyJob.Draw(t, "job")
		if err := want.Validate(schema.Limits{}); err != nil {
			t.Fatal(err)
		}
		data, err := want.AppendJSON([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := schema.ParseJob(data[1:], schema.Limits{})
		if err != nil {
			t.Fatalf("%v in %s", err, data[1:])
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRequestsSurviveTheirLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(anyRequest, 1, 5).Draw(t, "requests")
		var input []byte
		for i := range want {
			want[i].CustomID = "" // none twice
			if i == 0 {
				want[i].CustomID = "only \"one\"\n"
			}
			line := schema.AppendRequest(nil, want[i])
			if bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("%q is no line", line)
			}
			input = append(append(input, line...), '\n')
			want[i].Body = bytes.NewBuffer(bytes.Map(func(c rune) rune {
				if c == '\r' || c == '\n' {
					return ' '
				}
				return c
			}, want[i].Body)).Bytes()
			one, err := schema.ParseRequest(line, schema.Limits{}, nil)
			if err != nil || cmp.Diff(want[i], one) != "" {
				t.Fatalf("%v %s", err, cmp.Diff(want[i], one))
			}
		}
		l := schema.NewLineReader(bytes.NewReader(input), schema.Limits{}, nil)
		var got []schema.Request
		for l.Next() {
			got = append(got, l.Request())
		}
		if diff := cmp.Diff(want, got); diff != "" || l.Problems() != nil {
			t.Fatalf("%v %s", l.Problems(), diff)
		}
	})
}

// A bare body that would be taken for a batch line is put into one.
func TestAppendRequestTellsBodiesFromLines(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[]}`:                   `{"messages":[]}`,
		`{"x":{"body":1}}`:                  `{"x":{"body":1}}`,
		`{"body":{}}`:                       `{"body":{"body":{}}}`,
		`{"\u0062ody":{}}`:                  `{"body":{"\u0062ody":{}}}`,
		`{"custom_id":1}`:                   `{"body":{"custom_id":1}}`,
		`{"custom\u005fid":1,"params":{}}`:  `{"body":{"custom\u005fid":1,"params":{}}}`,
		"{\n\"messages\"\r\n:\"a\\nbody\"}": `{ "messages"  :"a\nbody"}`,
	} {
		if got := schema.AppendRequest(nil, schema.Request{Body: []byte(body)}); string(got) != want {
			t.Errorf("%s became %s", body, got)
		}
	}
}

func TestJobKeepsBytes(t *testing.T) {
	for _, odd := range oddBodies {
		body := `{"model":"m" ,"messages": ` + odd + " }"
		if odd == "null" {
			continue
		}
		j := schema.Job{Requests: []schema.Request{{Body: []byte(body)}, {Body: []byte(body), CustomID: "b"}}}
		data, err := j.AppendJSON(nil)
		if err != nil || bytes.Count(data, []byte(body)) != 2 {
			t.Errorf("%s: %v, not in %s", body, err, data)
		}
		got, err := schema.ParseJob(data, schema.Limits{})
		if err != nil || string(got.Requests[0].Body) != body || string(got.Requests[1].Body) != body {
			t.Errorf("%s: %v, %+v", body, err, got)
		}
	}
}

// SetField and Field, on any object: what is set is found, and nothing else
// moves.
func TestSetFieldKeepsTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := object(t, 3, `"model" : "old"`)
		set := value(t, 2)
		got, err := schema.SetField([]byte(body), "model", []byte(set))
		if err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(body, `"old"`)
		if rapidWant := before + set + after; string(got) != rapidWant {
			t.Fatalf("%s became %s", body, got)
		}
		merged, err := schema.Merge([]byte(body), []byte(`{"model":"new","zz":`+set+`}`))
		if err != nil {
			t.Fatal(err)
		}
		end := strings.LastIndexByte(body, '}')
		head := strings.TrimRight(body[:end], " \t\r\n")
		if want := head + `,"zz":` + set + body[len(head):]; string(merged) != want {
			t.Fatalf("%s became %s, not %s", body, merged, want)
		}
	})
}
