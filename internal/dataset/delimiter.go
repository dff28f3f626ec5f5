package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"unicode/utf8"
)

// delimiters are those that are recognised, the likeliest first.
const delimiters = ",;\t|"

// parseDelimiter reads what the options say; 0: nothing. An input is CSV where they
// say something.
func parseDelimiter(o *Options) (rune, error) {
	if o.Delimiter == "" {
		return 0, nil
	}
	if o.Format != Auto && o.Format != CSV {
		return 0, errors.New("--delimiter: is for CSV; leave it out, or use --format csv")
	}
	o.Format = CSV
	if o.Delimiter == "tab" || o.Delimiter == `\t` {
		return '\t', nil
	}
	r, size := utf8.DecodeRuneInString(o.Delimiter)
	if size != len(o.Delimiter) || !delimits(r) {
		return 0, errors.New(`--delimiter: must be one character other than ", or tab`)
	}
	return r, nil
}

func delimits(r rune) bool { return r != utf8.RuneError && r != '"' && r != '\r' && r != '\n' }

// findDelimiter returns what is most frequent in the first row outside of quotes, of
// what is recognised. A line "sep=;", as spreadsheets write it, says it, and is
// passed over: then skipped is 1.
func findDelimiter(in *bufio.Reader) (found rune, skipped int) {
	begin, _ := in.Peek(in.Size()) // as much as there is
	line, _, ended := bytes.Cut(begin, []byte("\n"))
	said := bytes.TrimRight(line, "\r")
	if text, ok := bytes.CutPrefix(said, []byte("sep=")); ok && ended {
		if r, size := utf8.DecodeRune(text); size == len(text) && delimits(r) {
			_, _ = in.Discard(len(line) + 1)
			return r, 1
		}
	}
	var counts [len(delimiters)]int
	quoted := false
	for _, c := range begin {
		if c == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if c == '\n' || c == '\r' {
			break
		}
		if i := bytes.IndexByte([]byte(delimiters), c); i >= 0 {
			counts[i]++
		}
	}
	best := 0
	for i, n := range counts {
		if n > counts[best] {
			best = i
		}
	}
	return rune(delimiters[best]), 0
}
