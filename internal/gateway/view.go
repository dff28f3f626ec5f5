package gateway

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"pelton/jobs"
	"pelton/schema"
)

// The ids of files that are read out of a job: of its results that succeeded,
// of the others, and of its requests. An uploaded file's id has one dash.
const (
	outputPrefix = "file-output-"
	errorPrefix  = "file-error-"
	inputPrefix  = "file-input-"
)

func kindOf(id string) string {
	for _, kind := range []string{outputPrefix, errorPrefix, inputPrefix} {
		if strings.HasPrefix(id, kind) {
			return kind
		}
	}
	return ""
}

// fileIDs are those of an ended job's results, nil for a file without a line.
func fileIDs(s *schema.State) (output, errs *string) {
	if s.Counts.Succeeded > 0 {
		id := outputPrefix + s.ID
		output = &id
	}
	if s.Counts.Stored() > s.Counts.Succeeded || listsUnstarted(s) {
		id := errorPrefix + s.ID
		errs = &id
	}
	return output, errs
}

// listsUnstarted reports whether requests of an ended job that were never begun have
// lines: so that each line of its input has one. A job that was refused as a whole
// has none.
func listsUnstarted(s *schema.State) bool {
	switch s.State {
	case schema.Expired, schema.Cancelled:
		return s.Counts.NotStarted > 0
	case schema.Failed: // early
		return s.Counts.NotStarted > 0 && s.Counts.Stored() > 0
	}
	return false
}

// view is a file that is read out of a job when somebody asks for it.
type view struct {
	g     *Gateway
	h     *jobs.Handle
	state *schema.State
	id    string
	kind  string
	size  int64
}

// viewNamed finds the view with an id. ok says that the id is one of a view.
func (g *Gateway) viewNamed(c *call, id string) (v *view, ok bool, err error) {
	kind := kindOf(id)
	if kind == "" {
		return nil, false, nil
	}
	h, state, err := g.job(c, strings.TrimPrefix(id, kind))
	if err != nil {
		return nil, true, err
	}
	v = &view{g: g, h: h, state: state, id: id, kind: kind}
	if kind != inputPrefix {
		v = nil
		for _, there := range g.viewsOf(c, state) {
			if there.id == id {
				v = there
			}
		}
		if v == nil {
			return nil, true, jobs.ErrNotFound // has not ended, or has no such line
		}
		gone, err := g.files.Gone(c.ctx, state.Queue, id)
		if err != nil {
			return nil, true, err
		}
		if gone {
			return nil, true, jobs.ErrNotFound
		}
	}
	return v, true, g.measure(c.ctx, v)
}

// describe is the view as a file. It was measured before.
func (v *view) describe() *file {
	from, _ := readMetadata(v.state.Metadata)
	created, keep, purpose := v.state.CreatedAt, 2*v.g.Store.LongestDeadline(), purposeOutput
	if v.kind == inputPrefix {
		keep, purpose = v.g.Store.Keeps(), purposeBatch
	} else if v.state.FinishedAt != nil {
		created = *v.state.FinishedAt
	}
	if from.KeepFor > 0 && v.kind != inputPrefix {
		keep = min(keep, time.Duration(from.KeepFor)*time.Second)
	}
	name := batchPrefix + v.state.ID + "_" + strings.TrimSuffix(strings.TrimPrefix(v.kind, "file-"), "-") + ".jsonl"
	return &file{v.id, "file", v.size, created.Unix(), unix(created.Add(keep)), name, purpose, "processed"}
}

// sizes remembers how large the files of ended jobs are: they do not change.
type sizes struct {
	mu    sync.Mutex
	known map[string]int64
}

const maxSizes = 10_000

func (s *sizes) get(key string) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.known[key]
	return n, ok
}

func (s *sizes) put(key string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSizes {
		s.known = map[string]int64{}
	}
	s.known[key] = n
}

// measure finds out how many bytes a view has. [jobs.ErrAgedOut] says that they
// are kept no more.
func (g *Gateway) measure(ctx context.Context, v *view) error {
	key := v.state.Queue + " " + v.id + " " + v.state.CreatedAt.String()
	size, ok := g.sizes.get(key)
	if !ok {
		var err error
		if size, err = v.count(ctx); err != nil {
			return err
		}
		g.sizes.put(key, size)
	}
	v.size = size
	return nil
}

func (v *view) count(ctx context.Context) (size int64, err error) {
	switch {
	case v.kind == inputPrefix:
		r, size, err := v.h.OpenInput(ctx)
		if errors.Is(err, jobs.ErrRunning) {
			err = jobs.ErrNotFound // it comes with the job's first owner
		}
		if err == nil {
			_ = r.Close()
		}
		return size, err
	case v.unstarted():
		for line, err := range v.lines(ctx) {
			if err != nil {
				return 0, err
			}
			size += int64(len(line))
		}
		return size, nil
	}
	n := 0
	for s, err := range v.h.Sizes(ctx) {
		if err != nil {
			return 0, err
		}
		n++
		if v.holds(s.Status) {
			size += lineSize(v.state.ID, s)
		}
	}
	if n < v.state.Counts.Stored() {
		return 0, jobs.ErrAgedOut
	}
	return size, nil
}

// holds reports whether results with a status are in the file.
func (v *view) holds(s schema.Status) bool {
	return (s == schema.StatusSucceeded) == (v.kind == outputPrefix)
}

// unstarted reports whether the file has lines for requests that were never begun.
func (v *view) unstarted() bool {
	return v.kind == errorPrefix && listsUnstarted(v.state)
}

// read streams the file from its begin.
func (v *view) read(ctx context.Context) io.ReadCloser {
	if v.kind == inputPrefix {
		r, _, err := v.h.OpenInput(ctx)
		if err != nil {
			return failing{err}
		}
		return r
	}
	return newLineReader(v.lines(ctx))
}

// lines are those of the file, in input order.
func (v *view) lines(ctx context.Context) iter.Seq2[[]byte, error] {
	stored := func(yield func([]byte, error) bool) {
		for s, err := range v.h.Stored(ctx, schema.OrderInput) {
			if err != nil {
				yield(nil, err)
				return
			}
			if v.holds(s.Status) && !yield(lineOf(v.state.ID, s), nil) {
				return
			}
		}
	}
	if v.unstarted() {
		return v.withUnstarted(ctx)
	}
	return stored
}

// withUnstarted are the lines of the error file of a job that ended early: what was
// not begun has no result, and gets its line from the request.
func (v *view) withUnstarted(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		next, stop := iter.Pull2(v.h.Stored(ctx, schema.OrderInput))
		defer stop()
		s, err, more := next()
		index := 0
		for request, broken := range v.h.Requests(ctx) {
			if err = errors.Join(err, broken); err != nil {
				yield(nil, err)
				return
			}
			var line []byte
			switch {
			case !more || s.Index > index:
				line, err = unstartedLine(v.state, index, request.CustomID)
			default:
				if v.holds(s.Status) {
					line = lineOf(v.state.ID, s)
				}
				s, err, more = next()
			}
			if line != nil && !yield(line, nil) {
				return
			}
			index++
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func unstartedLine(s *schema.State, index int, customID string) ([]byte, error) {
	r := schema.Result{ID: resultID(s.ID, index), Job: s.ID, Index: index, CustomID: customID, Status: schema.StatusCancelled}
	switch {
	case s.State == schema.Expired:
		r.Status = schema.StatusExpired
		r.Error = &schema.Error{Class: schema.ClassExpired, Code: schema.CodeExpired, Message: "This request could not be executed before the completion window expired."}
	case s.State == schema.Failed && s.Reason != nil:
		r.Error = &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "This request was not executed before the batch ended early (" + s.Reason.Code + ")."}
	default:
		r.Error = &schema.Error{Class: schema.ClassCancelled, Code: schema.CodeCancelled, Message: "This request was not executed before the batch was cancelled."}
	}
	if r.CustomID == "" {
		r.CustomID = r.ID
	}
	line, err := r.AppendJSON(nil)
	return append(line, '\n'), err
}

// soFar sends the results that an unfinished batch has now, in the order in which
// they came. How many bytes they are is not known beforehand.
func (g *Gateway) soFar(c *call) error {
	id := c.r.PathValue("id")
	kind := kindOf(id)
	if kind != outputPrefix && kind != errorPrefix {
		return noFile(id)
	}
	h, state, err := g.job(c, strings.TrimPrefix(id, kind))
	if errors.Is(err, jobs.ErrNotFound) {
		return noFile(id)
	}
	if err != nil {
		return err
	}
	if gone, err := g.files.Gone(c.ctx, state.Queue, id); err != nil {
		return err
	} else if gone {
		return noFile(id)
	}
	v := &view{g: g, h: h, state: state, id: id, kind: kind}
	c.Header().Set("Content-Type", "application/octet-stream")
	c.WriteHeader(http.StatusOK)
	for s, err := range h.SoFar(c.ctx) {
		if err == nil && v.holds(s.Status) {
			_, err = c.Write(lineOf(state.ID, s))
		}
		if err != nil {
			return errors.Join(errBegun, err)
		}
	}
	return nil
}

// customID is what a line of a request without a custom id gets: clients look
// for one.
func customID(job string, index int) string {
	return `"custom_id":"` + resultID(job, index) + `",`
}

// lineOf is a result as a line: the bytes that are stored, and a custom id.
func lineOf(job string, s jobs.Stored) []byte {
	line := make([]byte, 0, lineSize(job, s))
	if !s.Named && len(s.JSON) > 0 {
		line = append(append(line, s.JSON[0]), customID(job, s.Index)...)
		return append(append(line, s.JSON[1:]...), '\n')
	}
	return append(append(line, s.JSON...), '\n')
}

// lineSize is the length of that line.
func lineSize(job string, s jobs.Stored) int64 {
	size := s.Size + 1
	if !s.Named && s.Size > 0 {
		size += int64(len(customID(job, s.Index)))
	}
	return size
}

// lineReader reads lines one after the other.
type lineReader struct {
	next func() ([]byte, error, bool)
	stop func()
	rest []byte
}

func newLineReader(lines iter.Seq2[[]byte, error]) io.ReadCloser {
	next, stop := iter.Pull2(lines)
	return &lineReader{next: next, stop: stop}
}

func (l *lineReader) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		line, err, ok := l.next()
		if !ok {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		l.rest = line
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *lineReader) Close() error {
	l.stop()
	return nil
}

// failing is a reader of nothing but an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
func (f failing) Close() error             { return nil }

func resultID(job string, index int) string { return job + "." + strconv.Itoa(index) }
