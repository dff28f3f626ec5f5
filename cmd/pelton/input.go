package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pelton/internal/dataset"
	"pelton/schema"
)

// inputFlags say what to make of an input; run and submit share them.
type inputFlags struct {
	File string `arg:"" help:"Requests as JSON Lines, or rows (JSONL, CSV, TSV, text) with --prompt; - is stdin. A job document ({\"requests\": […]}) is taken as it is."`

	Prompt      string   `group:"input" placeholder:"TEMPLATE" help:"User message of each row, like '{{.question}}'."`
	System      string   `group:"input" placeholder:"TEMPLATE" help:"System message of each row."`
	ID          string   `name:"id" group:"input" placeholder:"TEMPLATE" help:"custom_id of each row."`
	Model       string   `short:"m" group:"input" placeholder:"NAME" help:"Model of every request."`
	Param       []string `group:"input" sep:"none" placeholder:"KEY=VALUE" help:"Body field of every request, like temperature=0; can be repeated."`
	Schema      string   `group:"input" placeholder:"FILE" help:"JSON Schema that answers must follow."`
	Format      string   `group:"input" default:"auto" placeholder:"NAME" help:"auto, openai, jsonl, csv, tsv or text (${default})."`
	Delimiter   string   `group:"input" placeholder:"CHAR" help:"Between the fields of CSV, like ; or tab; without it what is most frequent in the first row of , ; tab and |."`
	Limit       int      `group:"input" placeholder:"N" help:"Take only the first N rows."`
	SkipInvalid bool     `group:"input" help:"Invalid rows become failed results instead of ending the run."`
}

// inlineBytes is up to where requests are kept in memory and travel in the
// job's own message; a larger input is read a second time, as a stream.
const inlineBytes = 1 << 20

// input is an input that has been read through once and found valid.
type input struct {
	name     string
	hash     string      // of all request lines: the same input, the same hash
	job      *schema.Job // a job document's own, without requests; nil for rows
	stats    dataset.Stats
	problems *dataset.Problems // of rows that are skipped

	lines []byte                        // all of them, where they are few
	open  func() (io.ReadCloser, error) // reads them again, where they are many
	spool *os.File                      // what stdin held; nil for a file
}

func (in *input) total() int { return in.stats.Requests }

// close removes what was spooled.
func (in *input) close() {
	if in.spool != nil {
		_ = in.spool.Close()
		_ = os.Remove(in.spool.Name())
	}
}

// reader gives the request lines once more.
func (in *input) reader() (io.ReadCloser, error) {
	if in.open == nil {
		return io.NopCloser(bytes.NewReader(in.lines)), nil
	}
	return in.open()
}

func (f *inputFlags) options() dataset.Options {
	return dataset.Options{
		Format: dataset.Format(f.Format), Delimiter: f.Delimiter, Prompt: f.Prompt, System: f.System, ID: f.ID,
		Model: f.Model, Params: f.Param, Schema: f.Schema, Limit: f.Limit, Skip: f.SkipInvalid,
	}
}

// read looks through the whole input before anything runs: all that is wrong
// with it is told, nothing is billed for it.
func (f *inputFlags) read(a *app) (*input, error) {
	in := &input{name: f.File}
	file, err := f.source(a, in)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in, err = f.scan(a, in, file)
	return in, err
}

func (f *inputFlags) scan(a *app, in *input, file io.ReadSeeker) (_ *input, err error) {
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	if f.Prompt == "" && (f.Format == "auto" || f.Format == "") {
		is, err := isJobDocument(file)
		if err != nil {
			return nil, usagef("%s: %w", in.name, err)
		}
		if is {
			return in, f.readJob(in, file)
		}
	}
	reader, err := dataset.New(file, in.name, f.options())
	if err != nil {
		return nil, usage(err)
	}
	for reader.Next() {
		if reader.Index()%1024 == 0 && a.soft.Err() != nil {
			return nil, errInterrupted
		}
		if int64(len(in.lines)) == reader.Stats().Bytes-int64(len(reader.Bytes()))-1 {
			in.lines = append(append(in.lines, reader.Bytes()...), '\n')
		}
		if len(in.lines) > inlineBytes {
			in.lines = nil // too many: they will be read again
		}
	}
	if err := reader.Err(); err != nil {
		return nil, usage(err)
	}
	in.stats, in.hash, in.problems = reader.Stats(), reader.Hash(), reader.Problems()
	if int64(len(in.lines)) != in.stats.Bytes {
		in.lines, in.open = nil, f.again(in)
	}
	return in, nil
}

// source opens the input. What cannot be read twice is copied to a temporary
// file on the way.
func (f *inputFlags) source(a *app, in *input) (*os.File, error) {
	from := a.stdin
	if f.File == "-" {
		in.name = "stdin"
	} else {
		file, err := os.Open(f.File)
		if err != nil {
			return nil, usagef("%s: %w", f.File, pathReason(err))
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = errors.New("is a directory")
		}
		if err != nil {
			file.Close()
			return nil, usagef("%s: %w", f.File, pathReason(err))
		}
		if info.Mode().IsRegular() {
			return file, nil
		}
		defer file.Close()
		from = file
	}
	spool, err := os.CreateTemp("", "pelton-input-*")
	if err != nil {
		return nil, setup(fmt.Errorf("no room for a copy of %s: %w", in.name, err))
	}
	in.spool = spool
	if _, err := io.Copy(spool, interruptible{a, from}); err != nil {
		in.close()
		if a.soft.Err() != nil {
			return nil, errInterrupted
		}
		return nil, setup(fmt.Errorf("copy %s to %s: %w", in.name, spool.Name(), pathReason(err)))
	}
	copied, err := os.Open(spool.Name())
	if err != nil {
		in.close()
		return nil, setup(err)
	}
	return copied, nil
}

// interruptible reads until a signal comes, also where nothing comes to read.
type interruptible struct {
	a    *app
	from io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	type outcome struct {
		n   int
		err error
	}
	done := make(chan outcome, 1)
	own := make([]byte, len(p)) // the read may outlive us
	go func() {
		n, err := r.from.Read(own)
		done <- outcome{n, err}
	}()
	select {
	case o := <-done:
		return copy(p, own[:o.n]), o.err
	case <-r.a.soft.Done():
		return 0, errInterrupted
	}
}

// again returns what opens the input's lines a second time.
func (f *inputFlags) again(in *input) func() (io.ReadCloser, error) {
	path := f.File
	if in.spool != nil {
		path = in.spool.Name()
	}
	return func() (io.ReadCloser, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, usagef("%s: %w", in.name, pathReason(err))
		}
		reader, err := dataset.NewAgain(file, in.name, f.options())
		if err != nil {
			file.Close()
			return nil, usage(err)
		}
		return &secondPass{Again: reader, file: file, hash: in.hash}, nil
	}
}

// secondPass reads an input again, and fails where it is not the same any more.
type secondPass struct {
	*dataset.Again
	file *os.File
	hash string
}

func (s *secondPass) Read(p []byte) (int, error) {
	n, err := s.Again.Read(p)
	if err == io.EOF && s.Hash() != s.hash {
		return n, usagef("the input has changed while it was being read")
	}
	return n, err
}

func (s *secondPass) Close() error { return s.file.Close() }

// requests parses lines that are kept in memory. What is wrong with one has been
// judged; the request carries it along.
func requests(lines []byte) []schema.Request {
	var list []schema.Request
	reader := schema.NewLineReader(bytes.NewReader(lines), schema.Limits{}, nil)
	reader.SkipInvalid = true
	for reader.Next() {
		list = append(list, reader.Request())
	}
	return list
}

// pathReason is err without the path that it repeats.
func pathReason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// describe is the input in a line for people.
func (in *input) describe() string {
	text := fmt.Sprintf("%s: %d requests, %s, about %d prompt tokens", in.name, in.total(), bytesText(in.stats.Bytes), in.stats.EstimatedTokens())
	if in.stats.Bad > 0 {
		text += fmt.Sprintf(", %d invalid", in.stats.Bad)
	}
	return strings.TrimSpace(text)
}
