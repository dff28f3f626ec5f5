package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"pelton/internal/bitset"
	"pelton/jobs/store"
	"pelton/schema"
)

// Message returns the bytes of a job as they were published, also of a message
// that was no job. They are kept as long as the state is; [ErrAgedOut] after that.
func (h *Handle) Message(ctx context.Context) ([]byte, error) {
	m, _, err := h.message(ctx)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (h *Handle) message(ctx context.Context) (none store.JobMessage, _ *store.Record, _ error) {
	rec, err := h.st.Records.Load(ctx, h.queue, h.id)
	if err != nil {
		return none, nil, err
	}
	if rec == nil {
		if _, err := h.State(ctx); err != nil {
			return none, nil, err
		}
		return none, nil, fmt.Errorf("%w (it is queued)", ErrRunning)
	}
	m, err := h.st.Jobs.Get(ctx, h.queue, rec.Seq)
	if errors.Is(err, ErrAgedOut) {
		return none, nil, fmt.Errorf("the message of job %s: %w", h.id, err)
	}
	if err != nil {
		return none, nil, fmt.Errorf("read the message of job %s: %w", h.id, err)
	}
	return m, rec, nil
}

// Retry submits the requests of an ended job that did not succeed, in their
// order, as a new job with the same settings, whose state names this one in
// retry_of. A request without a custom id gets the id of its result here, JOB.INDEX,
// so that both can be joined. The new job's id is this one's with -r1 behind it,
// or the next number that is free; retried in turn, the number goes up.
func (h *Handle) Retry(ctx context.Context) (*Handle, error) {
	m, rec, err := h.message(ctx)
	if err != nil {
		return nil, err
	}
	if !rec.State.State.Final() {
		return nil, fmt.Errorf("%w (it is %s)", ErrRunning, rec.State.State)
	}
	job, err := h.st.Jobs.Decode(m)
	if err != nil {
		return nil, err
	}
	done, err := rerun{h}.succeeded(ctx, rec)
	if err != nil {
		return nil, err
	}
	client := &Client{st: h.st, queue: h.queue}
	if job.ID, err = client.retryID(ctx, rec); err != nil {
		return nil, err
	}
	if at := job.Deadline.At; !at.IsZero() && at.Before(time.Now()) {
		job.Deadline = schema.Deadline{} // it was met or missed by the first run
	}
	options := []SubmitOption{retryOf(h.id)}
	if job.Input == nil {
		job.Requests = rerun{h}.remaining(job.Requests, done)
		retried, err := client.Submit(ctx, *job, options...)
		return retried, err
	}
	input, err := rerun{h}.remainingLines(ctx, job, done)
	if err != nil {
		return nil, err
	}
	defer func() { _ = input.Close() }()
	again := *job // what reads the lines has the other
	again.Input = nil
	return client.Submit(ctx, again, append(options, WithInput(input))...)
}

func retryOf(job string) SubmitOption { return func(s *submission) { s.retryOf = job } }

// rerun is what of a job is to run again.
type rerun struct{ *Handle }

// succeeded returns the indexes that need not run again.
func (h rerun) succeeded(ctx context.Context, rec *store.Record) (done bitset.Set, err error) {
	n := 0
	err = h.st.Results.EachMeta(ctx, h.queue, h.id, func(out store.ResultMeta) error {
		if out.Status == schema.StatusSucceeded && out.Index < rec.Total && done.Add(out.Index) {
			n++
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case n < rec.Counts.Succeeded:
		// What is gone was paid for: it is not run again by mistake.
		return nil, fmt.Errorf("job %s has %d of %d succeeded results left: %w", h.id, n, rec.Counts.Succeeded, ErrAgedOut)
	case n == rec.Total && n > 0:
		return nil, fmt.Errorf("job %s: %w", h.id, ErrNothingToRetry)
	}
	return done, nil
}

var retryNumber = regexp.MustCompile(`^(.+)-r([1-9][0-9]{0,3})$`)

// retryID finds the id of the next retry.
func (c *Client) retryID(ctx context.Context, rec *store.Record) (string, error) {
	base, n := rec.ID, 1
	if parts := retryNumber.FindStringSubmatch(rec.ID); parts != nil && rec.RetryOf != "" {
		last, _ := strconv.Atoi(parts[2])
		base, n = parts[1], last+1
	}
	const room = len("-r9999")
	if len(base) > schema.MaxIDLength-room {
		sum := sha256.Sum256([]byte(base))
		base = base[:schema.MaxIDLength-room-9] + "-" + hex.EncodeToString(sum[:4])
	}
	for {
		id := base + "-r" + strconv.Itoa(n)
		_, err := c.Job(c.queue, id).State(ctx)
		if errors.Is(err, ErrNotFound) {
			return id, nil
		}
		if err != nil {
			return "", err
		}
		n++
	}
}

// remaining returns the requests that are to run again.
func (h rerun) remaining(requests []schema.Request, done bitset.Set) []schema.Request {
	var rest []schema.Request
	for i, r := range requests {
		if !done.Has(i) {
			rest = append(rest, h.named(r, i))
		}
	}
	return rest
}

func (h rerun) named(r schema.Request, index int) schema.Request {
	if r.CustomID == "" {
		r.CustomID = h.id + "." + strconv.Itoa(index)
	}
	return r
}

// remainingLines streams them from the job's input.
func (h rerun) remainingLines(ctx context.Context, job *schema.Job, done bitset.Set) (io.ReadCloser, error) {
	bucket, name := h.st.Names.InputBucket(), job.Input.Object
	info, err := h.st.Objects.Info(ctx, bucket, name)
	if err != nil {
		return nil, fmt.Errorf("read the input of job %s: %w", h.id, err)
	}
	if info == nil {
		return nil, fmt.Errorf("the input of job %s: %w", h.id, ErrAgedOut)
	}
	object := h.st.Objects.Open(ctx, info, 0)
	r, w := io.Pipe()
	go func() {
		defer func() { _ = object.Close() }()
		w.CloseWithError(h.copyRemaining(w, object, job, done))
	}()
	return r, nil
}

func (h rerun) copyRemaining(w io.Writer, input io.Reader, job *schema.Job, done bitset.Set) error {
	lines := schema.NewLineReader(input, h.st.Limits(), job.Defaults)
	lines.Endpoint = job.Input.Endpoint
	lines.SkipInvalid = true // an invalid line is judged again by the new job's owner
	var line []byte
	for lines.Next() {
		if done.Has(lines.Index()) {
			continue
		}
		line = append(schema.AppendRequest(line[:0], h.named(lines.Request(), lines.Index())), '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return lines.Err()
}
