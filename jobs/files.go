package jobs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// File is a file that was uploaded to become the input of jobs. It lies in the
// object store of inputs, under a name that no job's input has, and is kept as
// long as those. A job that is made of it gets a copy: the file can be removed
// at any time, and ages out by itself.
type File struct {
	ID        string // begins with "file-"
	Name      string // the uploader's
	Purpose   string
	Owner     string // whose it is; empty: nobody's in particular
	Queue     string // of its owner
	Bytes     int64
	Lines     int // ends of lines, and what is behind the last
	CreatedAt time.Time
	ExpiresAt time.Time // not later than the store lets it go

	object *jetstream.ObjectInfo
}

// filePrefix begins the names of files in the store, and fileID their ids and
// the names of their pieces. A colon is in no queue's name, and so begins no
// job's input.
const (
	fileObject = "file:"
	fileID     = "file-"
)

// NewFileID returns an id for a file.
func NewFileID() string { return fileID + nuid.Next() }

// Keeps returns how long the broker keeps a file or an input.
func (b *Broker) Keeps() time.Duration { return 2 * b.set.maxAge() }

// LongestDeadline returns how long after its publish a job can at most end.
func (b *Broker) LongestDeadline() time.Duration { return b.set.longestDeadline() }

// PutFile streams r into the store. meta is called once r has been read and
// gives the file's name, purpose, owner, queue and expiry; a zero ExpiresAt is the
// latest there can be. Until PutFile returns, nobody sees the file; on an error
// there is none. Memory does not grow with it.
func (b *Broker) PutFile(ctx context.Context, r io.Reader, meta func() (File, error)) (*File, error) {
	if b.nearlyFull(ctx) {
		return nil, ErrStoreFull
	}
	id := NewFileID()
	now := time.Now().UTC().Truncate(time.Second)
	lines := &lineCounter{r: r}
	info, err := b.putObjectAs(ctx, b.names.InputBucket(), fileObject+id, id, lines, func() (map[string]string, error) {
		f, err := meta()
		if err != nil {
			return nil, err
		}
		if latest := now.Add(b.Keeps()); f.ExpiresAt.IsZero() || f.ExpiresAt.After(latest) {
			f.ExpiresAt = latest
		}
		f.CreatedAt, f.Lines = now, lines.lines()
		return f.describe(), nil
	})
	if err != nil {
		return nil, err
	}
	return fileOf(info), nil
}

func (f *File) describe() map[string]string {
	return map[string]string{
		"filename": f.Name, "purpose": f.Purpose, "owner": f.Owner, "queue": f.Queue, "lines": strconv.Itoa(f.Lines),
		"created_at": strconv.FormatInt(f.CreatedAt.Unix(), 10), "expires_at": strconv.FormatInt(f.ExpiresAt.Unix(), 10),
	}
}

// fileOf reads an object's description, nil when it is no file or has expired.
func fileOf(info *jetstream.ObjectInfo) *File {
	if info == nil {
		return nil
	}
	id, ok := strings.CutPrefix(info.Name, fileObject)
	if !ok || !strings.HasPrefix(id, fileID) {
		return nil
	}
	m := info.Metadata
	unix := func(key string) time.Time {
		n, _ := strconv.ParseInt(m[key], 10, 64)
		return time.Unix(n, 0).UTC()
	}
	lines, _ := strconv.Atoi(m["lines"])
	return &File{
		ID: id, Name: m["filename"], Purpose: m["purpose"], Owner: m["owner"], Queue: m["queue"], Lines: lines,
		Bytes: int64(info.Size), CreatedAt: unix("created_at"), ExpiresAt: unix("expires_at"), object: info,
	}
}

func (f *File) expired(now time.Time) bool { return !f.ExpiresAt.After(now) }

// File returns a file, or [ErrNotFound].
func (b *Broker) File(ctx context.Context, id string) (*File, error) {
	if !jobName(id) {
		return nil, fmt.Errorf("file %q: %w", id, ErrNotFound)
	}
	info, err := b.objectInfo(ctx, b.names.InputBucket(), fileObject+id)
	if err != nil {
		return nil, err
	}
	f := fileOf(info)
	if f == nil || f.expired(time.Now()) {
		return nil, fmt.Errorf("file %s: %w", id, ErrNotFound)
	}
	return f, nil
}

// Files returns all files, newest first.
func (b *Broker) Files(ctx context.Context) ([]File, error) {
	var list []File
	now := time.Now()
	err := b.eachObject(ctx, b.names.InputBucket(), func(info *jetstream.ObjectInfo) error {
		if f := fileOf(info); f != nil && !f.expired(now) {
			list = append(list, *f)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b File) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return list, err
}

// OpenFile reads a file from a place on. Its errors are those of the store, and
// [ErrAgedOut] when the file goes meanwhile. The context is that of the reads.
func (b *Broker) OpenFile(ctx context.Context, f *File, from int64) io.ReadCloser {
	return b.openObject(ctx, f.object, uint64(max(0, from)))
}

// RemoveFile erases a file: it is overwritten on the disk, as far as it shares
// files there with others'. Jobs that were made of it keep their copy. Nobody sees
// the file from the first step on: [Broker.SweepFiles] ends what was cut short.
func (b *Broker) RemoveFile(ctx context.Context, f *File) error {
	if err := b.hideFile(ctx, f); err != nil {
		return fmt.Errorf("remove file %s: %w", f.ID, err)
	}
	bucket := b.names.InputBucket()
	e := &eraser{b: b, most: overwriteMost}
	err := e.with(ctx, func(ctx context.Context) error {
		return e.object(ctx, bucket, metaSubject(bucket, f.object.Name), f.object.Name)
	})
	if err != nil {
		return fmt.Errorf("remove file %s: %w", f.ID, err)
	}
	return nil
}

// hideFile lets a file expire now.
func (b *Broker) hideFile(ctx context.Context, f *File) error {
	hidden := *f.object
	hidden.Metadata = maps.Clone(f.object.Metadata)
	hidden.Metadata["expires_at"] = "1"
	return b.explain(b.putDescription(ctx, &hidden))
}

// unfinishedAfter is how long no piece of an upload has come when the process
// that took it counts as dead. None waits that long for its client.
const unfinishedAfter = 15 * time.Minute

// SweepFiles removes files that have expired, and the pieces of uploads that
// were never finished, because the process that took them died. It returns how
// many there were of both. Without it they age out.
func (b *Broker) SweepFiles(ctx context.Context) (int, error) {
	return b.sweepFiles(ctx, time.Now(), unfinishedAfter)
}

func (b *Broker) sweepFiles(ctx context.Context, now time.Time, idle time.Duration) (int, error) {
	bucket := b.names.InputBucket()
	stream, prefix := objectStream(bucket), "$O."+bucket+".C."
	info, err := b.subjects(ctx, stream, prefix+"*")
	if err != nil {
		return 0, err
	}
	known := map[string]bool{} // read after the pieces were listed: what is finished meanwhile is among them
	var old []*File
	err = b.eachObject(ctx, bucket, func(o *jetstream.ObjectInfo) error {
		known[o.NUID] = true
		if f := fileOf(o); f != nil && f.expired(now) {
			old = append(old, f)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range old {
		if err := b.RemoveFile(ctx, f); err != nil {
			return n, err
		}
		n++
	}
	for subject := range info.State.Subjects {
		id := strings.TrimPrefix(subject, prefix)
		if known[id] || !strings.HasPrefix(id, fileID) {
			continue
		}
		dead, err := b.idleSince(ctx, stream, subject, now.Add(-idle))
		if err == nil && dead {
			err = b.purge(ctx, stream, subject)
			n++
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// idleSince reports whether the last message of a subject is older than t.
func (b *Broker) idleSince(ctx context.Context, stream, subject string, t time.Time) (idle bool, err error) {
	err = b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		m, err := s.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		idle = err == nil && m.Time.Before(t)
		return err
	})
	return idle, err
}

// lineCounter counts the lines of what is read through it.
type lineCounter struct {
	r    io.Reader
	n    int
	open bool // behind the last end of a line there is something
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		c.open = i < 0
		if i < 0 {
			break
		}
		c.n++
		rest = rest[i+1:]
	}
	return n, err
}

func (c *lineCounter) lines() int {
	if c.open {
		return c.n + 1
	}
	return c.n
}
