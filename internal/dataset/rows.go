package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// row is one row of the input: its text, or the value that templates see.
type row struct {
	line  int    // where it begins in the file, from 1
	raw   []byte // of a request, good until the next row
	value any    // a map whose keys are the fields, nil where there is no template
}

// rowReader reads rows. It returns a [*rowError] for a bad row, behind which
// it goes on, io.EOF at the end, and any other error when it cannot go on.
type rowReader interface{ next() (row, error) }

// rawRows are lines that are requests as they are.
type rawRows struct{ lines *lineReader }

func (r *rawRows) next() (row, error) {
	text, err := r.lines.next()
	return row{line: r.lines.line, raw: bytes.TrimSpace(text)}, err
}

// jsonRows are JSON objects, one per line.
type jsonRows struct{ lines *lineReader }

func (r *jsonRows) next() (row, error) {
	text, err := r.lines.next()
	if err != nil {
		return row{}, err
	}
	bad := func(format string, a ...any) (row, error) {
		return row{}, &rowError{r.lines.line, fmt.Sprintf(format, a...)}
	}
	if !utf8.Valid(text) {
		return bad("not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return bad("not valid JSON: the line ends in the middle of it")
		}
		return bad("not valid JSON: %v", err)
	}
	if rest := bytes.TrimSpace(text[decoder.InputOffset():]); len(rest) > 0 {
		return bad("not valid JSON: more than one value in the line")
	}
	object, ok := forTemplate(value).(object)
	if !ok {
		return bad("must be a JSON object")
	}
	return row{line: r.lines.line, value: object}, nil
}

// textRows are lines of text.
type textRows struct{ lines *lineReader }

func (r *textRows) next() (row, error) {
	text, err := r.lines.next()
	if err != nil {
		return row{}, err
	}
	if !utf8.Valid(text) {
		return row{}, &rowError{r.lines.line, "not valid UTF-8"}
	}
	return row{line: r.lines.line, value: textRow{"line": string(text)}}, nil
}

// tsvRows are lines cut at tabs. Quotes have no meaning in them.
type tsvRows struct {
	lines   *lineReader
	columns []string
}

func newTSV(lines *lineReader, name string) (rowReader, error) {
	header, err := lines.next()
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &tsvRows{lines: lines, columns: strings.Split(string(header), "\t")}
	return r, checkColumns(r.columns, name)
}

func (r *tsvRows) next() (row, error) {
	text, err := r.lines.next()
	if err != nil {
		return row{}, err
	}
	return columnsRow(r.lines.line, r.columns, strings.Split(string(text), "\t"))
}

// csvRows are records of RFC 4180.
type csvRows struct {
	in      *csv.Reader
	bound   *rowBound
	skipped int // lines before the first row
	columns []string
}

// newCSV reads CSV; delimiter 0: find out.
func newCSV(in *bufio.Reader, name string, delimiter rune) (rowReader, error) {
	skipped := 0
	if delimiter == 0 {
		delimiter, skipped = findDelimiter(in)
	}
	bound := &rowBound{in: in}
	r := &csvRows{in: csv.NewReader(bound), bound: bound, skipped: skipped}
	r.in.Comma = delimiter
	r.in.FieldsPerRecord = -1 // columnsRow says it better
	header, err := r.in.Read()
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: cannot read the column names: %w", name, err)
	}
	r.columns = header
	return r, checkColumns(r.columns, name)
}

func (r *csvRows) next() (row, error) {
	r.bound.read = 0
	record, err := r.in.Read()
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse) && errors.Is(parse.Err, csv.ErrQuote):
		return row{}, &rowError{parse.StartLine + r.skipped, fmt.Sprintf(`a quoted field does not end, or has a " that is not written "" (line %d, column %d)`, parse.Line+r.skipped, parse.Column)}
	case errors.As(err, &parse) && errors.Is(parse.Err, csv.ErrBareQuote):
		return row{}, &rowError{parse.StartLine + r.skipped, fmt.Sprintf(`a field with a " in it must be quoted, and the " written "" (column %d)`, parse.Column)}
	case errors.As(err, &parse):
		return row{}, &rowError{parse.StartLine + r.skipped, parse.Err.Error()}
	case err != nil:
		return row{}, plainPath(err)
	}
	line, _ := r.in.FieldPos(0)
	return columnsRow(line+r.skipped, r.columns, record)
}

// rowBound keeps a quote that is never closed from reading the rest of the file
// into memory.
type rowBound struct {
	in   io.Reader
	read int
}

func (b *rowBound) Read(p []byte) (int, error) {
	if b.read > maxRow {
		return 0, fmt.Errorf(`a row is longer than %d MiB; is a closing " missing?`, maxRow>>20)
	}
	n, err := b.in.Read(p)
	b.read += n
	return n, err
}

func checkColumns(columns []string, name string) error {
	if len(columns) == 0 || len(columns) == 1 && columns[0] == "" {
		return fmt.Errorf("%s: there is no row in it", name)
	}
	seen := map[string]bool{}
	for i, column := range columns {
		column = strings.TrimSpace(column)
		columns[i] = column
		if column != "" && seen[column] {
			return fmt.Errorf("%s:1: column %q is there twice; give each its own name", name, column)
		}
		seen[column] = true
	}
	return nil
}

func columnsRow(line int, columns, fields []string) (row, error) {
	if len(fields) != len(columns) {
		return row{}, &rowError{line, fmt.Sprintf("has %d fields, and the first row names %d columns", len(fields), len(columns))}
	}
	value := make(object, len(columns))
	for i, field := range fields {
		if !utf8.ValidString(field) {
			return row{}, &rowError{line, fmt.Sprintf("column %q: not valid UTF-8", columns[i])}
		}
		value[columns[i]] = field
	}
	return row{line: line, value: value}, nil
}
