package owner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"pelton/internal/bitset"
	"pelton/jobs/store"
	"pelton/schema"
)

// input gives the requests of a job by index. It is used by one goroutine.
type input interface {
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

// openInput makes a job's requests readable. An error that is a
// [*schema.Problems] is the job's own fault, any other is not.
func openInput(ctx context.Context, st *store.Store, job *schema.Job) (input, error) {
	if job.Input == nil {
		return inline(job.Requests), nil
	}
	info, err := st.Objects.Info(ctx, st.Names.InputBucket(), job.Input.Object)
	if err != nil {
		return nil, fmt.Errorf("read the input %s: %w", job.Input.Object, err)
	}
	if info == nil {
		return nil, store.NoInput(job.Input.Object, st.Names.InputBucket())
	}
	object := st.Objects.Open(ctx, info, 0)
	defer func() { _ = object.Close() }()
	s, err := copyInput(st, object, job)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// copyInput copies the requests of a job to a temporary file.
func copyInput(st *store.Store, object io.Reader, job *schema.Job) (*spool, error) {
	file, err := os.CreateTemp("", "pelton-input-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file for the input: %w", err)
	}
	_ = os.Remove(file.Name()) // gone with the process, however it ends; where that is not possible, with Close
	s := &spool{file: file, limits: st.Limits(), extra: job.Defaults}
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

// modelAt tells the model of a request; called is false for one that is not valid,
// which is never called.
func modelAt(job *schema.Job, in input, index int) (model string, called bool, err error) {
	request, err := in.At(index)
	if err != nil {
		return "", false, fmt.Errorf("job %s: read request %d: %w", job.ID, index, err)
	}
	model, ok := schema.StringField(request.Body, "model")
	if !ok {
		model, _ = schema.StringField(job.Defaults, "model")
	}
	return model, request.Problem == nil, nil
}

// checkPrices makes sure that a limit on cost can be kept: the price of every model
// of the job must be known where it runs. keep is called now and then, to keep the
// job meanwhile. An error that is a [*schema.Problems] is the job's own fault.
func checkPrices(job *schema.Job, in input, priced func(model string) bool, keep func() error) error {
	if job.MaxCost == 0 || priced == nil {
		return nil
	}
	known := map[string]bool{}
	for index := range in.Len() {
		model, called, err := modelAt(job, in, index)
		switch {
		case err != nil:
			return err
		case !called || known[model]:
			continue
		case !priced(model):
			return &schema.Problems{Total: 1, Requests: in.Len(), List: []schema.Problem{{
				Code: schema.ProblemValue, Index: -1, Field: "max_cost",
				Message: fmt.Sprintf("no price is known for the model %q; set input_cost_per_token and output_cost_per_token for its deployments", model),
			}}}
		}
		known[model] = true
		if err := keep(); err != nil {
			return err
		}
	}
	return nil
}
