package outfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// flushAt is how much waits in memory at most.
const flushAt = 64 << 10

// diskFile is the part of [os.File] that a sink uses.
type diskFile interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

// sink is one place to write to. What a failing write leaves of a line is taken
// back, where it can be: the file stays whole lines.
type sink struct {
	name   string
	out    io.Writer
	disk   diskFile  // nil for what is no regular file
	closer io.Closer // nil for what is not ours to close
	buffer []byte
	size   int64 // of the file without the buffer, whole lines
	lines  int   // written to the file by this process
	err    error // the first: nothing is written after it
	closed bool
}

func newSink(name string, out io.Writer) *sink { return &sink{name: name, out: out} }

func newFileSink(name string, file diskFile) *sink {
	return &sink{name: name, out: file, disk: file, closer: file}
}

func (s *sink) write(line []byte) error {
	if s.err != nil {
		return s.err
	}
	s.buffer = append(s.buffer, line...)
	if len(s.buffer) >= flushAt {
		return s.flush()
	}
	return nil
}

func (s *sink) flush() error {
	if s.err != nil || len(s.buffer) == 0 {
		return s.err
	}
	n, err := s.out.Write(s.buffer)
	whole := s.buffer[:bytes.LastIndexByte(s.buffer[:n], '\n')+1]
	s.size += int64(len(whole))
	s.lines += bytes.Count(whole, []byte("\n"))
	s.buffer = s.buffer[:0]
	if cap(s.buffer) > 1<<20 {
		s.buffer = nil
	}
	if err != nil {
		s.fail(err)
	}
	return s.err
}

// fail takes back the part of a line and keeps the error.
func (s *sink) fail(err error) {
	if s.disk == nil {
		s.err = fmt.Errorf("%s: cannot be written: %w", s.name, reason(err))
		return
	}
	state := fmt.Sprintf("it holds %d whole results of this run", s.lines)
	if cut := s.disk.Truncate(s.size); cut != nil {
		state = "its last line may be incomplete"
	}
	what := "cannot be written"
	do := "then go on with --resume"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		what, do = "the disk is full", "free some space, then go on with --resume"
	}
	s.err = fmt.Errorf("%s: %s: %w; %s; %s", s.name, what, reason(err), state, do)
}

// sync brings a file to the disk.
func (s *sink) sync() error {
	if s.disk == nil || s.err != nil {
		return s.err
	}
	if err := s.disk.Sync(); err != nil {
		return fmt.Errorf("%s: cannot be brought to the disk: %w", s.name, reason(err))
	}
	return nil
}

// close is repeatable.
func (s *sink) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.flush()
	if err == nil {
		err = s.sync()
	}
	if s.closer != nil {
		if shut := s.closer.Close(); shut != nil && err == nil {
			err = fmt.Errorf("%s: %w", s.name, reason(shut))
		}
	}
	if s.err == nil { // nothing is written from here on
		s.err = fmt.Errorf("%s: %w", s.name, os.ErrClosed)
	}
	return err
}
