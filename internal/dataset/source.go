package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxRow bounds one row in bytes: beyond it a file is not what it is taken for.
// Only tests change it.
var maxRow = 64 << 20

// openRows finds out what in holds.
func openRows(in io.Reader, name string, o Options) (rowReader, error) {
	formats := []Format{Auto, OpenAI, JSONL, CSV, TSV, Text}
	if o.Format == "" {
		o.Format = Auto
	}
	if !slices.Contains(formats, o.Format) {
		return nil, fmt.Errorf("--format: must be one of auto, openai, jsonl, csv, tsv, text, not %q", o.Format)
	}
	if o.Format == OpenAI && o.Prompt != "" {
		return nil, errors.New("--format openai: its rows are requests already; leave out --prompt, or use --format jsonl")
	}
	delimiter, err := parseDelimiter(&o)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(in, 256<<10)
	begin, err := peek(buffered)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if bytes.HasPrefix(begin, []byte{0x1f, 0x8b}) {
		unzip, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("%s: compressed, but broken: %w", name, err)
		}
		buffered = bufio.NewReaderSize(unzip, 256<<10)
		if begin, err = peek(buffered); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case bytes.HasPrefix(begin, []byte("\xff\xfe")), bytes.HasPrefix(begin, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%s: is UTF-16; convert it to UTF-8", name)
	case bytes.HasPrefix(begin, []byte("PK\x03\x04")):
		return nil, fmt.Errorf("%s: is a zip archive or a spreadsheet; save it as CSV with UTF-8", name)
	case bytes.HasPrefix(begin, []byte("PAR1")), bytes.HasPrefix(begin, []byte("SQLite")):
		return nil, fmt.Errorf("%s: is a binary file; write it out as JSON Lines or CSV", name)
	case bytes.HasPrefix(begin, []byte("\ufeff")):
		_, _ = buffered.Discard(3)
		begin = begin[3:]
	}
	format := o.Format
	if format == Auto {
		format = detect(name, begin)
	}
	if format == Auto {
		return nil, fmt.Errorf("%s: holds no JSON; name its format with --format csv, tsv or text", name)
	}
	isJSON := format == JSONL || format == OpenAI
	if isJSON && bytes.HasPrefix(bytes.TrimSpace(begin), []byte("[")) {
		return nil, fmt.Errorf("%s: is one JSON array; write one object per line: jq -c '.[]' FILE", name)
	}
	if o.Prompt == "" && !isJSON {
		return nil, fmt.Errorf("%s: is %s, which becomes requests through --prompt, like --prompt '%s'", name, format, sample(format))
	}
	lines := &lineReader{in: buffered}
	switch {
	case o.Prompt == "":
		return &rawRows{lines}, nil
	case isJSON:
		return &jsonRows{lines}, nil
	case format == TSV:
		return newTSV(lines, name)
	case format == CSV:
		return newCSV(buffered, name, delimiter)
	default:
		return &textRows{lines}, nil
	}
}

func sample(f Format) string {
	if f == Text {
		return "{{.}}"
	}
	return "{{.COLUMN}}"
}

// detect tells a format from a file's name or first bytes. It returns Auto for
// text that could be anything.
func detect(name string, begin []byte) Format {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	switch filepath.Ext(name) {
	case ".csv":
		return CSV
	case ".tsv", ".tab":
		return TSV
	case ".txt", ".text":
		return Text
	case ".jsonl", ".ndjson", ".json":
		return JSONL
	}
	begin = bytes.TrimSpace(begin)
	if len(begin) == 0 || begin[0] == '{' || begin[0] == '[' {
		return JSONL
	}
	if name == "stdin" {
		return Auto
	}
	return Text
}

// peek returns some of the first bytes, fewer of a short input.
func peek(r *bufio.Reader) ([]byte, error) {
	begin, err := r.Peek(512)
	if err != nil && err != io.EOF && len(begin) == 0 {
		return nil, plainPath(err)
	}
	return begin, nil
}

func plainPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// lineReader reads lines of up to maxRow bytes, without their ends, and passes
// over blank ones.
type lineReader struct {
	in   *bufio.Reader
	long []byte // a line longer than in's buffer
	line int    // of the last, from 1
}

// next returns the next line, good until the next call.
func (l *lineReader) next() ([]byte, error) {
	for {
		text, tooLong, err := l.read()
		if err != nil {
			return nil, err
		}
		l.line++
		if tooLong {
			return nil, &rowError{l.line, fmt.Sprintf("the line is longer than %d MiB", maxRow>>20)}
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if len(bytes.TrimSpace(text)) > 0 {
			return text, nil
		}
	}
}

func (l *lineReader) read() (text []byte, tooLong bool, err error) {
	if cap(l.long) > 1<<20 {
		l.long = nil
	}
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if len(l.long)+len(part) > maxRow {
			tooLong, l.long = true, l.long[:0]
		}
		if err == nil && len(l.long) == 0 {
			return part, tooLong, nil
		}
		if !tooLong {
			l.long = append(l.long, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case err == nil:
			return l.long, tooLong, nil
		case err == io.EOF && (len(l.long) > 0 || tooLong):
			return l.long, tooLong, nil
		default:
			return nil, false, plainPath(err)
		}
	}
}
