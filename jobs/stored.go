package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"pelton/jobs/store"
	"pelton/schema"
)

// Stored is a result as it lies in the store.
type Stored struct {
	Index  int
	Status schema.Status
	Named  bool   // it has a custom id
	Size   int64  // of its JSON
	JSON   []byte // the bytes of a [schema.Result]; nil where only sizes were asked for
	Seq    uint64 // as [schema.Result.Seq]
}

func storedOf(it store.Entry) Stored {
	return Stored{
		Index: it.Index, Status: schema.Status(it.Header.Get(schema.HeaderStatus)), Named: it.Header.Get(schema.HeaderCustomID) != "",
		Size: int64(len(it.Data)), JSON: it.Data, Seq: it.Seq,
	}
}

// Stored yields a job's results as they lie in the store, in the given order
// ([schema.OrderDefault] is completion order), until the job has ended. It is
// [Handle.Collect] for who passes the bytes on. How the job ended is no error;
// that results have gone is [ErrAgedOut].
func (h *Handle) Stored(ctx context.Context, order schema.Order) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		if err := h.readable(ctx); err != nil {
			yield(Stored{}, err)
			return
		}
		from := h.st.Results.ReadStored(h.queue, h.id, order, 0)
		defer from.Close()
		for n := 0; ; n++ {
			it, err := from.Next(ctx)
			if err == nil && it.End() {
				if err = (reading{h}).allRead(it.Data, n); err == nil {
					return
				}
			}
			if err == nil {
				it.Data, err = h.st.Results.JSON(ctx, it.Header, it.Data)
			}
			if err != nil {
				yield(Stored{}, err)
				return
			}
			if !yield(storedOf(it), nil) {
				return
			}
		}
	}
}

func (h reading) allRead(end []byte, n int) error {
	state, err := schema.ParseState(end)
	if err != nil {
		return fmt.Errorf("the end of job %s: %w", h.id, err)
	}
	if want := state.Counts.Stored(); n < want {
		return fmt.Errorf("job %s: %w: %d of %d are left", h.id, store.ErrAgedOut, n, want)
	}
	return nil
}

// SoFar yields the results that are stored now, in the order in which they came,
// and does not wait for more.
func (h *Handle) SoFar(ctx context.Context) iter.Seq2[Stored, error] {
	return reading{h}.soFar(ctx, false)
}

// Sizes is SoFar without the bytes: quick, whatever the results hold.
func (h *Handle) Sizes(ctx context.Context) iter.Seq2[Stored, error] {
	return reading{h}.soFar(ctx, true)
}

func (h reading) soFar(ctx context.Context, headers bool) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		err := h.st.Results.EachStored(ctx, h.key(), 0, headers, func(it store.Entry, _ uint64) error {
			var err error
			s := Stored{}
			if headers {
				s = storedOf(it)
				s.JSON = nil
				s.Size, err = h.st.Results.Size(ctx, it.Header)
			} else if it.Data, err = h.st.Results.JSON(ctx, it.Header, it.Data); err == nil {
				s = storedOf(it)
			}
			if err == nil && !yield(s, nil) {
				err = store.ErrEnough
			}
			return err
		})
		if err != nil && !errors.Is(err, store.ErrEnough) {
			yield(Stored{}, err)
		}
	}
}

// OpenInput reads a job's requests, one per line, and tells how many bytes they
// are. [ErrRunning] says that no worker has taken the job yet, [ErrAgedOut] that
// the requests are kept no more. The context is that of the reads.
func (h *Handle) OpenInput(ctx context.Context) (io.ReadCloser, int64, error) {
	job, err := h.job(ctx)
	if err != nil {
		return nil, 0, err
	}
	if job.Input == nil {
		var lines []byte
		for _, r := range job.Requests {
			lines = append(schema.AppendRequest(lines, r), '\n')
		}
		return io.NopCloser(bytes.NewReader(lines)), int64(len(lines)), nil
	}
	info, err := h.st.Objects.Info(ctx, h.st.Names.InputBucket(), job.Input.Object)
	if err == nil && info == nil {
		err = fmt.Errorf("the input of job %s: %w", h.id, store.ErrAgedOut)
	}
	if err != nil {
		return nil, 0, err
	}
	return h.st.Objects.Open(ctx, info, 0), int64(info.Size), nil
}

// Requests yields a job's requests in their order, under the conditions of
// [Handle.OpenInput]. Memory does not grow with their number.
func (h *Handle) Requests(ctx context.Context) iter.Seq2[schema.Request, error] {
	return func(yield func(schema.Request, error) bool) {
		job, err := h.job(ctx)
		if err != nil {
			yield(schema.Request{}, err)
			return
		}
		for _, r := range job.Requests {
			if !yield(r, nil) {
				return
			}
		}
		if job.Input == nil {
			return
		}
		input, _, err := h.OpenInput(ctx)
		if err != nil {
			yield(schema.Request{}, err)
			return
		}
		defer func() { _ = input.Close() }()
		lines := schema.NewLineReader(input, h.st.Limits(), job.Defaults)
		lines.Endpoint, lines.SkipInvalid = job.Input.Endpoint, true
		for lines.Next() {
			if !yield(lines.Request(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(schema.Request{}, err)
		}
	}
}

// job reads the job as it was published.
func (h *Handle) job(ctx context.Context) (*schema.Job, error) {
	m, _, err := h.message(ctx)
	if err != nil {
		return nil, err
	}
	job, err := h.st.Jobs.Decode(m)
	if job == nil {
		return nil, err
	}
	return job, nil // what is wrong with it is its state's to say
}

// Cancelled tells whether the job was told to end before its time, and what the
// cancel says.
func (h *Handle) Cancelled(ctx context.Context) (cancel schema.Cancel, cancelled bool, err error) {
	return h.st.Cancels.Find(ctx, h.queue, h.id)
}
