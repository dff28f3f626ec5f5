package dataset

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pelton/schema"
)

// A clip of a MiB is no million of tokens.
func TestEstimatedTokensOfSound(t *testing.T) {
	line := `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGR` + strings.Repeat("aB3+", 1<<18) + `","format":"wav"}}]}]}`
	r, err := New(strings.NewReader(line+"\n"), "a.jsonl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		_ = r.Bytes()
	}
	if s := r.Stats(); s.Requests != 1 || s.EstimatedTokens() > 10_000 || s.EstimatedTokens() < 100 {
		t.Errorf("%d tokens: %+v", s.EstimatedTokens(), s)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// read gives everything a Reader has to say about the text of a file.
func read(t *testing.T, name, text string, o Options) (lines []string, problems string) {
	t.Helper()
	r, err := New(strings.NewReader(text), name, o)
	if err != nil {
		return nil, err.Error()
	}
	for r.Next() {
		lines = append(lines, string(r.Bytes()))
	}
	if p := r.Problems(); p != nil {
		return lines, p.Error()
	}
	if err := r.Err(); err != nil {
		return lines, err.Error()
	}
	return lines, ""
}

const hello = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`

func withID(id, body string) string {
	return string(schema.AppendRequest(nil, schema.Request{CustomID: id, Body: []byte(body)}))
}

func TestRequests(t *testing.T) {
	line := `{ "custom_id":"a",  "method":"POST", "url":"/v1/chat/completions", "body": {"model":"x","messages":[], "n": 1.50} }`
	tests := []struct {
		name, file, in string
		o              Options
		want           []string
		problems       string
	}{
		{name: "as they are", in: "\ufeff" + hello + "\r\n\n  " + line + "  ", want: []string{hello, line}},
		{name: "model and parameters", in: hello + "\n" + line, o: Options{Model: "z", Params: []string{"temperature=0.10", "user=a b", `stop=["x", "<"]`}}, want: []string{
			`{"model":"z","messages":[{"role":"user","content":"hello"}],"temperature":0.10,"user":"a b","stop":["x","<"]}`,
			`{ "custom_id":"a",  "method":"POST", "url":"/v1/chat/completions", "body": {"model":"z","messages":[], "n": 1.50,"temperature":0.10,"user":"a b","stop":["x","<"]} }`,
		}},
		{name: "ids", in: hello + "\n" + line, o: Options{ID: `{{if index . "body" | default ""}}b{{else}}c{{end}}`}, problems: `in.jsonl:1: --id: {{index . "body"}}: there is no field "body"; the fields are messages, model`},
		{name: "ids of lines", in: line, o: Options{ID: `{{.body.model}}-{{.body.n}}`}, want: []string{strings.Replace(line, `"a"`, `"x-1.50"`, 1)}},
		{name: "ids of bodies", in: hello, o: Options{ID: `{{.model}}`}, want: []string{withID("m", hello)}},
		{name: "limit", in: hello + "\n" + line + "\nnot JSON", o: Options{Limit: 2}, want: []string{hello, line}},
		{name: "standard input", file: "stdin", in: "\n" + hello, want: []string{hello}},
		{name: "no model", in: `{"messages":[]}`, problems: `in.jsonl:1: model: missing; name one there, or for all with --model`},
		{name: "no model, given", in: `{"messages":[]}`, o: Options{Model: "m"}, want: []string{`{"messages":[],"model":"m"}`}},
		{name: "not requests", in: `{"model":"m","question":"x"}`, problems: `in.jsonl:1: messages: missing; /v1/chat/completions needs it; to make requests of other rows, give a --prompt`},
		{name: "several", in: hello + "\n\n{\n" + hello + "\n7\n", want: []string{hello}, problems: "in.jsonl:3: not valid JSON at byte 1: unexpected end of JSON input; each line must be a whole JSON object\nin.jsonl:5: must be a JSON object, a body or a batch line, not a number"},
		{name: "skip", in: "{\n" + hello + "\n7\n", o: Options{Skip: true, Model: "m"}, want: []string{"{", hello, "7"}, problems: "in.jsonl:1: not valid JSON at byte 1: unexpected end of JSON input; each line must be a whole JSON object\nin.jsonl:3: must be a JSON object, a body or a batch line, not a number"},
		{name: "same id", in: line + "\n" + line, want: []string{line}, problems: `in.jsonl:2: custom_id: "a" is request 0's already; each custom_id can stand once in a job`},
		{name: "empty", in: " \n\n", problems: "in.jsonl: there is no row in it"},
		{name: "array", in: "[" + hello + "]", problems: "in.jsonl: is one JSON array; write one object per line: jq -c '.[]' FILE"},
		{name: "text", file: "in.txt", in: "hello", problems: "in.txt: is text, which becomes requests through --prompt, like --prompt '{{.}}'"},
		{name: "unknown", file: "stdin", in: "hello", problems: "stdin: holds no JSON; name its format with --format csv, tsv or text"},
		{name: "UTF-16", in: "\xff\xfeh\x00", problems: "in.jsonl: is UTF-16; convert it to UTF-8"},
		{name: "spreadsheet", file: "a.csv", in: "PK\x03\x04", problems: "a.csv: is a zip archive or a spreadsheet; save it as CSV with UTF-8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.file == "" {
				test.file = "in.jsonl"
			}
			lines, problems := read(t, test.file, test.in, test.o)
			if diff := cmp.Diff(test.want, lines); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	ask := func(content string) string {
		return `{"model":"m","messages":[{"role":"user","content":` + string(appendJSON(nil, content)) + `}]}`
	}
	tests := []struct {
		name, file, in, prompt string
		o                      Options
		want                   []string
		problems               string
	}{
		{name: "JSON", file: "a.jsonl", in: `{"n":12345678901234567890.10,"q":"<a> \"b\"\n","ok":true,"no":null}`, prompt: "{{.n}} {{.q}} {{.ok}} [{{.no}}]",
			want: []string{ask("12345678901234567890.10 <a> \"b\"\n true []")}},
		{name: "parts", file: "a.jsonl", in: `{"turns":["one","two"],"o":{"b":[1,null],"a":"<"}}`, prompt: `{{index .turns 0}} {{.o.a}} {{.turns}} {{json .o}} {{index .o "b" 0}} {{range $i, $t := .turns}}{{$i}}{{$t}}{{end}}`,
			want: []string{ask(`one < ["one","two"] {"a":"<","b":[1,null]} 1 0one1two`)}},
		{name: "functions", file: "a.jsonl", in: `{"s":" aé ","n":"3","l":["x","y"],"e":""}`, prompt: `{{upper .s}}|{{.s | trim | truncate 1}}|{{join "+" .l}}|{{split "," "p,q" | len}}|{{index (split "," "p,q") 1}}|{{.e | default "none"}}|{{if gt (int .n) 2}}many{{end}}|{{replace "a" "b" .s}}|{{contains "a" .s}}|{{lower "X"}}|{{float .n}}`,
			want: []string{ask(" AÉ |a|x+y|2|q|none|many| bé |true|x|3")}},
		{name: "system, id, parameters", file: "a.jsonl", in: `{"q":"x","id":7}`, prompt: "{{.q}}", o: Options{System: "be {{.id}}", ID: "row-{{.id}}", Params: []string{"top_p=1"}},
			want: []string{withID("row-7", `{"model":"m","messages":[{"role":"system","content":"be 7"},{"role":"user","content":"x"}],"top_p":1}`)}},
		{name: "CSV", file: "a.csv", in: "\ufeffid, the question\r\n1,\"a \"\"b\"\",\nc\"\n\n2,d\n", prompt: `{{.id}}: {{index . "the question"}}`, want: []string{ask("1: a \"b\",\nc"), ask("2: d")}},
		{name: "TSV", file: "a.tsv", in: "id\tq\n1\t\"a\n2\tb\"\n", prompt: `{{.id}}{{.q}}`, want: []string{ask(`1"a`), ask(`2b"`)}},
		{name: "text", file: "a.txt", in: "one \n\n{two}", prompt: "{{.}}={{.line}}", want: []string{ask("one =one "), ask("{two}={two}")}},
		{name: "text by force", file: "a.jsonl", in: "{", prompt: "{{upper .}}", o: Options{Format: Text}, want: []string{ask("{")}},
		{name: "CSV on standard input", file: "stdin", in: "a\n1\n", prompt: "{{.a}}", o: Options{Format: CSV}, want: []string{ask("1")}},

		{name: "no such field", file: "a.jsonl", in: `{"question":"x","id":1}` + "\n\n" + `{"qestion":"x"}`, prompt: "{{.question}}", want: []string{ask("x")},
			problems: `a.jsonl:3: --prompt: {{.question}}: there is no field "question" (did you mean "qestion"?); the fields are qestion`},
		{name: "no such inner field", file: "a.jsonl", in: `{"o":{"a":1}}`, prompt: "{{.o.b}}", problems: `a.jsonl:1: --prompt: {{.o.b}}: there is no field "b"; the fields are a`},
		{name: "no such field in a list", file: "a.jsonl", in: `{"b":[{"c":1}]}`, prompt: "{{range .b}}{{.b}}{{end}}", problems: `a.jsonl:1: --prompt: {{.b}}: there is no field "b"`},
		{name: "no such element", file: "a.jsonl", in: `{"t":["a"]}`, prompt: "{{index .t 1}}", problems: `a.jsonl:1: --prompt: {{index .t 1}}: there is no element 1 in a list of 1`},
		{name: "no such column", file: "a.csv", in: "a b,c\n1,2\n", prompt: `{{index . "d"}}`, problems: `a.csv:2: --prompt: {{index . "d"}}: there is no field "d"; the fields are a b, c`},
		{name: "field of a string", file: "a.jsonl", in: `{"a":"x"}`, prompt: "{{.a.b}}", problems: `a.jsonl:1: --prompt: {{.a.b}}: can't evaluate field b in type interface {}`},
		{name: "empty id", file: "a.jsonl", in: `{"a":""}`, prompt: "x", o: Options{ID: "{{.a}}"}, problems: `a.jsonl:1: --id: gives an empty text`},
		{name: "same id", file: "a.txt", in: "x\nx", prompt: "{{.}}", o: Options{ID: "{{.}}"}, want: []string{withID("x", ask("x"))},
			problems: `a.txt:2: custom_id: "x" is request 0's already; each custom_id can stand once in a job`},
		{name: "bad rows", file: "a.jsonl", in: "{\"a\":\n[1]\n{} {}\n\"\xff\"\n{\"a\":1}", prompt: "{{.a}}", o: Options{Skip: true}, want: []string{
			`"a.jsonl:1: not valid JSON: the line ends in the middle of it"`, `"a.jsonl:2: must be a JSON object"`, `"a.jsonl:3: not valid JSON: more than one value in the line"`, `"a.jsonl:4: not valid UTF-8"`, ask("1")},
			problems: "a.jsonl:1: not valid JSON: the line ends in the middle of it\na.jsonl:2: must be a JSON object\na.jsonl:3: not valid JSON: more than one value in the line\na.jsonl:4: not valid UTF-8"},
		{name: "bad CSV rows", file: "a.csv", in: "a,b\n1\n\"x\"y,2\nx\"y,2\n1,2\n", prompt: "{{.a}}", o: Options{Skip: true}, want: []string{
			`"a.csv:2: has 1 fields, and the first row names 2 columns"`, `"a.csv:3: a quoted field does not end, or has a \" that is not written \"\" (line 3, column 3)"`,
			`"a.csv:4: a field with a \" in it must be quoted, and the \" written \"\" (column 2)"`, ask("1")},
			problems: "a.csv:2: has 1 fields, and the first row names 2 columns\na.csv:3: a quoted field does not end, or has a \" that is not written \"\" (line 3, column 3)\na.csv:4: a field with a \" in it must be quoted, and the \" written \"\" (column 2)"},
		{name: "column twice", file: "a.csv", in: "a,a\n1,2\n", prompt: "x", problems: `a.csv:1: column "a" is there twice; give each its own name`},
		{name: "only columns", file: "a.csv", in: "a,b\n", prompt: "x", problems: `a.csv: there is no row in it`},
		{name: "empty CSV", file: "a.csv", in: "", prompt: "x", problems: `a.csv: there is no row in it`},
		{name: "empty TSV", file: "a.tsv", in: "", prompt: "x", problems: `a.tsv: there is no row in it`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.o.Model, test.o.Prompt = "m", test.prompt
			lines, problems := read(t, test.file, test.in, test.o)
			if diff := cmp.Diff(test.want, lines); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	tests := []struct {
		o    Options
		want string
	}{
		{Options{Prompt: "{{.a", Limit: -1, Params: []string{"x"}}, "--prompt: unclosed action\n--param x: must be KEY=VALUE, like temperature=0\n--limit: must not be negative\n--model: is missing: requests made with --prompt need one"},
		{Options{Prompt: "{{nope .}}", Model: "m"}, `--prompt: function "nope" not defined`},
		{Options{System: "x"}, "--system: needs --prompt: without it each row is a whole request"},
		{Options{Prompt: "x", Model: "m", Params: []string{"messages=[]"}}, "--param messages: cannot be set together with --prompt, which makes them"},
		{Options{Model: "m", Params: []string{"model=n"}}, "--param model: is set twice; keep one"},
		{Options{Format: "xml"}, `--format: must be one of auto, openai, jsonl, csv, tsv, text, not "xml"`},
		{Options{Format: OpenAI, Prompt: "x", Model: "m"}, "--format openai: its rows are requests already; leave out --prompt, or use --format jsonl"},
		{Options{Schema: "/nowhere"}, "--schema /nowhere: no such file or directory"},
	}
	for _, test := range tests {
		_, err := New(strings.NewReader(hello), "in.jsonl", test.o)
		if err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %v", err, test.want)
		}
	}
}

func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my answer.json")
	if err := os.WriteFile(path, []byte("{\n \"type\": \"object\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	chat := `"response_format":{"type":"json_schema","json_schema":{"name":"my_answer","strict":true,"schema":{"type":"object"}}}`
	for _, test := range []struct{ in, want string }{
		{hello, strings.TrimSuffix(hello, "}") + "," + chat + "}"},
		{`{"url":"/v1/responses","body":{"model":"m","input":"x","text":{"verbosity":"low"}}}`,
			`{"url":"/v1/responses","body":{"model":"m","input":"x","text":{"verbosity":"low","format":{"type":"json_schema","name":"my_answer","strict":true,"schema":{"type":"object"}}}}}`},
	} {
		if lines, problems := read(t, "a.jsonl", test.in, Options{Schema: path}); problems != "" || lines[0] != test.want {
			t.Errorf("got %v %v\nwant %v", lines, problems, test.want)
		}
	}
	lines, problems := read(t, "a.txt", "x", Options{Schema: path, Prompt: "{{.}}", Model: "m"})
	if problems != "" || !strings.HasSuffix(lines[0], ","+chat+"}") {
		t.Errorf("%v %v", lines, problems)
	}
	for content, want := range map[string]string{"{": "not valid JSON", "[]": "must hold a JSON object"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(strings.NewReader(hello), "a", Options{Schema: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// What is read again is what Next gave, however small the pieces, and what the
// schema reads of it has the rows' indexes.
func TestAgainIsNDJSON(t *testing.T) {
	in := strings.Repeat("one\n\ntwo\n", 500) + strings.Repeat("long ", 200_000) + "\nlast"
	o := Options{Prompt: "{{.}}", Model: "m"}
	source := func() io.Reader { return iotest.HalfReader(strings.NewReader(in)) }
	again, err := NewAgain(source(), "a.txt", o)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(iotest.OneByteReader(again))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(all)
	if got := again.Hash(); got != hex.EncodeToString(sum[:]) {
		t.Errorf("hash %s", got)
	}
	r, err := New(source(), "a.txt", o)
	if err != nil {
		t.Fatal(err)
	}
	lines := schema.NewLineReader(bytes.NewReader(all), schema.Limits{}, nil)
	for r.Next() {
		if !lines.Next() || lines.Index() != r.Index() {
			t.Fatalf("index %d against %d", lines.Index(), r.Index())
		}
	}
	if lines.Next() || lines.Problems() != nil || r.Line() != 1502 || r.Hash() != again.Hash() {
		t.Errorf("problems %v, last line %d", lines.Problems(), r.Line())
	}
	if s := r.Stats(); s.Requests != 1002 || s.Bytes != int64(len(all)) || s.EstimatedTokens() != int64(len(all)/4) || s.Bad != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAgainStopsWhereTheFileDoes: a file that cannot be read any more says its name.
func TestAgainStopsWhereTheFileDoes(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(hello+"\n"), iotest.ErrReader(errors.New("no such device")))
	again, err := NewAgain(broken, "a.jsonl", Options{Format: OpenAI})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(again); err == nil || err.Error() != "a.jsonl: no such device" || string(out) != hello+"\n" {
		t.Errorf("%v after %s", err, out)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	r, err := New(strings.NewReader(hello+"\n{}\n"+hello), "a.jsonl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r.Next() {
		n++
	}
	var problems *Problems
	if !errors.As(r.Err(), &problems) || problems.Total != 2 || problems.List[0].Index != 1 || problems.List[0].Line != 2 {
		t.Errorf("%v after %d", r.Err(), n)
	}
	if n != 1 || r.Stats().Bad != 1 {
		t.Errorf("%d lines, %+v", n, r.Stats())
	}
}

func TestManyProblems(t *testing.T) {
	for _, o := range []Options{{}, {Skip: true}, {Skip: true, Prompt: "{{.a}}", Model: "m"}} {
		r, err := New(strings.NewReader(strings.Repeat("7\n", 1000)), "a.jsonl", o)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for r.Next() {
			lines++
		}
		p := r.Problems()
		if p.Total != 1000 || len(p.List) != MaxProblems || r.Stats().Bad != 1000 || !strings.HasSuffix(p.Error(), "\nand 900 more problems") {
			t.Errorf("%+v: %d of %d", o, len(p.List), p.Total)
		}
		if o.Skip != (lines == 1000) || o.Skip != (r.Err() == nil) {
			t.Errorf("%+v: %d lines, %v", o, lines, r.Err())
		}
	}
}

// A skipped row is found invalid again by whoever reads the lines.
func TestSkippedRowsStayInvalid(t *testing.T) {
	r, err := NewAgain(strings.NewReader("{\"a\":1}\n\nnope\n{\"b\":2}\n"), "a.jsonl", Options{Skip: true, Prompt: "{{.a}}", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	var bad []int
	lines := schema.NewLineReader(r, schema.Limits{}, nil)
	for lines.Next() {
		if lines.Request().Problem != nil {
			bad = append(bad, lines.Index())
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2}, bad); diff != "" {
		t.Error(diff)
	}
}

func TestCompressed(t *testing.T) {
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	fmt.Fprintln(w, hello)
	w.Close()
	r, err := New(bytes.NewReader(buffer.Bytes()), "in.jsonl.gz", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Next() || string(r.Bytes()) != hello || r.Next() || r.Err() != nil {
		t.Errorf("%s, %v", r.Bytes(), r.Err())
	}

	if r, err = New(bytes.NewReader(buffer.Bytes()[:buffer.Len()-10]), "cut.gz", Options{}); err != nil {
		t.Fatal(err)
	}
	for r.Next() {
	}
	if r.Err() == nil || !strings.HasPrefix(r.Err().Error(), "cut.gz: ") {
		t.Errorf("cut file: %v", r.Err())
	}

	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := New(dir, "dir", Options{}); err == nil || !strings.HasPrefix(err.Error(), "dir: ") || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
}

// endless is a CSV whose quote never ends, or a line without an end.
type endless struct{ begin string }

func (e *endless) Read(p []byte) (int, error) {
	if e.begin != "" {
		n := copy(p, e.begin)
		e.begin = e.begin[n:]
		return n, nil
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestBoundsARow(t *testing.T) {
	defer func(old int) { maxRow = old }(maxRow)
	maxRow = 2 << 20
	r, err := New(&endless{"a,b\n1,\"2\n"}, "a.csv", Options{Prompt: "{{.a}}", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Next() || r.Err() == nil || !strings.Contains(r.Err().Error(), `is a closing " missing?`) {
		t.Error(r.Err())
	}
	long := io.MultiReader(io.LimitReader(&endless{}, int64(maxRow)+2), strings.NewReader("\n"+hello))
	r, err = New(long, "a.jsonl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
	}
	if p := r.Problems(); p == nil || p.Error() != "a.jsonl:1: the line is longer than 2 MiB" {
		t.Error(p)
	}
}

// Memory does not grow with the input.
func TestFlatMemory(t *testing.T) {
	const rows = 50_000
	pipe, w := io.Pipe()
	go func() {
		buffered := bytes.NewBuffer(nil)
		for i := range rows {
			fmt.Fprintf(buffered, "{\"q\":\"question %d with some words in it\"}\n", i)
			if buffered.Len() > 60_000 {
				_, _ = w.Write(buffered.Bytes())
				buffered.Reset()
			}
		}
		_, _ = w.Write(buffered.Bytes())
		w.Close()
	}()
	r, err := New(pipe, "a.jsonl", Options{Prompt: "{{.q}}", ID: "{{.q}}", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r.Next()
	before := heap()
	for r.Next() {
	}
	if r.Err() != nil || r.Stats().Requests != rows {
		t.Fatal(r.Err(), r.Stats())
	}
	if grown := int64(heap()) - int64(before); grown > 16*rows+1<<20 {
		t.Errorf("%d bytes per row", grown/rows)
	}
	runtime.KeepAlive(r)
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{hello, "{\"a\":[1,{\"b\":null}]}\n\n{", "a,b\n1,\"2\"\n", "a\tb\n1\t2", "x\ny\r\n", "\ufeff{}"} {
		f.Add([]byte(seed), "{{.a}}", true)
		f.Add([]byte(seed), "", false)
	}
	f.Add([]byte(`{"a":{"b":"x"}}`), "{{.a.b}}{{json .}}{{index . \"a\" \"b\"}}", true)
	f.Fuzz(func(t *testing.T, in []byte, prompt string, skip bool) {
		if strings.Contains(prompt, "printf") || strings.Contains(prompt, "range") || strings.Contains(prompt, "template") || len(prompt) > 200 {
			return // can ask for more memory or time than a fuzzer has
		}
		for _, format := range []Format{Auto, JSONL, CSV, TSV, Text} {
			r, err := New(bytes.NewReader(in), "in", Options{Format: format, Prompt: prompt, Model: "m", Skip: skip})
			if err != nil {
				continue
			}
			lines := 0
			for r.Next() {
				if bytes.Contains(r.Bytes(), []byte("\n")) || r.Index() != lines {
					t.Errorf("%s: line %q at index %d, want %d", format, r.Bytes(), r.Index(), lines)
				}
				lines++
			}
			if again, err := NewAgain(bytes.NewReader(in), "in", Options{Format: format, Prompt: prompt, Model: "m", Skip: skip}); err != nil {
				t.Error(err)
			} else if _, err := io.Copy(io.Discard, again); r.Err() == nil && (err != nil || again.Hash() != r.Hash()) {
				t.Errorf("%s: read again: %v, hash %s, was %s", format, err, again.Hash(), r.Hash())
			}
			if (r.Problems() == nil) != (r.Stats().Bad == 0 && lines > 0) {
				t.Errorf("%s: problems %v with %+v", format, r.Problems(), r.Stats())
			}
		}
	})
}

func BenchmarkPrompt(b *testing.B) {
	in := strings.Repeat(`{"question":"Janet's ducks lay 16 eggs per day. How much does she make?","answer":"18"}`+"\n", 1000)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r, err := New(strings.NewReader(in), "a.jsonl", Options{Prompt: "Q: {{.question}}", Model: "m"})
		if err != nil {
			b.Fatal(err)
		}
		for r.Next() {
		}
	}
}
