package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"pelton/schema"
)

// ErrStored means that a result for the same index is there already: the work
// is done, and what was brought is not needed.
var ErrStored = errors.New("this index has its result already")

// headroom is what the headers of a message may take of the broker's limit.
const headroom = 16 << 10

// parcel is a result's message. Its memory is used again once it is sent: the
// connection copies what it is given.
type parcel struct {
	msg    nats.Msg
	header headers
	data   []byte
	object string // where the result itself lies if it does not fit
}

var parcels = sync.Pool{New: func() any { return &parcel{header: newHeaders()} }}

// keptData bounds the memory of a parcel that is used again.
const keptData = 64 << 10

func (p *parcel) free() {
	if cap(p.data) > keptData {
		p.data = nil
	}
	p.header.reset()
	p.msg, p.object = nats.Msg{}, ""
	parcels.Put(p)
}

// PutResult stores the one final result of an index. It returns an [Outcome]
// that says what is stored, and [ErrStored] when another result came first;
// any other error leaves open whether it was stored, and calling again is right.
// A result above the broker's message limit goes to the object store.
func (b *Broker) PutResult(ctx context.Context, queue string, r *schema.Result, total int) (Outcome, error) {
	p := parcels.Get().(*parcel)
	defer p.free()
	if err := b.pack(ctx, p, queue, r, total); err != nil {
		return Outcome{}, err
	}
	return b.storeResult(ctx, queue, r, p)
}

// SendResult is [Broker.PutResult] that does not wait, but for a result that goes
// to the object store: tell is called with what it would return, and must not
// block.
func (b *Broker) SendResult(ctx context.Context, queue string, r *schema.Result, total int, tell func(Outcome, error)) {
	p := parcels.Get().(*parcel)
	defer p.free()
	err := b.pack(ctx, p, queue, r, total)
	switch {
	case err != nil:
		tell(Outcome{}, err)
		return
	case p.object != "":
		tell(b.storeResult(ctx, queue, r, p))
		return
	}
	err = b.pub.send(&p.msg, func(seq uint64, err error) {
		if err != nil {
			tell(Outcome{}, b.notStored(ctx, r, "", err))
			return
		}
		tell(b.stored(queue, r, seq), nil)
	})
	if err != nil {
		tell(Outcome{}, b.notStored(ctx, r, "", err))
	}
}

func (b *Broker) storeResult(ctx context.Context, queue string, r *schema.Result, p *parcel) (Outcome, error) {
	seq, err := b.pub.store(ctx, &p.msg)
	if err != nil {
		return Outcome{}, b.notStored(ctx, r, p.object, err)
	}
	return b.stored(queue, r, seq), nil
}

// pack makes the message that stores a result.
func (b *Broker) pack(ctx context.Context, p *parcel, queue string, r *schema.Result, total int) (err error) {
	if p.data, err = r.AppendJSON(p.data[:0]); err != nil {
		return fmt.Errorf("encode result %s: %w", r.ID, err)
	}
	outcomeOf(r).header(&p.header, r.Job)
	p.header.Set(schema.HeaderTotal, strconv.Itoa(total))
	if r.CustomID != "" {
		p.header.Set(schema.HeaderCustomID, headerText(r.CustomID))
	}
	p.msg = nats.Msg{Subject: b.names.Result(queue, r.Job, r.Index), Header: p.header.Header, Data: p.data}
	if len(p.data)+headroom > b.maxPayload() {
		if p.object, err = b.putBody(ctx, b.names.StateKey(queue, r.ID), p.data); err != nil {
			return fmt.Errorf("result %s: %w", r.ID, err)
		}
		p.header.Set(schema.HeaderObject, p.object)
		if p.msg.Data, err = withoutBodies(r).AppendJSON(nil); err != nil {
			return err
		}
	}
	if resultsOnce {
		expectNew(&p.msg)
	}
	asNewer(&p.msg)
	return nil
}

// stored is the outcome of a result that the stream has taken.
func (b *Broker) stored(queue string, r *schema.Result, seq uint64) Outcome {
	out := outcomeOf(r)
	out.Seq = seq
	if b.set.Alone {
		r.Seq = seq
		b.taps.give(jobKey{queue, r.Job}, item{index: r.Index, seq: seq, result: r})
	}
	return out
}

// notStored is why a result was not stored, or may not have been.
func (b *Broker) notStored(ctx context.Context, r *schema.Result, object string, err error) error {
	if occupied(err) {
		b.dropBody(ctx, object)
		return ErrStored
	}
	// Without the stream's word the message may be there, and point to the object.
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) {
		b.dropBody(ctx, object)
	}
	return fmt.Errorf("store result %s: %w", r.ID, b.explain(err))
}

// SettleResult is [Broker.PutResult] for those to whom it is all the same whose
// result is stored, so long as one is: where another came first, the outcome is
// that one's.
func (b *Broker) SettleResult(ctx context.Context, queue string, r *schema.Result, total int) (Outcome, error) {
	out, err := b.PutResult(ctx, queue, r, total)
	if !errors.Is(err, ErrStored) {
		return out, err
	}
	m, err := b.lastMsg(ctx, b.names.ResultsStream(), b.names.Result(queue, r.Job, r.Index))
	if err != nil {
		return Outcome{}, err
	}
	if m == nil {
		return Outcome{}, fmt.Errorf("result %s is said to exist but cannot be read", r.ID)
	}
	if b.set.Alone { // ours, when the answer to an earlier try was lost: nobody was given it
		b.taps.give(jobKey{queue, r.Job}, item{index: r.Index, header: m.Header, data: m.Data, seq: m.Sequence})
	}
	out, _ = parseOutcome(m.Header)
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

// StoredOutcome looks up what is stored for an index, and reports false when
// nothing is.
func (b *Broker) StoredOutcome(ctx context.Context, queue, job string, index int) (Outcome, bool, error) {
	m, err := b.lastMsg(ctx, b.names.ResultsStream(), b.names.Result(queue, job, index))
	if m == nil || err != nil {
		return Outcome{}, false, err
	}
	out, ok := parseOutcome(m.Header)
	out.Seq = m.Sequence
	return out, ok, nil
}

// JobEnded reports whether a job's end is stored: nothing may be stored behind it.
func (b *Broker) JobEnded(ctx context.Context, queue, job string) (bool, error) {
	m, err := b.lastMsg(ctx, b.names.ResultsStream(), b.names.End(queue, job))
	return m != nil, err
}

// GetResult returns the stored result of an index, or nil when there is none.
func (b *Broker) GetResult(ctx context.Context, queue, job string, index int) (*schema.Result, error) {
	m, err := b.lastMsg(ctx, b.names.ResultsStream(), b.names.Result(queue, job, index))
	if m == nil || err != nil {
		return nil, err
	}
	return b.readResult(ctx, m.Header, m.Data, m.Sequence)
}

// resultOf returns an item's result, as one that the reader may change.
func (b *Broker) resultOf(ctx context.Context, it item) (*schema.Result, error) {
	if it.result == nil {
		return b.readResult(ctx, it.header, it.data, it.seq)
	}
	r := *it.result
	return &r, nil
}

// readResult decodes a result's message, with what lies in the object store.
func (b *Broker) readResult(ctx context.Context, header nats.Header, data []byte, seq uint64) (*schema.Result, error) {
	if object := header.Get(schema.HeaderObject); object != "" {
		err := b.retry(ctx, func(ctx context.Context) (err error) {
			data, err = b.getBody(ctx, object)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("result %s.%s: %w", header.Get(schema.HeaderJob), header.Get(schema.HeaderIndex), err)
		}
	}
	r, err := schema.ParseResult(data)
	if err != nil {
		return nil, fmt.Errorf("result %s.%s: %w", header.Get(schema.HeaderJob), header.Get(schema.HeaderIndex), err)
	}
	r.Seq = seq
	return r, nil
}

// lastMsg returns the last message on a subject, or nil when there is none. That
// there is none only a stream's leader can tell: of three copies one may be
// behind. To ask the leader is a right over the whole stream; whoever lacks it
// believes a copy.
func (b *Broker) lastMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTime) // a question can die with the node it was put to
	defer cancel()
	if !b.replicated.Load() {
		m, err := b.anyMsg(ctx, stream, subject)
		if m != nil || err != nil || b.counted.Load() {
			return m, err
		}
		if err := b.countCopies(ctx); err != nil && !errors.Is(err, ErrDenied) {
			return nil, err
		}
		if !b.replicated.Load() {
			return nil, nil
		}
	}
	m, err := b.leaderMsg(ctx, stream, subject)
	if errors.Is(err, ErrDenied) {
		return b.anyMsg(ctx, stream, subject)
	}
	return m, err
}

// countCopies learns whether the streams are replicated, for a broker that has
// not set them up itself.
func (b *Broker) countCopies(ctx context.Context) error {
	return b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		state, err := js.Stream(ctx, "KV_"+b.names.StateBucket())
		if err != nil {
			return err
		}
		if state.CachedInfo().Config.Replicas > 1 {
			b.replicated.Store(true)
		}
		b.counted.Store(true)
		return nil
	})
}

// anyMsg is lastMsg as whichever server has a copy of the stream knows it.
func (b *Broker) anyMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	// Straight to the direct-get subject: a stream handle would cost a look-up.
	reply, err := b.request(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return nil, err
	}
	return directMsg(subject, reply)
}

// nextMsg returns the first message of a filter behind a sequence, or nil when
// there is none, as whichever server has a copy of the stream knows it.
func (b *Broker) nextMsg(ctx context.Context, stream, filter string, after uint64) (m *jetstream.RawStreamMsg, err error) {
	ask, err := json.Marshal(map[string]any{"seq": after + 1, "next_by_subj": filter})
	if err != nil {
		return nil, err
	}
	err = b.retry(ctx, func(ctx context.Context) error {
		reply, err := b.request(ctx, "$JS.API.DIRECT.GET."+stream, ask)
		if err == nil {
			m, err = directMsg(filter, reply)
		}
		return err
	})
	return m, err
}

// directMsg reads the answer to a direct get of what; nil: there is none.
func directMsg(what string, reply *nats.Msg) (*jetstream.RawStreamMsg, error) {
	switch status := reply.Header.Get("Status"); status {
	case "":
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("read %s: %s %s", what, status, reply.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read %s: no sequence in the answer", what)
	}
	return &jetstream.RawStreamMsg{Subject: reply.Header.Get(jetstream.SubjectHeader), Sequence: seq, Header: reply.Header, Data: reply.Data}, nil
}

// leaderMsg is lastMsg as the stream's leader knows it.
func (b *Broker) leaderMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	ask, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	reply, err := b.request(ctx, "$JS.API.STREAM.MSG.GET."+stream, ask)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError
		Message struct {
			Seq  uint64
			Time time.Time
			Hdrs []byte
			Data []byte
		}
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("read %s: %w", subject, err)
	}
	if answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return nil, nil
	}
	if answer.Error != nil {
		return nil, b.explain(fmt.Errorf("read %s: %w", subject, answer.Error))
	}
	m := &jetstream.RawStreamMsg{Subject: subject, Sequence: answer.Message.Seq, Time: answer.Message.Time, Data: answer.Message.Data, Header: nats.Header{}}
	if len(answer.Message.Hdrs) > 0 {
		m.Header, err = nats.DecodeHeadersMsg(answer.Message.Hdrs)
	}
	return m, err
}

// putBody stores bytes above the message limit under a name of their own: two
// writers of the same index must not overwrite each other.
func (b *Broker) putBody(ctx context.Context, prefix string, data []byte) (string, error) {
	name := prefix + "." + nuid.Next()
	err := b.objects(ctx, b.names.BodiesBucket(), func(ctx context.Context, store jetstream.ObjectStore) error {
		_, err := store.Put(ctx, b.objectMeta(name), bytes.NewReader(data))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("put %d bytes into the object store: %w", len(data), err)
	}
	return name, nil
}

// objectMeta describes an object whose pieces fit the broker's messages.
func (b *Broker) objectMeta(name string) jetstream.ObjectMeta {
	piece := min(512<<10, b.maxPayload()/2)
	return jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: uint32(piece)}}
}

// mostBody bounds what is read from the object store for one message: a result
// with a request and an answer of 64 MiB each, the latter as a JSON string that
// needs six bytes for one.
const mostBody = 512 << 20

var errTooLarge = errors.New("too large to be a request or a result")

func (b *Broker) getBody(ctx context.Context, name string) ([]byte, error) {
	data, err := b.readBody(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read the object %s: %w", name, err)
	}
	return data, nil
}

func (b *Broker) readBody(ctx context.Context, name string) ([]byte, error) {
	info, err := b.objectInfo(ctx, b.names.BodiesBucket(), name)
	switch {
	case err != nil:
		return nil, err
	case info == nil:
		return nil, jetstream.ErrObjectNotFound
	case info.Size > mostBody:
		return nil, fmt.Errorf("it has %d bytes, and no body more than %d: %w", info.Size, mostBody, errTooLarge)
	}
	object := b.openObject(ctx, info, 0)
	defer func() { _ = object.Close() }()
	return io.ReadAll(object)
}

func (b *Broker) dropBody(ctx context.Context, name string) {
	if name != "" { // as a rule
		b.dropObject(ctx, b.names.BodiesBucket(), name)
	}
}

// dropObject deletes an object that nothing points to; an empty name is none.
// What a failure leaves behind ages out with the bucket.
func (b *Broker) dropObject(ctx context.Context, bucket, name string) {
	if name == "" {
		return
	}
	err := b.objects(ctx, bucket, func(ctx context.Context, store jetstream.ObjectStore) error {
		return store.Delete(ctx, name)
	})
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		b.set.Log.Debug().Err(err).Str("object", name).Msg("could not delete an object that is no longer needed")
	}
}

// headerText makes any text fit a header: control characters and the percent
// sign are percent-encoded.
func headerText(s string) string {
	if !strings.ContainsFunc(s, percent) {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		if percent(rune(s[i])) {
			fmt.Fprintf(&out, "%%%02X", s[i])
		} else {
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

func percent(c rune) bool { return c < ' ' || c == 0x7f || c == '%' }
