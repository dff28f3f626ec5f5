package jobs

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/pull"
)

// eraser takes everything that lies in the broker of one job away.
type eraser struct {
	b         *Broker
	js        jetstream.JetStream // that of the call: see [Broker.ask]
	queue, id string
	rec       *record // nil: only remains are looked for
	most      int     // messages of one stream that are overwritten at most
	removed   Removed
}

// place is where messages of a job lie.
type place struct {
	stream, subject string
	count           *int
}

// places are the streams in which every message of the job has a subject that
// says so. The job's own message, its objects and its state are not among them.
func (e *eraser) places() []place {
	n, r := e.b.names, &e.removed
	return []place{
		{n.WorkStream(), n.WorkOf(e.queue, e.id), &r.Work},
		{n.ParkedStream(), n.ParkedOf(e.queue, e.id), &r.Parked},
		{n.CancelsStream(), n.Cancel(e.queue, e.id), &r.Cancels},
		{n.ResultsStream(), n.ResultsOf(e.queue, e.id), &r.Results},
	}
}

// all erases, and then looks for what is left.
func (e *eraser) all(ctx context.Context) error { return e.with(ctx, e.eraseAll) }

// with gives the eraser the API for as long as f takes.
func (e *eraser) with(ctx context.Context, f func(context.Context) error) error {
	return e.b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		e.js = js
		return f(ctx)
	})
}

func (e *eraser) eraseAll(ctx context.Context) error {
	for _, p := range e.places() {
		n, err := e.erase(ctx, p.stream, p.subject)
		*p.count += n
		if err != nil {
			return err
		}
	}
	if err := e.jobMessages(ctx); err != nil {
		return err
	}
	for _, bucket := range []string{e.b.names.BodiesBucket(), e.b.names.InputBucket()} {
		if err := e.objects(ctx, bucket); err != nil {
			return err
		}
	}
	if err := e.verify(ctx); err != nil {
		return err
	}
	if err := e.state(ctx); err != nil {
		return err
	}
	rec, err := e.b.loadRecord(ctx, e.queue, e.id)
	if err == nil && rec != nil {
		err = fmt.Errorf("%w: its state in bucket %s; remove it again", ErrNotErased, e.b.names.StateBucket())
	}
	return err
}

// verify fails unless nothing is left but the state, which stays as long as
// something else does.
func (e *eraser) verify(ctx context.Context) error {
	for _, p := range e.places() {
		stream, err := e.js.Stream(ctx, p.stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if left, err := subjectsOf(ctx, stream, p.subject); err != nil {
			return err
		} else if len(left) > 0 {
			return fmt.Errorf("%w: %d messages on %s in stream %s; remove it again", ErrNotErased, len(left), p.subject, p.stream)
		}
	}
	for _, bucket := range []string{e.b.names.BodiesBucket(), e.b.names.InputBucket()} {
		if left, err := e.objectsIn(ctx, bucket); err != nil {
			return err
		} else if len(left) > 0 {
			return fmt.Errorf("%w: %d objects in bucket %s; remove it again", ErrNotErased, len(left), bucket)
		}
	}
	return nil
}

// subjectsOf counts the messages of each subject that matches filter.
func subjectsOf(ctx context.Context, stream jetstream.Stream, filter string) (map[string]uint64, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// erase removes the messages of one filter and returns how many there were.
func (e *eraser) erase(ctx context.Context, name, filter string) (int, error) {
	stream, err := e.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil // lost with the broker's memory, or older than this stream
	}
	if err != nil {
		return 0, err
	}
	list, err := e.messages(ctx, stream, filter)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	shared := atEnds(list)
	if e.most != everything && len(shared) > e.most {
		e.removed.Unlinked += len(shared)
		shared = nil
	}
	for _, m := range shared {
		if err := overwrite(ctx, stream, m.sequence); err != nil {
			return 0, err
		}
		e.removed.Messages++
	}
	if rest := len(list) - len(shared); rest > 0 {
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(filter)); err != nil {
			return 0, err
		}
		e.removed.Messages += rest
	}
	return len(list), nil
}

// overwrite replaces a message's bytes on the disk by random ones.
func overwrite(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // it aged out meanwhile, or an earlier removal came this far
	}
	return err
}

// stored is a message as it lies in a stream.
type stored struct {
	sequence uint64
	size     int // of its content
}

// blockSize is the largest file in which the server keeps messages. A file goes
// when its last message does.
const blockSize = 8 << 20

// atEnds returns those messages that may share a file with other messages: in
// each run of sequences without a gap, those that are less than a file's length
// from an end of it. What is between them fills files of its own.
func atEnds(list []stored) []stored {
	var ends []stored
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && list[to].sequence == list[to-1].sequence+1 {
			to++
		}
		head, tail := from, to
		for room := blockSize; head < to && room > 0; head++ {
			room -= list[head].size
		}
		for room := blockSize; tail > head && room > 0; tail-- {
			room -= list[tail-1].size
		}
		ends = append(append(ends, list[from:head]...), list[tail:to]...)
		from = to
	}
	return ends
}

// msgSizeHeader is what the server puts into a message that it sends without
// its content.
const msgSizeHeader = "Nats-Msg-Size"

// messages lists what lies under a filter, by sequence.
func (e *eraser) messages(ctx context.Context, stream jetstream.Stream, filter string) (list []stored, err error) {
	name := stream.CachedInfo().Config.Name
	if name == e.b.names.WorkStream() { // a work queue has no consumers beside its own
		return e.workMessages(ctx, stream, filter)
	}
	t := e.b.newTail(name, filter, 0, true)
	err = t.history(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		size, _ := strconv.Atoi(m.Headers().Get(msgSizeHeader))
		list = append(list, stored{meta.Sequence.Stream, size})
		return nil
	})
	return list, err
}

func (e *eraser) workMessages(ctx context.Context, stream jetstream.Stream, filter string) (list []stored, err error) {
	subjects, err := subjectsOf(ctx, stream, filter)
	if err != nil {
		return nil, err
	}
	for subject := range subjects {
		m, err := e.b.lastMsg(ctx, e.b.names.WorkStream(), subject)
		if err != nil {
			return nil, err
		}
		if m != nil {
			list = append(list, stored{m.Sequence, len(m.Data)})
		}
	}
	slices.SortFunc(list, func(a, b stored) int { return cmp.Compare(a.sequence, b.sequence) })
	return list, nil
}

// jobMessages erases the job's message and its copies: a job that was published
// again lies in the stream once more, under its own sequence.
func (e *eraser) jobMessages(ctx context.Context) error {
	if e.rec == nil {
		return nil // it went before the state did
	}
	stream, err := e.js.Stream(ctx, e.b.names.JobsStream())
	if err != nil {
		return err
	}
	first, err := stream.GetMsg(ctx, e.rec.Seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		first, err = nil, nil
	}
	if err != nil {
		return err
	}
	copies, err := e.copies(ctx, stream, first)
	if err != nil {
		return err
	}
	if first != nil {
		copies = append(copies, e.rec.Seq)
	}
	for _, sequence := range copies {
		if err := overwrite(ctx, stream, sequence); err != nil {
			return err
		}
		if _, err := stream.GetMsg(ctx, sequence); !errors.Is(err, jetstream.ErrMsgNotFound) {
			return errors.Join(fmt.Errorf("%w: message %d of stream %s; remove it again", ErrNotErased, sequence, e.b.names.JobsStream()), err)
		}
	}
	e.removed.Jobs += len(copies)
	e.removed.Messages += len(copies)
	return nil
}

// copies finds the further messages of the job. The same content has the same
// length, so that only few of the other jobs' messages are read; what names an
// object is short and read in any case, since the name differs from copy to copy.
func (e *eraser) copies(ctx context.Context, stream jetstream.Stream, first *jetstream.RawStreamMsg) (list []uint64, err error) {
	const short = 64 << 10
	maybe := []uint64{}
	t := e.b.newTail(e.b.names.JobsStream(), e.b.names.Jobs(e.queue), 0, true)
	err = t.history(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		size, _ := strconv.Atoi(m.Headers().Get(msgSizeHeader))
		same := first == nil || size == len(first.Data)
		if meta.Sequence.Stream != e.rec.Seq && (same && e.rec.Input == "" || e.rec.Input != "" && size <= short) {
			maybe = append(maybe, meta.Sequence.Stream)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, sequence := range maybe {
		m, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if e.rec.Input == "" && hashOf(m.Data) != e.rec.Hash {
			continue // another content under the same id is another job, with an id of its own
		}
		_, want, _ := e.b.readJob(e.queue, &pull.Delivery{Msg: rawMsg(m), Sequence: sequence, Published: m.Time})
		if want.ID == e.id && (want.Input != "" || e.rec.Input == "") {
			list = append(list, sequence)
		}
	}
	return list, nil
}

// objects erases the job's input, or every body that was stored for it.
func (e *eraser) objects(ctx context.Context, bucket string) error {
	list, err := e.objectsIn(ctx, bucket)
	if err != nil {
		return err
	}
	for meta, name := range list {
		if err := e.object(ctx, bucket, meta, name); err != nil {
			return err
		}
	}
	return nil
}

func (e *eraser) object(ctx context.Context, bucket, meta, name string) error {
	stream := objectStream(bucket)
	m, err := e.b.lastMsg(ctx, stream, meta)
	if m == nil || err != nil {
		return err
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil || info.NUID == "" {
		return fmt.Errorf("object %s in bucket %s: its description is damaged: %w", name, bucket, err)
	}
	// The pieces first: without the description nobody finds them again.
	if _, err := e.erase(ctx, stream, "$O."+bucket+".C."+info.NUID); err != nil {
		return err
	}
	if _, err := e.erase(ctx, stream, meta); err != nil {
		return err
	}
	e.removed.Objects++
	return nil
}

// dropCopy erases a copy of a job's input that came with the same job again:
// nothing refers to it, so that no removal would find it later. What a failure
// leaves behind ages out.
func (b *Broker) dropCopy(ctx context.Context, name string) {
	if name == "" {
		return
	}
	e := &eraser{b: b, most: overwriteMost}
	bucket := b.names.InputBucket()
	meta := "$O." + bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
	if err := e.with(ctx, func(ctx context.Context) error { return e.object(ctx, bucket, meta, name) }); err != nil {
		b.set.Log.Debug().Err(err).Str("object", name).Msg("could not erase the copy of an input")
	}
}

// objectsIn finds the job's objects by their names, deleted ones included: a
// deleted object leaves its name behind. It returns the names by the subjects of
// their descriptions.
func (e *eraser) objectsIn(ctx context.Context, bucket string) (map[string]string, error) {
	stream, err := e.js.Stream(ctx, objectStream(bucket))
	if err != nil {
		return nil, err
	}
	prefix := "$O." + bucket + ".M."
	subjects, err := subjectsOf(ctx, stream, prefix+">")
	if err != nil {
		return nil, err
	}
	own := e.b.names.StateKey(e.queue, e.id) + "."
	found := map[string]string{}
	for subject := range subjects {
		name, err := base64.URLEncoding.DecodeString(strings.TrimPrefix(subject, prefix))
		if err != nil {
			continue // not made by an object store
		}
		if text := string(name); strings.HasPrefix(text, own) || e.rec != nil && e.rec.Input != "" && text == e.rec.Input {
			found[subject] = text
		}
	}
	return found, nil
}

func objectStream(bucket string) string { return "OBJ_" + bucket }

// state takes the job's record away without the marker that a deletion by key
// leaves behind. A key-value bucket lets nobody overwrite its messages.
func (e *eraser) state(ctx context.Context) error {
	bucket := e.b.names.StateBucket()
	stream, err := e.js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return err
	}
	subject := "$KV." + bucket + "." + e.b.names.StateKey(e.queue, e.id)
	there, err := subjectsOf(ctx, stream, subject)
	if err != nil || len(there) == 0 {
		return err
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return err
	}
	e.removed.States++
	e.removed.Messages++
	return nil
}
