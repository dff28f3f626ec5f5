package jet

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Objects are written and read here rather than by the client library for three
// reasons. A writer holds a few pieces, however fast its source is and however
// slow the broker. The description of an object, by which it exists, is written
// when all of its pieces are acknowledged and not with them. And a reader can
// begin in the middle, and is sent no more than it takes. What lies in the store
// is the same: the nats CLI reads it.

const (
	objectPiece  = 256 << 10
	objectAhead  = 8       // pieces on their way to the store
	marksEvery   = 64      // pieces from one mark to the next
	marksKey     = "marks" // in the description: where every marksEvery-th piece lies in the stream
	digestPrefix = "SHA-256="
)

// dropTime bounds the clearing up after a writer that failed.
const dropTime = 10 * time.Second

// Objects are the inputs of jobs, files, and bodies above the message limit.
type Objects struct{ c *Conn }

// NewObjects keeps objects over a connection. It does not talk to the server.
func NewObjects(c *Conn) *Objects { return &Objects{c} }

// ObjectStream is the name of the stream that holds a bucket's objects.
func ObjectStream(bucket string) string { return "OBJ_" + bucket }

// WithBucket gives an object store to f.
func (s *Objects) WithBucket(ctx context.Context, bucket string, f func(context.Context, jetstream.ObjectStore) error) error {
	return s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		store, err := js.ObjectStore(ctx, bucket)
		if err != nil {
			return err
		}
		return f(ctx, store)
	}, "$O."+bucket+".>")
}

// Put streams r into a new object. On an error nothing is left but what a
// broker that is away keeps: nobody sees it, and it ages out.
func (s *Objects) Put(ctx context.Context, bucket, name string, r io.Reader) (*jetstream.ObjectInfo, error) {
	return s.PutAs(ctx, bucket, name, nuid.Next(), r, nil)
}

// PutAs is [Objects.Put] with the name that the pieces go by. meta is asked
// for what the description is to say once r has been read.
func (s *Objects) PutAs(ctx context.Context, bucket, name, id string, r io.Reader, meta func() (map[string]string, error)) (*jetstream.ObjectInfo, error) {
	w := &objectWriter{objects: s, bucket: bucket, id: id, sum: sha256.New()}
	info, err := w.write(ctx, name, r, meta)
	if err != nil && !errors.Is(err, ErrDenied) { // what may not be written is not there
		w.drop(ctx, name)
	}
	return info, err
}

type objectWriter struct {
	objects    *Objects
	bucket, id string
	sum        interface {
		io.Writer
		Sum(b []byte) []byte
	}
	size    uint64
	pieces  uint32
	onWay   []jetstream.PubAckFuture
	marks   []string
	waited  uint32 // pieces acknowledged
	describ bool   // the description was sent
}

func (w *objectWriter) pieceSubject() string { return piecesSubject(w.bucket, w.id) }

// MetaSubject is the subject of an object's description.
func MetaSubject(bucket, name string) string {
	return "$O." + bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

func (w *objectWriter) write(ctx context.Context, name string, r io.Reader, meta func() (map[string]string, error)) (*jetstream.ObjectInfo, error) {
	size := min(objectPiece, w.objects.c.MaxPayload()/2)
	call, guard := w.objects.c.watch.Guard(ctx, "$O."+w.bucket+".>")
	defer guard.End()
	err := w.send(call, r, size)
	for err == nil && len(w.onWay) > 0 {
		err = w.await(call)
	}
	if err != nil {
		return nil, Explain(guard.Or(err))
	}
	info := &jetstream.ObjectInfo{
		Bucket: w.bucket, NUID: w.id, Size: w.size, Chunks: w.pieces, ModTime: time.Now().UTC(),
		Digest: digestPrefix + base64.URLEncoding.EncodeToString(w.sum.Sum(nil)),
		ObjectMeta: jetstream.ObjectMeta{
			Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: uint32(size)},
		},
	}
	if meta != nil {
		if info.Metadata, err = meta(); err != nil {
			return nil, err
		}
	}
	if len(w.marks) > 1 {
		if info.Metadata == nil {
			info.Metadata = map[string]string{}
		}
		info.Metadata[marksKey] = strings.Join(w.marks, ",")
	}
	w.describ = true
	if err := w.objects.Describe(call, info); err != nil {
		return nil, Explain(guard.Or(err))
	}
	return info, nil
}

// Describe makes an object known, or known as something else.
func (s *Objects) Describe(ctx context.Context, info *jetstream.ObjectInfo) error {
	data, err := json.Marshal(info)
	if err != nil {
		return err
	}
	m := nats.NewMsg(MetaSubject(info.Bucket, info.Name))
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Data = data
	_, err = s.c.Publish(ctx, m)
	return err
}

// send publishes the pieces of r. A piece's bytes stay as they are until it is
// acknowledged: the library may have to send it again.
func (w *objectWriter) send(ctx context.Context, r io.Reader, size int) error {
	buffers := make([][]byte, objectAhead+1)
	for i := 0; ; i++ {
		at := i % len(buffers)
		if buffers[at] == nil {
			buffers[at] = make([]byte, size)
		}
		n, last, err := pieceOf(r, buffers[at])
		if err != nil {
			return err
		}
		if n > 0 {
			piece := buffers[at][:n]
			_, _ = w.sum.Write(piece) // a hash does not fail
			w.size += uint64(n)
			w.pieces++
			m := nats.NewMsg(w.pieceSubject())
			m.Data = piece
			future, err := w.objects.c.js.PublishMsgAsync(m)
			if err != nil {
				return err
			}
			w.onWay = append(w.onWay, future)
		}
		if last {
			return nil
		}
		if len(w.onWay) > objectAhead-1 {
			if err := w.await(ctx); err != nil {
				return err
			}
		}
	}
}

// pieceOf fills a piece, and reports whether it is the last. A reader's own
// [io.ErrUnexpectedEOF] is an error, which io.ReadFull would hide.
func pieceOf(r io.Reader, piece []byte) (n int, last bool, err error) {
	for n < len(piece) && err == nil {
		var more int
		more, err = r.Read(piece[n:])
		n += more
	}
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, false, err
}

// await waits for the acknowledgement of the oldest piece on its way.
func (w *objectWriter) await(ctx context.Context) error {
	future := w.onWay[0]
	select {
	case ack := <-future.Ok():
		w.onWay = w.onWay[1:]
		if w.waited%marksEvery == 0 {
			w.marks = append(w.marks, strconv.FormatUint(ack.Sequence, 10))
		}
		w.waited++
		return nil
	case err := <-future.Err():
		w.onWay = w.onWay[1:]
		return FullStore(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drop takes away what was written. The caller's context may have ended.
func (w *objectWriter) drop(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	for _, future := range w.onWay { // a piece that comes behind the purge would stay
		select {
		case <-future.Ok():
		case <-future.Err(): //nolint:errcheck // stored or not, it comes no more
		case <-ctx.Done():
		}
	}
	err := w.objects.c.Purge(ctx, ObjectStream(w.bucket), w.pieceSubject())
	if err == nil && w.describ { // it may have been stored all the same
		err = w.objects.c.Purge(ctx, ObjectStream(w.bucket), MetaSubject(w.bucket, name))
	}
	if err != nil {
		w.objects.c.Log.Debug().Err(err).Str("object", name).Msg("could not clear away what was written of an object")
	}
}

// Info returns the description of an object, nil when there is none. A
// link is followed.
func (s *Objects) Info(ctx context.Context, bucket, name string) (*jetstream.ObjectInfo, error) {
	for range 2 { // there are no links to links
		m, err := s.c.LastMsg(ctx, ObjectStream(bucket), MetaSubject(bucket, name))
		if m == nil || err != nil {
			return nil, err
		}
		info, err := describedBy(m.Data)
		if info == nil || err != nil || info.Opts == nil || info.Opts.Link == nil {
			return info, err
		}
		bucket, name = info.Opts.Link.Bucket, info.Opts.Link.Name
	}
	return nil, nil
}

func describedBy(data []byte) (*jetstream.ObjectInfo, error) {
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(data, &info); err != nil {
		return nil, fmt.Errorf("the description of an object is damaged: %w", err)
	}
	if info.Deleted {
		return nil, nil
	}
	return &info, nil
}

// objectReader reads an object from any place on. It is used by one goroutine.
type objectReader struct {
	ctx     context.Context
	objects *Objects
	info    *jetstream.ObjectInfo
	pieces  *Reader
	skip    uint64 // bytes that come before those that are asked for
	left    uint64
	rest    []byte
}

// Open reads info's object from a place on. Its end comes after left bytes,
// or with [ErrAgedOut] when the object goes meanwhile. The context is that of
// the reads.
func (s *Objects) Open(ctx context.Context, info *jetstream.ObjectInfo, from uint64) io.ReadCloser {
	r := &objectReader{ctx: ctx, objects: s, info: info, left: info.Size - min(from, info.Size), skip: from}
	after := uint64(0)
	if info.Opts != nil && info.Opts.ChunkSize > 0 && info.Metadata[marksKey] != "" {
		piece := info.Opts.ChunkSize
		marks := strings.Split(info.Metadata[marksKey], ",")
		at := int(min(from/uint64(piece)/marksEvery, uint64(len(marks)-1)))
		if sequence, err := strconv.ParseUint(marks[at], 10, 64); err == nil && sequence > 0 {
			after = sequence - 1
			r.skip = from - uint64(at)*marksEvery*uint64(piece)
		}
	}
	r.pieces = s.c.NewReader(ObjectStream(info.Bucket), piecesSubject(info.Bucket, info.NUID), after, false)
	return r
}

// goneAfter is how long a reader waits for the next piece before it looks
// whether the object is still there.
const goneAfter = 5 * time.Second

// Read implements io.Reader.
func (r *objectReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	for len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	r.left -= uint64(n)
	return n, nil
}

func (r *objectReader) next() error {
	ctx, cancel := context.WithTimeoutCause(r.ctx, goneAfter, errQuiet)
	defer cancel()
	m, _, err := r.pieces.Next(ctx)
	if errors.Is(err, errQuiet) && r.ctx.Err() == nil {
		return r.stillThere()
	}
	if err != nil {
		return err
	}
	data := m.Data()
	if skip := min(r.skip, uint64(len(data))); skip > 0 {
		r.skip -= skip
		data = data[skip:]
	}
	r.rest = data[:min(uint64(len(data)), r.left)]
	return nil
}

var errQuiet = errors.New("nothing came")

// stillThere fails when the object that is being read has gone.
func (r *objectReader) stillThere() error {
	ctx, cancel := context.WithTimeout(r.ctx, goneAfter)
	defer cancel()
	info, err := r.objects.Info(ctx, r.info.Bucket, r.info.Name)
	switch {
	case err != nil && r.ctx.Err() == nil && !isPermanent(err):
		return nil // the broker is away; the reader's own context bounds how long
	case err != nil:
		return err
	case info == nil || info.NUID != r.info.NUID:
		return fmt.Errorf("object %s: %w", r.info.Name, ErrAgedOut)
	}
	return nil
}

// Close ends the reading.
func (r *objectReader) Close() error {
	r.pieces.Close()
	return nil
}

// Each calls f with the description of every object in a bucket.
func (s *Objects) Each(ctx context.Context, bucket string, f func(*jetstream.ObjectInfo) error) error {
	r := s.c.NewReader(ObjectStream(bucket), "$O."+bucket+".M.*", 0, false)
	return r.ReadStored(ctx, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		info, err := describedBy(m.Data())
		if err != nil || info == nil {
			return nil //nolint:nilerr // what nobody can read is no object
		}
		info.ModTime = meta.Timestamp
		return f(info)
	})
}

func piecesSubject(bucket, id string) string { return "$O." + bucket + ".C." + id }

// Pieces lists the ids of the objects of which pieces are in a bucket, also those
// that were never finished.
func (s *Objects) Pieces(ctx context.Context, bucket string) (ids []string, err error) {
	info, err := s.c.Subjects(ctx, ObjectStream(bucket), piecesSubject(bucket, "*"))
	if err != nil {
		return nil, err
	}
	prefix := piecesSubject(bucket, "")
	for subject := range info.State.Subjects {
		ids = append(ids, strings.TrimPrefix(subject, prefix))
	}
	return ids, nil
}

// DropIdle removes the pieces of an object that was never finished if none has
// come since t, and reports whether it did.
func (s *Objects) DropIdle(ctx context.Context, bucket, id string, t time.Time) (dropped bool, err error) {
	stream, subject := ObjectStream(bucket), piecesSubject(bucket, id)
	idle := false
	err = s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		pieces, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		m, err := pieces.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		idle = err == nil && m.Time.Before(t)
		return err
	})
	if err != nil || !idle {
		return false, err
	}
	return true, s.c.Purge(ctx, stream, subject)
}
