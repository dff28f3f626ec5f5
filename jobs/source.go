package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"pelton/internal/bitset"
	"pelton/schema"
)

// source gives the requests of a job by index. It is used by one goroutine.
type source interface {
	Len() int
	At(index int) (schema.Request, error)
	Close()
}

// inline is a job whose requests are in its message.
type inline []schema.Request

func (s inline) Len() int                             { return len(s) }
func (s inline) At(index int) (schema.Request, error) { return s[index], nil }
func (s inline) Close()                               {}

// spool is a job whose requests are an object: they are copied once to a
// temporary file, from where any of them can be read again. Memory holds one
// offset per stride of lines and one bit per line.
type spool struct {
	file    *os.File
	limits  schema.Limits
	extra   json.RawMessage // the job's defaults, which may hold what a body lacks
	n       int
	offsets []int64    // of every stride-th line
	bad     bitset.Set // lines that hold a badLine
	in      *bufio.Reader
	parser  *schema.RequestParser
	next    int // the index in stands before
}

// badLine takes the place of a request that is not valid.
type badLine struct {
	CustomID string        `json:"custom_id,omitempty"`
	Error    *schema.Error `json:"error"`
}

const stride = 64

// openSource makes a job's requests readable. An error that is a
// [*schema.Problems] is the job's own fault, any other is not.
func openSource(ctx context.Context, b *Store, job *schema.Job) (source, error) {
	if job.Input == nil {
		return inline(job.Requests), nil
	}
	info, err := b.Objects.Info(ctx, b.Names.InputBucket(), job.Input.Object)
	if err != nil {
		return nil, fmt.Errorf("read the input %s: %w", job.Input.Object, err)
	}
	if info == nil {
		return nil, NoInput(job.Input.Object, b.Names.InputBucket())
	}
	object := b.Objects.Open(ctx, info, 0)
	defer func() { _ = object.Close() }()
	s, err := copyInput(b, object, job)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// copyInput copies the requests of a job to a temporary file.
func copyInput(b *Store, object io.Reader, job *schema.Job) (*spool, error) {
	file, err := os.CreateTemp("", "pelton-input-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file for the input: %w", err)
	}
	_ = os.Remove(file.Name()) // gone with the process, however it ends; where that is not possible, with Close
	s := &spool{file: file, limits: b.Limits(), extra: job.Defaults}
	if err := s.fill(object, job); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// fill copies the input, and judges every line of it.
func (s *spool) fill(r io.Reader, job *schema.Job) error {
	lines := schema.NewLineReader(r, s.limits, job.Defaults)
	lines.SkipInvalid, lines.Endpoint = job.SkipInvalid, job.Input.Endpoint
	out := bufio.NewWriterSize(s.file, 256<<10)
	var offset int64
	var line []byte
	for lines.Next() {
		request, index := lines.Request(), lines.Index()
		if index%stride == 0 {
			s.offsets = append(s.offsets, offset)
		}
		line = line[:0]
		if request.Problem == nil {
			line = schema.AppendRequest(line, request)
		} else {
			s.bad.Add(index)
			data, err := json.Marshal(badLine{request.CustomID, request.Problem})
			if err != nil {
				return err
			}
			line = append(line, data...)
		}
		line = append(line, '\n')
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("copy the input to a temporary file: %w", err)
		}
		offset += int64(len(line))
		s.n = index + 1
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the input: %w", err)
	}
	if err := lines.Problems(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("copy the input to a temporary file: %w", err)
	}
	return nil
}

func (s *spool) Len() int { return s.n }

func (s *spool) Close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

// At reads one request; in the order of the input that is one line further.
func (s *spool) At(index int) (schema.Request, error) {
	if err := s.seek(index); err != nil {
		return schema.Request{}, err
	}
	line, err := s.in.ReadBytes('\n')
	if err != nil {
		return schema.Request{}, fmt.Errorf("read the copied input: %w", err)
	}
	s.next++
	if s.bad.Has(index) {
		var b badLine
		err := json.Unmarshal(line, &b)
		return schema.Request{CustomID: b.CustomID, Problem: b.Error}, err
	}
	if s.parser == nil {
		s.parser = schema.NewRequestParser(s.limits, s.extra)
	}
	return s.parser.ParseAgain(line[:len(line)-1])
}

func (s *spool) seek(index int) error {
	ahead := index - s.next
	if s.in == nil || ahead < 0 || ahead > stride {
		if _, err := s.file.Seek(s.offsets[index/stride], io.SeekStart); err != nil {
			return err
		}
		s.in = bufio.NewReaderSize(s.file, 64<<10)
		s.next = index / stride * stride
	}
	for ; s.next < index; s.next++ {
		if err := skipLine(s.in); err != nil {
			return err
		}
	}
	return nil
}

func skipLine(r *bufio.Reader) error {
	for {
		_, err := r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
