package schema_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pelton/schema"
)

// readAll reads an input and returns "index line body" per request.
func readAll(l *schema.LineReader) (got []string) {
	for l.Next() {
		r := l.Request()
		s := fmt.Sprintf("%d %d %s", l.Index(), l.Line(), r.Body)
		if r.Problem != nil {
			s += " !" + r.Problem.Param
		}
		got = append(got, s)
	}
	return got
}

func TestLineReader(t *testing.T) {
	for name, c := range map[string]struct{ input, want string }{
		"two lines":              {okBody + "\n" + okBody + "\n", "0 1 B;1 2 B"},
		"no line end at the end": {okBody + "\n" + okBody, "0 1 B;1 2 B"},
		"CRLF":                   {okBody + "\r\n" + okBody + "\r\n", "0 1 B;1 2 B"},
		"blank lines":            {"\n \r\n" + okBody + "\n\n\t\n" + okBody + "\n\n", "0 3 B;1 6 B"},
		"byte order mark":        {"\ufeff" + okBody + "\n", "0 1 B"},
		"mark on a blank line":   {"\ufeff\n" + okBody + "\n", "0 2 B"},
		"spaces around":          {"  " + okBody + "\t\n", "0 1 B"},
		"a batch line":           {`{"custom_id":"a","body":` + okBody + "}\n", "0 1 B"},
	} {
		for kind, wrap := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
			"data and EOF": iotest.DataErrReader,
		} {
			l := schema.NewLineReader(wrap(strings.NewReader(c.input)), schema.Limits{}, nil)
			got := strings.ReplaceAll(strings.Join(readAll(l), ";"), okBody, "B")
			if got != c.want || l.Err() != nil || l.Problems() != nil {
				t.Errorf("%s, %s: got %s; %v; %v", name, kind, got, l.Err(), l.Problems())
			}
			if l.Next() || l.Request().Body != nil {
				t.Errorf("%s: there is more behind the end", name)
			}
		}
	}
}

func TestLineReaderWithOneEndpoint(t *testing.T) {
	input := strings.Join([]string{
		`{"custom_id":"a","url":"/v1/embeddings","body":{"model":"m","input":"x"}}`,
		`{"custom_id":"b","body":{"model":"m","input":"x"}}`,
		`{"model":"m","input":"x"}`,
		`{"custom_id":"c","url":"/v1/chat/completions","body":` + okBody + `}`,
		`{"custom_id":"d","body":` + okBody + `}`,
	}, "\n")
	l := schema.NewLineReader(strings.NewReader(input), schema.Limits{}, nil)
	l.Endpoint = schema.Embeddings
	for l.Next() {
		if l.Index() < 3 && (l.Request().Problem != nil || l.Request().URL != schema.Embeddings) {
			t.Errorf("request %d: %q, %v", l.Index(), l.Request().URL, l.Request().Problem)
		}
	}
	want := `2 problems:
  request 3 (line 4): url: must be "/v1/embeddings", as the whole input is for it, not "/v1/chat/completions"
  request 4 (line 5): body.input: missing; /v1/embeddings needs it`
	if err := l.Problems(); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestLineReaderTellsProblemsAndGoesOn(t *testing.T) {
	input := strings.Join([]string{
		okBody,
		"",
		`{"model": oops}`,
		`{"model":"m"}`,
		`[`,
		`{"custom_id":"x","body":` + okBody + `}`,
		`{"custom_id":"x","body":` + okBody + `}`,
		`{"model":"` + strings.Repeat("m", 40_000) + `","messages":[]}`,
		okBody,
	}, "\n")
	l := schema.NewLineReader(strings.NewReader(input), schema.Limits{MaxBody: 20_000}, nil)
	if n := len(readAll(l)); n != 8 || l.Err() != nil {
		t.Errorf("%d requests, %v", n, l.Err())
	}
	p := problemsOf(t, l.Problems())
	want := []string{
		`request 1 (line 3): not valid JSON at byte 11: invalid character 'o' looking for beginning of value`,
		`request 2 (line 4): messages: missing; /v1/chat/completions needs it`,
		`request 3 (line 5): not valid JSON at byte 1: unexpected end of JSON input; each line must be a whole JSON object`,
		`request 5 (line 7): custom_id: "x" is request 4's already; each custom_id can stand once in a job`,
		`request 6 (line 8): the line is longer than 36384 bytes`,
	}
	if p.Requests != 8 || p.Total != len(want) {
		t.Fatalf("%d of %d: %v", p.Total, p.Requests, p)
	}
	for i, problem := range p.List {
		if problem.String() != want[i] {
			t.Errorf("got  %s\nwant %s", problem, want[i])
		}
	}
}

func TestLineReaderSkipsBad(t *testing.T) {
	long := `{"model":"` + strings.Repeat("m", 200_000) + `"}`
	l := schema.NewLineReader(strings.NewReader("oops \"\n"+long+"\n"+okBody+"\n7\n"), schema.Limits{MaxBody: 1000}, nil)
	l.SkipInvalid = true
	got := readAll(l)
	want := []string{`0 1 "oops \"" !`, "1 2  !", "2 3 " + okBody, "3 4 7 !"}
	if strings.Join(got, ";") != strings.Join(want, ";") || l.Problems() != nil {
		t.Errorf("got %q, %v", got, l.Problems())
	}
}

func TestLineReaderEnds(t *testing.T) {
	for _, input := range []string{"", "\n\n", "\ufeff"} {
		l := schema.NewLineReader(strings.NewReader(input), schema.Limits{}, nil)
		if l.Next() || l.Index() != -1 || !strings.Contains(fmt.Sprint(l.Problems()), "job: the input has no requests") {
			t.Errorf("%q: %v", input, l.Problems())
		}
	}
	broken := errors.New("broken pipe")
	l := schema.NewLineReader(io.MultiReader(strings.NewReader(okBody+"\n{\"model\""), iotest.ErrReader(broken)), schema.Limits{}, nil)
	if n := len(readAll(l)); n != 1 || !errors.Is(l.Err(), broken) || l.Problems() != nil {
		t.Errorf("%d requests, %v, %v", n, l.Err(), l.Problems())
	}
	l = schema.NewLineReader(strings.NewReader(strings.Repeat(okBody+"\n", 3)), schema.Limits{MaxRequests: 2}, nil)
	l.SkipInvalid = true // that there are too many is the job's problem, not a request's
	if n := len(readAll(l)); n != 2 || !strings.Contains(fmt.Sprint(l.Problems()), "line 3: more than 2 requests") {
		t.Errorf("%d requests, %v", n, l.Problems())
	}
	l = schema.NewLineReader(strings.NewReader("{}\n"), schema.Limits{}, []byte(okBody))
	if n := len(readAll(l)); n != 1 || l.Problems() != nil {
		t.Errorf("defaults: %v", l.Problems())
	}
	l = schema.NewLineReader(strings.NewReader(okBody), schema.Limits{}, []byte(`[]`))
	if readAll(l); !strings.Contains(fmt.Sprint(l.Problems()), "job: defaults: must be an object") {
		t.Errorf("odd defaults: %v", l.Problems())
	}
}

func TestLineReaderTakesTheLongestLine(t *testing.T) {
	const longest = 1000 + 16<<10
	line := func(n int) string {
		empty := `{"model":"m","messages":[""]}`
		body := strings.Replace(empty, `""`, `"`+strings.Repeat("x", 1000-len(empty))+`"`, 1)
		return `{"body":` + body + strings.Repeat(" ", n-len(body)-len(`{"body":}`)) + "}"
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		l := schema.NewLineReader(strings.NewReader(line(longest)+end), schema.Limits{MaxBody: 1000}, nil)
		if got := readAll(l); len(got) != 1 || l.Problems() != nil {
			t.Errorf("%q: %v", end, l.Problems())
		}
		l = schema.NewLineReader(strings.NewReader(line(longest+1)+end+okBody), schema.Limits{MaxBody: 1000}, nil)
		if readAll(l); l.Problems() == nil {
			t.Errorf("%q: one byte more was taken", end)
		}
	}
}

func TestLineReaderGivesBytesAway(t *testing.T) {
	l := schema.NewLineReader(strings.NewReader(`{"model":"m","messages":["1"]}`+"\n"+`{"model":"m","messages":["2"]}`+"\n"), schema.Limits{}, nil)
	l.Next()
	first := l.Request().Body
	l.Next()
	if !strings.Contains(string(first), `"1"`) {
		t.Errorf("the first became %s", first)
	}
}

// lineSource makes n lines with a custom_id each, without holding them.
type lineSource struct {
	n, at int
	rest  []byte
	buf   []byte
}

func (s *lineSource) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		if s.at == s.n {
			return 0, io.EOF
		}
		s.buf = fmt.Appendf(s.buf[:0], `{"custom_id":"request-%d","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say %d."}]}}`+"\n", s.at, s.at)
		s.rest = s.buf
		s.at++
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func TestLineReaderReadsManyLines(t *testing.T) {
	const n = 100_000
	last := `{"custom_id":"request-77","body":` + okBody + `}`
	l := schema.NewLineReader(io.MultiReader(&lineSource{n: n}, strings.NewReader(last)), schema.Limits{}, nil)
	for l.Next() {
	}
	p := problemsOf(t, l.Problems())
	if p.Requests != n+1 || p.Total != 1 || !strings.Contains(p.Error(), fmt.Sprintf(`request %d (line %d): custom_id: "request-77" is request 77's already`, n, n+1)) {
		t.Error(p)
	}
}
