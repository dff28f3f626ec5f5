package outfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pelton/internal/bitset"
)

// Compact closes the writer and puts its files in order: sorted by index, one
// line each, the last one written. From the file of Errors it takes what has
// succeeded since. It is for the end of a resumed run; files that are in order
// already, and outputs that are no files, are left alone.
//
// A file is written anew beside the old one and then put in its place: on any
// error the old one is still there, whole. It needs 12 bytes of memory per
// index.
func (w *Writer) Compact() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.shut(); err != nil {
		return err
	}
	if w.o.Text || w.out.disk == nil {
		return nil
	}
	var succeeded bitset.Set
	err := compact(w.o.Path, w.o.Total, func(e entry) bool {
		if e.succeeded {
			succeeded.Add(e.index)
		}
		return true
	})
	if err != nil || w.errs == nil || w.errs.disk == nil {
		return err
	}
	return compact(w.o.Errors, w.o.Total, func(e entry) bool { return !succeeded.Has(e.index) })
}

// compact sorts one file and drops the lines that keep refuses.
func compact(path string, total int, keep func(entry) bool) error {
	real, err := filepath.EvalSymlinks(path) // or the link would be replaced
	if err != nil {
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	file, err := os.Open(real)
	if err != nil {
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	defer file.Close()

	var lines []place // by index
	last, ordered := -1, true
	_, _, err = scan(file, path, total, func(e entry) {
		for e.index >= len(lines) {
			lines = append(lines, place{})
		}
		ordered = ordered && e.index > last
		last = e.index
		if !keep(e) {
			ordered = false
			lines[e.index] = place{}
			return
		}
		lines[e.index] = place{uint32(e.offset), uint32(e.offset >> 32), uint32(e.length)}
	})
	if err != nil || ordered {
		return err
	}
	if err := rewrite(file, real, lines); err != nil {
		return fmt.Errorf("%s: could not be put in order by index: %w; it is complete as it is", path, reason(err))
	}
	return nil
}

// place is where a line stands: 12 bytes, in a type that is not padded. The
// zero value is nowhere.
type place struct{ low, high, length uint32 }

func (p place) offset() int64 { return int64(p.high)<<32 | int64(p.low) }

// rewrite puts the lines, in their order, in the place of the file.
func rewrite(file *os.File, path string, lines []place) error {
	mode := fs.FileMode(0o644)
	if info, err := file.Stat(); err == nil {
		mode = info.Mode().Perm()
	}
	return replace(path, mode, func(out io.Writer) error {
		var line []byte
		for _, p := range lines {
			if p.length == 0 {
				continue
			}
			line = slices.Grow(line[:0], int(p.length)+1)[:p.length]
			if _, err := file.ReadAt(line, p.offset()); err != nil {
				return err
			}
			if line[len(line)-1] != '\n' {
				line = append(line, '\n')
			}
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
		return file.Close() // or it could not be replaced on Windows
	})
}

// replace makes the file at path hold what write writes, or leaves it as it is.
func replace(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	temporary, err := os.CreateTemp(dir, unfinished(path)+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temporary.Close()
			os.Remove(temporary.Name())
		}
	}()
	buffered := bufio.NewWriterSize(temporary, 256<<10)
	if err := errors.Join(write(buffered), buffered.Flush()); err != nil {
		return err
	}
	if err := errors.Join(temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil { // so that the new name survives a power cut
		_ = d.Sync()
		d.Close()
	}
	return nil
}

// unfinished begins the names of the files in which a new content of path is written.
func unfinished(path string) string { return "." + filepath.Base(path) + "." }

// RemoveUnfinished removes what a process left that died while it wrote the output
// file out anew, or its sidecar. No other process may be at work on them.
func RemoveUnfinished(out string) error {
	var errs []error
	for _, path := range []string{out, filepath.Join(SidecarDir(out), "run.json")} {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			rest, ours := strings.CutPrefix(e.Name(), unfinished(path))
			if _, err := strconv.ParseUint(rest, 10, 64); ours && err == nil && e.Type().IsRegular() {
				errs = append(errs, os.Remove(filepath.Join(filepath.Dir(path), e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}
