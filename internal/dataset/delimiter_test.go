package dataset

import (
	"cmp"
	"strings"
	"testing"
)

// What stands between the fields of CSV is found in its first row, or said.
func TestDelimiters(t *testing.T) {
	for _, tt := range []struct {
		name, file, in, delimiter, prompt string
		want                              string // the content of the last message
		problems                          string
	}{
		{name: "comma", in: "q,a\nwhy; then,b\n", want: "why; then|b"},
		{name: "semicolon", in: "q;a\nwhy, then;b\n", want: "why, then|b"},
		{name: "tab", in: "q\ta\nwhy, then\tb\n", want: "why, then|b"},
		{name: "bar", in: "q|a\nwhy|b\n", want: "why|b"},
		{name: "quoted", in: "\"q\";\"a\"\n\"one;\ntwo\";\"b\"\"c\"\n", want: "one;\ntwo|b\"c"},
		{name: "of others in the names", in: "\"x, y, z\";q;a\n1;why;b\n", want: "why|b"},
		{name: "more of it than of others", in: "q;a;c, d\nwhy;b;1\n", want: "why|b"},
		{name: "one column", in: "q\nwhy; then\n", prompt: "{{.q}}", want: "why; then"},
		{name: "said by the file", in: "sep=;\r\nq;a\r\nx;y\r\nwhy;b\r\n", want: "why|b"},
		{name: "said by the file, and a bad row", in: "sep=;\nq;a\nx;y;z\n", problems: "x.csv:3: has 3 fields"},
		{name: "a column of that name", in: "sep=x,q\n1,why\n", prompt: "{{.q}}", want: "why"},
		{name: "said", in: "q, 1;a\nwhy;b\n", delimiter: ";", prompt: "{{.a}}", want: "b"},
		{name: "said as a word", in: "q;;\ta\nx\tb\n", delimiter: "tab", prompt: "{{.a}}", want: "b"},
		{name: "another", in: "q~a\nwhy~b\n", delimiter: "~", want: "why|b"},
		{name: "said of any file", file: "stdin", in: "q;a\nwhy;b\n", delimiter: ";", want: "why|b"},
		{name: "two characters", in: "q,a\n", delimiter: ";;", problems: "--delimiter: must be one character"},
		{name: "a quote", in: "q,a\n", delimiter: `"`, problems: "--delimiter: must be one character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, problems := read(t, cmp.Or(tt.file, "x.csv"), tt.in, Options{Model: "m", Prompt: cmp.Or(tt.prompt, "{{.q}}|{{.a}}"), Delimiter: tt.delimiter})
			if tt.problems != "" {
				if !strings.Contains(problems, tt.problems) {
					t.Errorf("%q", problems)
				}
				return
			}
			if problems != "" || len(lines) == 0 {
				t.Fatalf("%q, %q", lines, problems)
			}
			want := strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(tt.want)
			if last := lines[len(lines)-1]; !strings.Contains(last, `"content":"`+want+`"`) {
				t.Errorf("%s, want %s", last, want)
			}
		})
	}
	if _, problems := read(t, "x.tsv", "a\tb\n", Options{Format: TSV, Model: "m", Prompt: "x", Delimiter: ";"}); !strings.Contains(problems, "--delimiter: is for CSV") {
		t.Errorf("%q", problems)
	}
}
