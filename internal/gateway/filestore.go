package gateway

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
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

// FileStore keeps files in the object store of inputs. It is safe for concurrent
// use.
type FileStore struct{ st *store.Store }

// NewFileStore returns the files in a store.
func NewFileStore(st *store.Store) *FileStore { return &FileStore{st} }

// NewFileID returns an id for a file.
func NewFileID() string { return fileID + nuid.Next() }

// Put streams r into the store. meta is called once r has been read and
// gives the file's name, purpose, owner, queue and expiry; a zero ExpiresAt is the
// latest there can be. Until Put returns, nobody sees the file; on an error
// there is none. Memory does not grow with it.
func (s *FileStore) Put(ctx context.Context, r io.Reader, meta func() (File, error)) (*File, error) {
	if s.st.Full(ctx) {
		return nil, jobs.ErrStoreFull
	}
	id := NewFileID()
	now := time.Now().UTC().Truncate(time.Second)
	lines := &lineCounter{r: r}
	info, err := s.st.Objects.PutAs(ctx, s.st.Names.InputBucket(), fileObject+id, id, lines, func() (map[string]string, error) {
		f, err := meta()
		if err != nil {
			return nil, err
		}
		if latest := now.Add(s.st.Keeps()); f.ExpiresAt.IsZero() || f.ExpiresAt.After(latest) {
			f.ExpiresAt = latest
		}
		f.CreatedAt, f.Lines = now, lines.lines()
		return f.describe(), nil
	})
	if err != nil {
		return nil, err
	}
	return storedFile(info), nil
}

func (f *File) describe() map[string]string {
	return map[string]string{
		"filename": f.Name, "purpose": f.Purpose, "owner": f.Owner, "queue": f.Queue, "lines": strconv.Itoa(f.Lines),
		"created_at": strconv.FormatInt(f.CreatedAt.Unix(), 10), "expires_at": strconv.FormatInt(f.ExpiresAt.Unix(), 10),
	}
}

// storedFile reads an object's description, nil when it is no file or has expired.
func storedFile(info *jetstream.ObjectInfo) *File {
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

// Get returns a file, or [jobs.ErrNotFound].
func (s *FileStore) Get(ctx context.Context, id string) (*File, error) {
	if !schema.ValidQueue(id) {
		return nil, fmt.Errorf("file %q: %w", id, jobs.ErrNotFound)
	}
	info, err := s.st.Objects.Info(ctx, s.st.Names.InputBucket(), fileObject+id)
	if err != nil {
		return nil, err
	}
	f := storedFile(info)
	if f == nil || f.expired(time.Now()) {
		return nil, fmt.Errorf("file %s: %w", id, jobs.ErrNotFound)
	}
	return f, nil
}

// List returns all files, newest first.
func (s *FileStore) List(ctx context.Context) ([]File, error) {
	var list []File
	now := time.Now()
	err := s.st.Objects.Each(ctx, s.st.Names.InputBucket(), func(info *jetstream.ObjectInfo) error {
		if f := storedFile(info); f != nil && !f.expired(now) {
			list = append(list, *f)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b File) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return list, err
}

// Open reads a file from a place on. Its errors are those of the store, and
// [jobs.ErrAgedOut] when the file goes meanwhile. The context is that of the reads.
func (s *FileStore) Open(ctx context.Context, f *File, from int64) io.ReadCloser {
	return s.st.Objects.Open(ctx, f.object, uint64(max(0, from)))
}

// Remove erases a file: it is overwritten on the disk, as far as it shares
// files there with others'. Jobs that were made of it keep their copy. Nobody sees
// the file from the first step on: [FileStore.Sweep] ends what was cut short.
func (s *FileStore) Remove(ctx context.Context, f *File) error {
	if err := s.hide(ctx, f); err != nil {
		return fmt.Errorf("remove file %s: %w", f.ID, err)
	}
	if err := s.st.EraseObject(ctx, s.st.Names.InputBucket(), f.object.Name); err != nil {
		return fmt.Errorf("remove file %s: %w", f.ID, err)
	}
	return nil
}

// hide lets a file expire now.
func (s *FileStore) hide(ctx context.Context, f *File) error {
	hidden := *f.object
	hidden.Metadata = maps.Clone(f.object.Metadata)
	hidden.Metadata["expires_at"] = "1"
	return store.Explain(s.st.Objects.Describe(ctx, &hidden))
}

// unfinishedAfter is how long no piece of an upload has come when the process
// that took it counts as dead. None waits that long for its client.
const unfinishedAfter = 15 * time.Minute

// Sweep removes files that have expired, and the pieces of uploads that
// were never finished, because the process that took them died. It returns how
// many there were of both. Without it they age out.
func (s *FileStore) Sweep(ctx context.Context) (int, error) {
	return s.sweep(ctx, time.Now(), unfinishedAfter)
}

func (s *FileStore) sweep(ctx context.Context, now time.Time, idle time.Duration) (int, error) {
	bucket := s.st.Names.InputBucket()
	pieces, err := s.st.Objects.Pieces(ctx, bucket)
	if err != nil {
		return 0, err
	}
	known := map[string]bool{} // read after the pieces were listed: what is finished meanwhile is among them
	var old []*File
	err = s.st.Objects.Each(ctx, bucket, func(o *jetstream.ObjectInfo) error {
		known[o.NUID] = true
		if f := storedFile(o); f != nil && f.expired(now) {
			old = append(old, f)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range old {
		if err := s.Remove(ctx, f); err != nil {
			return n, err
		}
		n++
	}
	for _, id := range pieces {
		if known[id] || !strings.HasPrefix(id, fileID) {
			continue
		}
		dropped, err := s.st.Objects.DropIdle(ctx, bucket, id, now.Add(-idle))
		if err != nil {
			return n, err
		}
		if dropped {
			n++
		}
	}
	return n, nil
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
