// Package outfile writes results where a person can use them: one JSON line
// each, to a file or to standard output. Whatever happens, a full disk
// included, the file holds whole lines only, and a later run can go on with it.
//
// # Text
//
// With [Options.Text] only the answers are written, one per line, so that in
// input order line N answers request N: of a request that did not succeed the
// line is empty. A line break in an answer becomes \n, a carriage return \r and
// a backslash \\, as printf '%b' reads them back.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"pelton/internal/bitset"
	"pelton/schema"
)

// Mode says what to do about a file that is there already.
type Mode int

// The modes.
const (
	Refuse    Mode = iota // fail, unless it is empty
	Overwrite             // replace it
	Resume                // keep the results in it and append
)

// Options say where results go.
type Options struct {
	Path   string    // file for the results; empty or "-": Stdout
	Stdout io.Writer // used when Path names no file
	Errors string    // file for the results that did not succeed, which Path then lacks; empty: none
	Mode   Mode      // for both files
	Text   bool      // answers only; the file of Errors has whole results all the same
	Total  int       // requests of the input; an index beyond shows that a file belongs to another one; 0: unknown
}

// flushAfter is how long a line may wait in memory.
const flushAfter = 100 * time.Millisecond

// Writer writes results. Its methods may be called concurrently.
type Writer struct {
	o    Options
	mu   sync.Mutex
	out  *sink
	errs *sink // nil without Options.Errors
	done bitset.Set
	line []byte
	idle *time.Timer
}

// Open opens the outputs. An error of a file that is there already is an
// [*ExistsError].
func Open(o Options) (*Writer, error) {
	w := &Writer{o: o}
	if o.Mode == Resume && o.Text {
		return nil, errors.New("--resume: cannot be used with --text: lines of text do not say which request they answer")
	}
	if o.Mode == Resume && isStdout(o.Path) {
		return nil, errors.New("--resume: needs the output file of the run to go on with: -o FILE")
	}
	if o.Errors != "" && o.Errors == o.Path {
		return nil, fmt.Errorf("--errors %s: must be another file than -o", o.Errors)
	}
	var err error
	if isStdout(o.Path) {
		w.out = newSink("standard output", o.Stdout)
	} else if w.out, err = w.open(o.Path, &w.done); err != nil {
		return nil, err
	}
	if o.Errors != "" {
		if w.errs, err = w.open(o.Errors, nil); err != nil {
			w.out.close()
			return nil, err
		}
	}
	return w, nil
}

func isStdout(path string) bool { return path == "" || path == "-" }

// open opens one file by the mode; on resume it notes in done what succeeded.
func (w *Writer) open(path string, done *bitset.Set) (*sink, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	case !info.Mode().IsRegular(): // a device or a pipe: there is nothing to keep
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: cannot be written: %w", path, reason(err))
		}
		s := newSink(path, file)
		s.closer = file
		return s, nil
	case w.o.Mode == Refuse && info.Size() > 0:
		return nil, &ExistsError{Path: path}
	}
	flags := os.O_RDWR | os.O_CREATE
	if w.o.Mode == Overwrite {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be written: %w", path, reason(err))
	}
	s := newFileSink(path, file)
	if w.o.Mode == Resume {
		if s.size, err = repair(file, path, w.o.Total, done); err != nil {
			file.Close()
			return nil, err
		}
	}
	return s, nil
}

// ExistsError is returned for an output file that must not be replaced.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("%s exists; go on with it with --resume, or replace it with --overwrite", e.Path)
}

// Done returns the indexes that had succeeded before, when resuming.
func (w *Writer) Done() *bitset.Set { return &w.done }

// Write writes one result. It reaches the file within 100 ms, so that others
// can follow it. After an error, which names the file and says what to do,
// every further call returns the same.
func (w *Writer) Write(r *schema.Result) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	target := w.out
	if w.errs != nil && r.Status != schema.StatusSucceeded {
		target = w.errs
	}
	if target == w.errs || !w.o.Text {
		var err error
		if w.line, err = r.AppendLine(w.line[:0]); err != nil {
			return fmt.Errorf("result %d: %w", r.Index, err)
		}
		if err := w.later(target.write(w.line)); err != nil || !w.o.Text {
			return err
		}
	}
	// Text has a line for each request, whatever became of it.
	w.line = appendAnswer(w.line[:0], r)
	return w.later(w.out.write(w.line))
}

// later sees to it that what was written is flushed soon.
func (w *Writer) later(err error) error {
	if err == nil && w.idle == nil {
		w.idle = time.AfterFunc(flushAfter, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.idle = nil
			_ = w.flush() // kept, and returned by the next call
		})
	}
	return err
}

// Flush hands everything written so far to the operating system.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

// Sync brings everything written so far to the disk, where the outputs are files.
func (w *Writer) Sync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.flush()
	for _, s := range []*sink{w.out, w.errs} {
		if err == nil && s != nil {
			err = s.sync()
		}
	}
	return err
}

func (w *Writer) flush() error {
	err := w.out.flush()
	if w.errs != nil {
		err = errors.Join(err, w.errs.flush())
	}
	return err
}

// Close flushes, brings files to the disk and closes them. Standard output
// stays open. Calling it again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut()
}

func (w *Writer) shut() error {
	if w.idle != nil {
		w.idle.Stop()
		w.idle = nil
	}
	err := w.out.close()
	if w.errs != nil {
		err = errors.Join(err, w.errs.close())
	}
	return err
}

// reason is err without the path it repeats.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
