package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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

func storedOf(it item) Stored {
	return Stored{
		Index: it.index, Status: schema.Status(it.header.Get(schema.HeaderStatus)), Named: it.header.Get(schema.HeaderCustomID) != "",
		Size: int64(len(it.data)), JSON: it.data, Seq: it.seq,
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
		from := h.b.sequence(h.queue, h.id, order, 0)
		defer from.close()
		for n := 0; ; n++ {
			it, err := from.next(ctx)
			if err == nil && it.end() {
				if err = h.allRead(it.data, n); err == nil {
					return
				}
			}
			if err == nil {
				it.data, err = h.b.wholeOf(ctx, it.header, it.data)
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

func (h *Handle) allRead(end []byte, n int) error {
	state, err := schema.ParseState(end)
	if err != nil {
		return fmt.Errorf("the end of job %s: %w", h.id, err)
	}
	if want := state.Counts.Stored(); n < want {
		return fmt.Errorf("job %s: %w: %d of %d are left", h.id, ErrAgedOut, n, want)
	}
	return nil
}

// SoFar yields the results that are stored now, in the order in which they came,
// and does not wait for more.
func (h *Handle) SoFar(ctx context.Context) iter.Seq2[Stored, error] {
	return h.soFar(ctx, false)
}

// Sizes is SoFar without the bytes: quick, whatever the results hold.
func (h *Handle) Sizes(ctx context.Context) iter.Seq2[Stored, error] {
	return h.soFar(ctx, true)
}

var errStopped = errors.New("the reader has what it wants")

func (h *Handle) soFar(ctx context.Context, headers bool) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		results := h.b.newTail(h.b.names.ResultsStream(), h.b.names.ResultsOf(h.queue, h.id), 0, headers)
		err := results.history(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
			it, ok := h.b.itemOf(m, meta)
			if !ok || it.end() {
				return nil
			}
			var err error
			s := Stored{}
			if headers {
				s = storedOf(it)
				s.JSON = nil
				s.Size, err = h.b.sizeOf(ctx, it.header)
			} else if it.data, err = h.b.wholeOf(ctx, it.header, it.data); err == nil {
				s = storedOf(it)
			}
			if err == nil && !yield(s, nil) {
				err = errStopped
			}
			return err
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Stored{}, err)
		}
	}
}

// wholeOf returns a result's JSON, from the object store where it lies there.
func (b *Broker) wholeOf(ctx context.Context, header nats.Header, data []byte) ([]byte, error) {
	object := header.Get(schema.HeaderObject)
	if object == "" {
		return data, nil
	}
	err := b.retry(ctx, func(ctx context.Context) (err error) {
		data, err = b.getBody(ctx, object)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("result %s.%s: %w", header.Get(schema.HeaderJob), header.Get(schema.HeaderIndex), err)
	}
	return data, nil
}

func (b *Broker) sizeOf(ctx context.Context, header nats.Header) (int64, error) {
	if object := header.Get(schema.HeaderObject); object != "" {
		info, err := b.objectInfo(ctx, b.names.BodiesBucket(), object)
		if err == nil && info == nil {
			err = fmt.Errorf("result %s.%s: %w", header.Get(schema.HeaderJob), header.Get(schema.HeaderIndex), ErrAgedOut)
		}
		if err != nil {
			return 0, err
		}
		return int64(info.Size), nil
	}
	return strconv.ParseInt(header.Get(msgSizeHeader), 10, 64)
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
	info, err := h.b.objectInfo(ctx, h.b.names.InputBucket(), job.Input.Object)
	if err == nil && info == nil {
		err = fmt.Errorf("the input of job %s: %w", h.id, ErrAgedOut)
	}
	if err != nil {
		return nil, 0, err
	}
	return h.b.openObject(ctx, info, 0), int64(info.Size), nil
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
		lines := schema.NewLineReader(input, h.b.limits(), job.Defaults)
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
	data, _, err := unwrap(&nats.Msg{Header: m.Header, Data: m.Data})
	if err != nil {
		return nil, err
	}
	job, err := schema.ParseJob(data, h.b.limits())
	if job == nil {
		return nil, err
	}
	return job, nil // what is wrong with it is its state's to say
}

// Cancelled tells whether the job was told to end before its time, and what the
// cancel says.
func (h *Handle) Cancelled(ctx context.Context) (cancel schema.Cancel, cancelled bool, err error) {
	m, err := h.b.lastMsg(ctx, h.b.names.CancelsStream(), h.b.names.Cancel(h.queue, h.id))
	if m == nil || err != nil {
		return schema.Cancel{}, false, err
	}
	return schema.ParseCancel(m.Data), true, nil
}
