package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Results are the results of jobs, one per index, and behind them each job's end.
type Results struct {
	c       *jet.Conn
	objects *jet.Objects

	// hub hands what is stored to the readers in this process; nil where others
	// store as well.
	hub *resultsHub

	// follow begins a sequence in completion order, behind a place in the stream:
	// by the hub where there is one, else by the stream.
	follow func(key JobKey, after uint64) Sequence
}

func newResults(c *jet.Conn, objects *jet.Objects, alone bool) *Results {
	s := &Results{c: c, objects: objects}
	s.follow = s.followStream
	if alone {
		s.hub = newHub()
		s.follow = func(key JobKey, after uint64) Sequence { return newHubSequence(s, key, after) }
	}
	return s
}

// resultMsg is a result's message. Its memory is used again once it is sent: the
// connection copies what it is given.
type resultMsg struct {
	msg    nats.Msg
	header jet.Headers
	data   []byte
	object string // where the result itself lies if it does not fit
}

var resultMsgs = sync.Pool{New: func() any { return &resultMsg{header: jet.NewHeaders()} }}

// maxPooled bounds the memory of a message that is used again.
const maxPooled = 64 << 10

func (p *resultMsg) free() {
	if cap(p.data) > maxPooled {
		p.data = nil
	}
	p.header.Reset()
	p.msg, p.object = nats.Msg{}, ""
	resultMsgs.Put(p)
}

// Put stores the one final result of an index, of a job of total requests. It
// returns what is stored, and [ErrStored] when another result came first; any
// other error leaves open whether it was stored, and calling again is right. A
// result above the broker's message limit goes to the object store.
func (s *Results) Put(ctx context.Context, queue string, r *schema.Result, total int) (ResultMeta, error) {
	p := resultMsgs.Get().(*resultMsg)
	defer p.free()
	if err := s.pack(ctx, p, queue, r, total); err != nil {
		return ResultMeta{}, err
	}
	return s.put(ctx, queue, r, p)
}

// PutAsync is [Results.Put] that does not wait, but for a result that goes to the
// object store: done is called with what Put would return, and must not block.
func (s *Results) PutAsync(ctx context.Context, queue string, r *schema.Result, total int, done func(ResultMeta, error)) {
	p := resultMsgs.Get().(*resultMsg)
	defer p.free()
	err := s.pack(ctx, p, queue, r, total)
	switch {
	case err != nil:
		done(ResultMeta{}, err)
		return
	case p.object != "":
		done(s.put(ctx, queue, r, p))
		return
	}
	stored := func(seq uint64, err error) {
		if err != nil {
			done(ResultMeta{}, s.notStored(ctx, r, "", err))
			return
		}
		done(s.stored(queue, r, seq), nil)
	}
	if _, err = s.c.Send(ctx, &p.msg, jet.Outgoing{Done: stored}); err != nil {
		done(ResultMeta{}, s.notStored(ctx, r, "", err))
	}
}

func (s *Results) put(ctx context.Context, queue string, r *schema.Result, p *resultMsg) (ResultMeta, error) {
	seq, err := s.c.Store(ctx, &p.msg)
	if err != nil {
		return ResultMeta{}, s.notStored(ctx, r, p.object, err)
	}
	return s.stored(queue, r, seq), nil
}

// pack makes the message that stores a result.
func (s *Results) pack(ctx context.Context, p *resultMsg, queue string, r *schema.Result, total int) (err error) {
	if p.data, err = r.AppendJSON(p.data[:0]); err != nil {
		return fmt.Errorf("encode result %s: %w", r.ID, err)
	}
	metaOf(r).writeTo(&p.header, r.Job)
	p.header.Set(schema.HeaderTotal, strconv.Itoa(total))
	if r.CustomID != "" {
		p.header.Set(schema.HeaderCustomID, HeaderText(r.CustomID))
	}
	p.msg = nats.Msg{Subject: s.c.Names.Result(queue, r.Job, r.Index), Header: p.header.Header, Data: p.data}
	if !s.c.Fits(len(p.data)) {
		if p.object, err = s.objects.PutBody(ctx, s.c.Names.StateKey(queue, r.ID), p.data); err != nil {
			return fmt.Errorf("result %s: %w", r.ID, err)
		}
		p.header.Set(schema.HeaderObject, p.object)
		if p.msg.Data, err = withoutBodies(r).AppendJSON(nil); err != nil {
			return err
		}
	}
	if jet.ResultsOnce {
		jet.ExpectNew(&p.msg)
	}
	return nil
}

// stored returns what is known of a result that the stream has taken.
func (s *Results) stored(queue string, r *schema.Result, seq uint64) ResultMeta {
	out := metaOf(r)
	out.Seq = seq
	if s.hub != nil {
		r.Seq = seq
		s.hub.Publish(JobKey{queue, r.Job}, Entry{Index: r.Index, Seq: seq, result: r})
	}
	return out
}

// notStored returns why a result was not stored, or may not have been.
func (s *Results) notStored(ctx context.Context, r *schema.Result, object string, err error) error {
	if jet.IsWrongLastSeq(err) {
		s.objects.DeleteBody(ctx, object)
		return ErrStored
	}
	// Without the stream's word the message may be there, and point to the object.
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) {
		s.objects.DeleteBody(ctx, object)
	}
	return fmt.Errorf("store result %s: %w", r.ID, jet.Explain(err))
}

// PutOrFind is [Results.Put] for a caller to whom it is all the same whose result
// is stored, so long as one is: where another came first, it returns what that says.
func (s *Results) PutOrFind(ctx context.Context, queue string, r *schema.Result, total int) (ResultMeta, error) {
	out, err := s.Put(ctx, queue, r, total)
	if !errors.Is(err, ErrStored) {
		return out, err
	}
	m, err := s.c.LastMsg(ctx, s.c.Names.ResultsStream(), s.c.Names.Result(queue, r.Job, r.Index))
	if err != nil {
		return ResultMeta{}, err
	}
	if m == nil {
		return ResultMeta{}, fmt.Errorf("result %s is said to exist but cannot be read", r.ID)
	}
	if s.hub != nil { // ours, when the answer to an earlier try was lost: no reader was given it
		s.hub.Publish(JobKey{queue, r.Job}, Entry{Index: r.Index, Header: m.Header, Data: m.Data, Seq: m.Sequence})
	}
	out, _ = parseMeta(m.Header)
	out.Seq = m.Sequence
	return out, nil
}

// withoutBodies is what a result's message holds when the whole lies in the
// object store.
func withoutBodies(r *schema.Result) *schema.Result {
	small := *r
	small.Request = nil
	if r.Response != nil {
		small.Response = &schema.Response{StatusCode: r.Response.StatusCode, RequestID: r.Response.RequestID}
	}
	return &small
}

// Meta looks up what is stored for an index, and reports false when nothing is.
func (s *Results) Meta(ctx context.Context, queue, job string, index int) (ResultMeta, bool, error) {
	m, err := s.c.LastMsg(ctx, s.c.Names.ResultsStream(), s.c.Names.Result(queue, job, index))
	if m == nil || err != nil {
		return ResultMeta{}, false, err
	}
	out, ok := parseMeta(m.Header)
	out.Seq = m.Sequence
	return out, ok, nil
}

// Ended reports whether a job's end is stored: nothing may be stored behind it.
func (s *Results) Ended(ctx context.Context, queue, job string) (bool, error) {
	m, err := s.c.LastMsg(ctx, s.c.Names.ResultsStream(), s.c.Names.End(queue, job))
	return m != nil, err
}

// Get returns the stored result of an index, or nil when there is none.
func (s *Results) Get(ctx context.Context, queue, job string, index int) (*schema.Result, error) {
	m, err := s.c.LastMsg(ctx, s.c.Names.ResultsStream(), s.c.Names.Result(queue, job, index))
	if m == nil || err != nil {
		return nil, err
	}
	return s.Decode(ctx, Entry{Index: index, Header: m.Header, Data: m.Data, Seq: m.Sequence})
}

// Decode returns an entry's result, with what lies in the object store, as one
// that the reader may change.
func (s *Results) Decode(ctx context.Context, e Entry) (*schema.Result, error) {
	if e.result != nil {
		r := *e.result
		return &r, nil
	}
	data, err := s.JSON(ctx, e.Header, e.Data)
	if err != nil {
		return nil, err
	}
	r, err := schema.ParseResult(data)
	if err != nil {
		return nil, fmt.Errorf("result %s.%s: %w", e.Header.Get(schema.HeaderJob), e.Header.Get(schema.HeaderIndex), err)
	}
	r.Seq = e.Seq
	return r, nil
}

// JSON returns a result's JSON, from the object store where it lies there.
func (s *Results) JSON(ctx context.Context, header nats.Header, data []byte) ([]byte, error) {
	object := header.Get(schema.HeaderObject)
	if object == "" {
		return data, nil
	}
	err := s.c.Read(ctx, func(ctx context.Context) (err error) {
		data, err = s.objects.GetBody(ctx, object)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("result %s.%s: %w", header.Get(schema.HeaderJob), header.Get(schema.HeaderIndex), err)
	}
	return data, nil
}

// Size returns how many bytes a result's JSON has, by the headers of its message.
func (s *Results) Size(ctx context.Context, header nats.Header) (int64, error) {
	if object := header.Get(schema.HeaderObject); object != "" {
		info, err := s.objects.Info(ctx, s.c.Names.BodiesBucket(), object)
		if err == nil && info == nil {
			err = fmt.Errorf("result %s.%s: %w", header.Get(schema.HeaderJob), header.Get(schema.HeaderIndex), jet.ErrAgedOut)
		}
		if err != nil {
			return 0, err
		}
		return int64(info.Size), nil
	}
	return strconv.ParseInt(header.Get(jet.SizeHeader), 10, 64)
}

// PutEnd publishes a job's final state behind its results, until it is stored.
// The bytes come from the record alone, so that whoever repeats this publishes
// the same.
func (s *Results) PutEnd(ctx context.Context, rec *Record) error {
	data, err := json.Marshal(rec.State)
	if err != nil {
		return err
	}
	m := jet.ExpectNew(EndMsg(s.c.Names.End(rec.Queue, rec.ID), &rec.State, data))
	err = s.c.UntilStored(ctx, rec.ID, "publish the end", nil, func(ctx context.Context) error {
		err := s.c.PublishOnce(ctx, m)
		if !jet.IsWrongLastSeq(err) {
			return err
		}
		// A leader also says so of what it has proposed and may never store.
		have, err := s.c.LastMsg(ctx, s.c.Names.ResultsStream(), m.Subject)
		if have == nil && err == nil {
			err = errors.New("the end is said to exist but cannot be read")
		}
		return err
	})
	if err == nil && s.hub != nil {
		s.hub.Publish(rec.Key(), Entry{Index: -1, Header: m.Header, Data: data, Seq: math.MaxUint64})
	}
	return err
}

// AwaitEnd waits for a job's end, and returns the final state.
func (s *Results) AwaitEnd(ctx context.Context, job JobKey) (*schema.State, error) {
	r := s.c.NewReader(s.c.Names.ResultsStream(), s.c.Names.End(job.Queue, job.ID), 0, false)
	defer r.Close()
	m, _, err := r.Next(ctx)
	if err != nil {
		return nil, err
	}
	return schema.ParseState(m.Data())
}

// EndMsg is the message that carries a final state, on the results stream and
// on a reply subject.
func EndMsg(subject string, s *schema.State, data []byte) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(schema.HeaderJob, s.ID)
	m.Header.Set(schema.HeaderIndex, schema.EndToken)
	m.Header.Set(schema.HeaderStatus, string(s.State))
	m.Header.Set(schema.HeaderTotal, strconv.Itoa(s.Total))
	m.Data = data
	return m
}

// Count is how many results of a job are stored that has not ended.
func (s *Results) Count(ctx context.Context, job JobKey) (int, error) {
	r := s.c.NewReader(s.c.Names.ResultsStream(), s.c.Names.ResultsOf(job.Queue, job.ID), 0, true)
	defer r.Close()
	err := r.Open(ctx)
	return int(r.Pending), err
}

// EachMeta calls f with what the headers of every result of a job say that is
// stored now, in the order in which they were stored, until f returns an error.
func (s *Results) EachMeta(ctx context.Context, queue, job string, f func(ResultMeta) error) error {
	return s.EachStored(ctx, JobKey{queue, job}, 0, true, func(e Entry, _ uint64) error {
		if out, ok := e.Meta(); ok {
			return f(out)
		}
		return nil
	})
}

// EachStored calls f with every result of a job that is stored now behind a place
// in the stream, in the order in which they were stored, until f returns an error,
// which EachStored returns. left is how many messages of the job are behind this
// one. With headersOnly the results come without their content.
func (s *Results) EachStored(ctx context.Context, job JobKey, after uint64, headersOnly bool, f func(e Entry, left uint64) error) error {
	r := s.c.NewReader(s.c.Names.ResultsStream(), s.c.Names.ResultsOf(job.Queue, job.ID), after, headersOnly)
	return r.ReadStored(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		if e, ok := entryOf(s.c.Names, m, meta); ok && !e.End() {
			return f(e, meta.NumPending)
		}
		return nil
	})
}

// MayRead fails with [ErrDenied] where results of a job could not be read. some
// reports whether anything of the job is stored.
func (s *Results) MayRead(ctx context.Context, job JobKey) (some bool, err error) {
	r := s.c.NewReader(s.c.Names.ResultsStream(), s.c.Names.ResultsOf(job.Queue, job.ID), 0, true)
	defer r.Close()
	err = r.Open(ctx)
	return r.Pending > 0, err
}

// Forget removes all results that are stored up to a sequence, that one included,
// of whatever jobs. It is for a store that one job has to itself, and for results
// that its only reader has put elsewhere: who begins to read later finds the rest
// alone.
func (s *Results) Forget(ctx context.Context, seq uint64) error {
	return s.c.PurgeUpTo(ctx, s.c.Names.ResultsStream(), seq)
}

// Readable makes sure that a reader of a job in this state will find its end, if it
// has ended, and not wait for what has aged out: that is [ErrAgedOut].
func (s *Results) Readable(ctx context.Context, state *schema.State) error {
	if !state.State.Final() {
		return nil
	}
	ended, err := s.Ended(ctx, state.Queue, state.ID)
	if err != nil || ended {
		return err
	}
	// Between the final state and the end there is a moment, or a dead owner
	// whose successor publishes it. The results are there in that moment.
	if state.FinishedAt != nil && time.Since(*state.FinishedAt) < time.Minute {
		left, err := s.MayRead(ctx, JobKey{state.Queue, state.ID})
		if left || err != nil || state.Counts.Stored() == 0 {
			return err
		}
	}
	return fmt.Errorf("job %s: %w", state.ID, jet.ErrAgedOut)
}
