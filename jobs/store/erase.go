package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pelton/internal/retry"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
)

// Removed counts what [Store.Erase] erased.
type Removed struct {
	Jobs     int `json:"jobs"`     // the job's message, and every copy of it that was published again
	Work     int `json:"work"`     // requests that were left in the work stream
	Parked   int `json:"parked"`   // requests that were left waiting
	Results  int `json:"results"`  // results, and the end
	Cancels  int `json:"cancels"`  // cancel markers
	Objects  int `json:"objects"`  // inputs, and bodies above the message limit
	States   int `json:"states"`   // the state record
	Messages int `json:"messages"` // all of these; an object is several

	// Unlinked are those of Messages that were not overwritten, since they were
	// too many, and may share a file with others': see [OverwriteEverything].
	Unlinked int `json:"unlinked"`
}

// How many messages of one stream an erasure overwrites at most. Each makes the
// server write a file of up to 8 MiB anew. Where more would have to be, none is.
const (
	OverwriteMost       = 2000
	OverwriteEverything = jet.OverwriteEverything
)

// Erase takes everything that lies in the broker of a job that has ended away, and
// then looks whether anything is left, which is [ErrNotErased]. rec is the job's
// record; nil: only remains are looked for. overwrite bounds the messages of one
// stream that are overwritten on the disk: [OverwriteMost], say. The record goes
// last, so that an erasure that was cut short can be repeated; it returns what it
// did also with an error.
func (s *Store) Erase(ctx context.Context, job JobKey, rec *Record, overwrite int) (Removed, error) {
	e := &eraser{st: s, Eraser: jet.NewEraser(s.c, overwrite), queue: job.Queue, id: job.ID, rec: rec}
	if rec != nil {
		if err := e.awaitEnd(ctx); err != nil {
			return e.removed, err
		}
	}
	err := e.With(ctx, e.eraseAll)
	e.removed.Messages += e.Messages
	e.removed.Unlinked = e.Unlinked
	return e.removed, err
}

// EraseResults takes the results of a job that has ended away, with the bodies that
// were too large for a message: its state and its input stay. It can be repeated.
func (s *Store) EraseResults(ctx context.Context, job JobKey) (Removed, error) {
	e := &eraser{st: s, Eraser: jet.NewEraser(s.c, OverwriteMost), queue: job.Queue, id: job.ID}
	err := e.With(ctx, func(ctx context.Context) error {
		n, err := e.Erase(ctx, s.c.Names.ResultsStream(), s.c.Names.ResultsOf(job.Queue, job.ID))
		e.removed.Results += n
		if err != nil {
			return err
		}
		return e.objects(ctx, s.c.Names.BodiesBucket())
	})
	e.removed.Messages, e.removed.Unlinked = e.Messages, e.Unlinked
	return e.removed, err
}

// EraseObject overwrites an object on the disk and takes it away, as far as it
// shares files there with others'. An object that is not there is none.
func (s *Store) EraseObject(ctx context.Context, bucket, name string) error {
	e := &eraser{st: s, Eraser: jet.NewEraser(s.c, OverwriteMost)}
	return e.With(ctx, func(ctx context.Context) error { return e.object(ctx, bucket, jet.MetaSubject(bucket, name), name) })
}

// EraseCopy erases a copy of a job's input that came with the same job again:
// nothing refers to it, so that no removal would find it later. What a failure
// leaves behind ages out. An empty name is none.
func (s *Store) EraseCopy(ctx context.Context, name string) {
	if name == "" {
		return
	}
	if err := s.EraseObject(ctx, s.c.Names.InputBucket(), name); err != nil {
		s.c.Log.Debug().Err(err).Str("object", name).Msg("could not erase the copy of an input")
	}
}

// eraser takes everything that lies in the broker of one job away.
type eraser struct {
	*jet.Eraser
	st        *Store
	queue, id string
	rec       *Record // nil: only remains are looked for
	removed   Removed
}

// The end is published right after the final state; an owner that died between
// the two is followed by another one after AckWait.
const (
	endComesWithin = 2 * AckWait
	endIsThere     = time.Minute // after this time it was published, and may have gone already
)

// awaitEnd waits for the last message of the job, so that none comes behind its
// removal.
func (e *eraser) awaitEnd(ctx context.Context) error {
	if e.rec.FinishedAt == nil || time.Since(*e.rec.FinishedAt) > endIsThere {
		return nil
	}
	err := retry.Do(ctx, retry.Policy{
		Pause: 50 * time.Millisecond, For: endComesWithin,
		Again: func(_ context.Context, err error) bool { return errors.Is(err, errNoEnd) },
	}, func(ctx context.Context) error {
		if ended, err := e.st.Results.Ended(ctx, e.queue, e.id); ended || err != nil {
			return err
		}
		return errNoEnd
	})
	if errors.Is(err, errNoEnd) && ctx.Err() == nil {
		return nil // nobody is at work on it: an earlier removal took it, say
	}
	return err
}

var errNoEnd = errors.New("the job's end is not there")

// location is where messages of a job lie.
type location struct {
	stream, subject string
	count           *int
}

// places are the streams in which every message of the job has a subject that
// says so. The job's own message, its objects and its state are not among them.
func (e *eraser) places() []location {
	n, r := e.st.c.Names, &e.removed
	return []location{
		{n.WorkStream(), n.WorkOf(e.queue, e.id), &r.Work},
		{n.ParkedStream(), n.ParkedOf(e.queue, e.id), &r.Parked},
		{n.CancelsStream(), n.Cancel(e.queue, e.id), &r.Cancels},
		{n.ResultsStream(), n.ResultsOf(e.queue, e.id), &r.Results},
	}
}

func (e *eraser) eraseAll(ctx context.Context) error {
	for _, p := range e.places() {
		n, err := e.Erase(ctx, p.stream, p.subject)
		*p.count += n
		if err != nil {
			return err
		}
	}
	if err := e.jobMessages(ctx); err != nil {
		return err
	}
	for _, bucket := range []string{e.st.c.Names.BodiesBucket(), e.st.c.Names.InputBucket()} {
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
	rec, err := e.st.Records.Load(ctx, e.queue, e.id)
	if err == nil && rec != nil {
		err = fmt.Errorf("%w: its state in bucket %s; remove it again", ErrNotErased, e.st.c.Names.StateBucket())
	}
	return err
}

// verify fails unless nothing is left but the state, which stays as long as
// something else does.
func (e *eraser) verify(ctx context.Context) error {
	for _, p := range e.places() {
		stream, err := e.JS.Stream(ctx, p.stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if left, err := jet.SubjectsOf(ctx, stream, p.subject); err != nil {
			return err
		} else if len(left) > 0 {
			return fmt.Errorf("%w: %d messages on %s in stream %s; remove it again", ErrNotErased, len(left), p.subject, p.stream)
		}
	}
	for _, bucket := range []string{e.st.c.Names.BodiesBucket(), e.st.c.Names.InputBucket()} {
		if left, err := e.objectsIn(ctx, bucket); err != nil {
			return err
		} else if len(left) > 0 {
			return fmt.Errorf("%w: %d objects in bucket %s; remove it again", ErrNotErased, len(left), bucket)
		}
	}
	return nil
}

// jobMessages erases the job's message and its copies: a job that was published
// again lies in the stream once more, under its own sequence.
func (e *eraser) jobMessages(ctx context.Context) error {
	if e.rec == nil {
		return nil // it went before the state did
	}
	stream, err := e.JS.Stream(ctx, e.st.c.Names.JobsStream())
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
		if err := jet.Overwrite(ctx, stream, sequence); err != nil {
			return err
		}
		if _, err := stream.GetMsg(ctx, sequence); !errors.Is(err, jetstream.ErrMsgNotFound) {
			return errors.Join(fmt.Errorf("%w: message %d of stream %s; remove it again", ErrNotErased, sequence, e.st.c.Names.JobsStream()), err)
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
	t := e.st.c.NewReader(e.st.c.Names.JobsStream(), e.st.c.Names.Jobs(e.queue), 0, true)
	err = t.ReadStored(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		size, _ := strconv.Atoi(m.Headers().Get(jet.SizeHeader))
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
		if e.rec.Input == "" && HashOf(m.Data) != e.rec.Hash {
			continue // another content under the same id is another job, with an id of its own
		}
		_, want, _ := e.st.Jobs.Parse(jobMessage(e.queue, m))
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
	stream := jet.ObjectStream(bucket)
	m, err := e.st.c.LastMsg(ctx, stream, meta)
	if m == nil || err != nil {
		return err
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil || info.NUID == "" {
		return fmt.Errorf("object %s in bucket %s: its description is damaged: %w", name, bucket, err)
	}
	// The pieces first: without the description nobody finds them again.
	if _, err := e.Erase(ctx, stream, "$O."+bucket+".C."+info.NUID); err != nil {
		return err
	}
	if _, err := e.Erase(ctx, stream, meta); err != nil {
		return err
	}
	e.removed.Objects++
	return nil
}

// objectsIn finds the job's objects by their names, deleted ones included: a
// deleted object leaves its name behind. It returns the names by the subjects of
// their descriptions.
func (e *eraser) objectsIn(ctx context.Context, bucket string) (map[string]string, error) {
	stream, err := e.JS.Stream(ctx, jet.ObjectStream(bucket))
	if err != nil {
		return nil, err
	}
	prefix := "$O." + bucket + ".M."
	subjects, err := jet.SubjectsOf(ctx, stream, prefix+">")
	if err != nil {
		return nil, err
	}
	own := e.st.c.Names.StateKey(e.queue, e.id) + "."
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

// state takes the job's record away without the marker that a deletion by key
// leaves behind. A key-value bucket lets nobody overwrite its messages.
func (e *eraser) state(ctx context.Context) error {
	bucket := e.st.c.Names.StateBucket()
	stream, err := e.JS.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return err
	}
	subject := "$KV." + bucket + "." + e.st.c.Names.StateKey(e.queue, e.id)
	there, err := jet.SubjectsOf(ctx, stream, subject)
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
