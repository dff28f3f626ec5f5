// Package dataset turns what people have into requests: batch lines, bare
// bodies, or, through templates, rows of JSON Lines, CSV, TSV and text.
//
// A [Reader] gives one request line per row, of an input of any length, in flat
// memory. What is wrong with rows is collected with file and line. By default
// one bad row makes the whole input bad: see [Reader.Err].
//
// # Skipping
//
// With [Options.Skip] the index of a request stays the ordinal of its row,
// blank lines not counted, so that answers can be matched to rows whatever was
// wrong with some. A bad row therefore still gives a line: a row that is a
// request, but an invalid one, stands as it was read, and a row that could not
// be made into a request becomes a JSON string that says why. No request is a
// string, so the job's owner finds it invalid again and stores a failed result
// for its index.
package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"pelton/internal/tokens"
	"pelton/schema"
)

// Format says what the rows of an input are.
type Format string

// The formats. The zero value is Auto.
const (
	Auto   Format = "auto"   // by the file's name, else by what it begins with
	OpenAI Format = "openai" // requests: batch lines, {"custom_id","body"} lines, bare bodies
	JSONL  Format = "jsonl"  // a JSON object per line; requests where there is no template
	CSV    Format = "csv"    // fields quoted with ", between them what the first row has between its names
	TSV    Format = "tsv"    // tab-separated, no quoting, the first row names the columns
	Text   Format = "text"   // a row per line
)

// Options say what to make of an input. The zero value reads requests and
// changes nothing about them.
//
// Prompt, System and ID are Go templates over a row: its fields or columns by
// name, of text the line itself as {{.}} or {{.line}}. They are the user
// message, the system message and the custom id.
type Options struct {
	Format Format

	// Delimiter stands between the fields of CSV: one character, or "tab". Empty: the
	// comma, semicolon, tab or bar that is most frequent in the first row.
	Delimiter string

	Prompt string // empty: rows are requests
	System string // needs Prompt
	ID     string

	Model  string   // in every body, in the place of its own
	Params []string // key=value, likewise; a value that is JSON is taken as JSON, else as a string
	Schema string   // file with a JSON Schema that answers must follow

	Limit int  // rows to read; 0: all
	Skip  bool // bad rows become failed results instead of ending the job
}

// Stats measure what was read so far.
type Stats struct {
	Requests int   // lines given out, those of skipped rows included
	Bad      int   // rows with problems
	Bytes    int64 // of the lines given out, with their line ends

	media, mediaTokens int64 // bytes of what is no text, and tokens of that
}

// EstimatedTokens is a rough guess at the prompt tokens: a quarter of the bytes of what
// is text, and sound, pictures and files by their kind. No tokenizer was asked.
func (s Stats) EstimatedTokens() int64 { return (s.Bytes-s.media)/4 + s.mediaTokens }

// Reader reads an input, one request line at a time. It is for one goroutine.
type Reader struct {
	name     string
	skip     bool
	rows     *producer
	requests *schema.LineReader
	seen     int // problems of requests that were looked at
	problems Problems
	index    int
	current  made
	stats    Stats
	sum      hash.Hash
	done     bool
}

// New reads in, compressed (gzip) or not, which is called name in errors and judged by it when the format
// is Auto. It looks at the first bytes. Its errors are about the options or the
// input as a whole.
func New(in io.Reader, name string, o Options) (*Reader, error) {
	maker, err := newMaker(o)
	if err != nil {
		return nil, err
	}
	rows, err := openRows(in, name, o)
	if err != nil {
		return nil, err
	}
	r := &Reader{name: name, skip: o.Skip, sum: sha256.New(), index: -1}
	r.rows = &producer{name: name, rows: rows, maker: maker, limit: o.Limit}
	r.requests = schema.NewLineReader(r.rows, schema.Limits{}, nil)
	return r, nil
}

// Next goes to the next request line and reports whether there is one. Without
// Skip the first bad row ends the lines: what follows it is only looked at for
// further problems.
func (r *Reader) Next() bool {
	for !r.done && r.requests.Next() {
		r.rows.recycle(r.current)
		r.current = r.rows.take()
		r.index = r.requests.Index()
		r.judge()
		if !r.skip && r.stats.Bad > 0 {
			continue
		}
		line := append(r.current.text, '\n')
		r.current.text = line[:len(line)-1]
		r.sum.Write(line)
		r.stats.Requests++
		r.stats.Bytes += int64(len(line))
		size, n := tokens.Media(line)
		r.stats.media, r.stats.mediaTokens = r.stats.media+int64(size), r.stats.mediaTokens+int64(n)
		return true
	}
	if !r.done {
		r.done = true
		r.end()
	}
	return false
}

// judge notes what is wrong with the current row.
func (r *Reader) judge() {
	found := r.newProblems()
	switch {
	case r.current.problem != "":
		r.add(r.current.problem)
	case r.requests.Request().Problem != nil && len(found) == 0: // beyond those listed
		r.add(r.requests.Request().Problem.Message)
	default:
		for _, p := range found {
			r.add(reword(p))
		}
	}
	if r.requests.Request().Problem != nil {
		r.stats.Bad++
	}
}

// newProblems are those the schema found since the last call.
func (r *Reader) newProblems() []schema.Problem {
	var all *schema.Problems
	if !errors.As(r.requests.Problems(), &all) {
		return nil
	}
	found := all.List[r.seen:]
	r.seen = len(all.List)
	return found
}

func (r *Reader) end() {
	found := r.newProblems()
	if r.index < 0 {
		if r.requests.Err() == nil {
			r.problems.add(Problem{File: r.name, Index: -1, Message: "there is no row in it"})
		}
		return
	}
	for _, p := range found {
		if p.Index < 0 {
			r.problems.add(Problem{File: r.name, Index: -1, Message: p.Message})
		}
	}
}

func (r *Reader) add(message string) {
	r.problems.add(Problem{File: r.name, Line: r.current.line, Index: r.index, Message: message})
}

// reword puts a problem into the words of the command line.
func reword(p schema.Problem) string {
	if p.Code == schema.ProblemMissing && (p.Field == "model" || p.Field == "body.model") {
		p.Message = "missing; name one there, or for all with --model"
	}
	text := p.Message
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if p.Field == "messages" && p.Code == schema.ProblemMissing {
		text += "; to make requests of other rows, give a --prompt"
	}
	return text
}

// Bytes returns the current request line without its line end. They are good
// until the next call of Next.
func (r *Reader) Bytes() []byte { return r.current.text }

// Index returns the index of the current request in its job, from 0: the
// ordinal of its row.
func (r *Reader) Index() int { return r.index }

// Line returns where the current row begins in the file, from 1.
func (r *Reader) Line() int { return r.current.line }

// Stats returns what was read so far.
func (r *Reader) Stats() Stats { return r.stats }

// Problems returns what is wrong with rows so far, nil for nothing. With Skip
// it is not an error.
func (r *Reader) Problems() *Problems {
	if r.problems.Total == 0 {
		return nil
	}
	return &r.problems
}

// Err returns why reading ended, when not for the input's end: a read error,
// or, without Skip, the [*Problems]. An input without a row is always an error.
func (r *Reader) Err() error {
	if err := r.requests.Err(); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	if r.problems.Total > 0 && (!r.skip || r.index < 0) {
		return &r.problems
	}
	return nil
}

// Hash returns the SHA-256, in hex, of all request lines given out so far with
// their line ends: at the end, the identity of the input as it was asked for.
func (r *Reader) Hash() string { return hex.EncodeToString(r.sum.Sum(nil)) }
