package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
	"pelton/jobs"
	"pelton/jobs/store"
)

// noise is n bytes in which every place is told from every other.
func noise(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	return data
}

func put(t *testing.T, b *FileStore, r io.Reader) *File {
	t.Helper()
	f, err := b.Put(t.Context(), r, func() (File, error) {
		return File{Name: "in.jsonl", Purpose: "batch", Owner: "a", Queue: "default"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFileIsReadFromAnyPlace(t *testing.T) {
	t.Parallel()
	b := testFiles(t)
	data := noise(20<<20 + 17) // more than one mark
	f := put(t, b, iotest.HalfReader(bytes.NewReader(data)))
	if f.Bytes != int64(len(data)) || f.object.Metadata["marks"] == "" {
		t.Fatalf("%+v", f)
	}
	put(t, b, strings.NewReader("another between"))
	found, err := b.Get(t.Context(), f.ID)
	if err != nil || found.Name != "in.jsonl" || found.Lines != bytes.Count(data, []byte{'\n'})+1 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, from := range []int{0, 1, piece - 1, piece, 64 * piece, 64*piece + 5, len(data) - 1, len(data)} {
		r := b.Open(t.Context(), found, int64(from))
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[from:]) {
			t.Errorf("from %d: %d bytes, want %d, %v", from, len(got), len(data)-from, err)
		}
		_ = r.Close()
	}
	// The library reads what was written here.
	store, err := b.stream(t).ObjectStore(t.Context(), b.st.Names.InputBucket())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // else the library gives all of it 5 s
	defer cancel()
	got, err := store.GetBytes(ctx, fileObject+f.ID)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes by the library: %v", len(got), err)
	}
}

func TestFileIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	b := testFiles(t)
	broken := errors.New("the client has gone")
	named := func() (File, error) { return File{}, nil }
	for name, test := range map[string]struct {
		r    io.Reader
		meta func() (File, error)
	}{
		"the reader fails":      {io.MultiReader(bytes.NewReader(noise(1<<20)), iotest.ErrReader(broken)), named},
		"the reader breaks off": {io.MultiReader(bytes.NewReader(noise(1<<20)), iotest.ErrReader(io.ErrUnexpectedEOF)), named},
		"the description fails": {bytes.NewReader(noise(1 << 20)), func() (File, error) { return File{}, broken }},
	} {
		if _, err := b.Put(t.Context(), test.r, test.meta); !errors.Is(err, broken) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.Put(ctx, io.MultiReader(bytes.NewReader(noise(1<<20)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, ctx.Err()
	})), named)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	bucket := b.st.Names.InputBucket()
	stream, err := b.stream(t).Stream(t.Context(), "OBJ_"+bucket)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("$O.>"))
	if err != nil || len(info.State.Subjects) > 0 {
		t.Errorf("left behind: %v, %v", info.State.Subjects, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestFileGoesWhileItIsRead(t *testing.T) {
	t.Parallel()
	b := testFiles(t)
	f := put(t, b, bytes.NewReader(noise(24<<20)))
	r := b.Open(t.Context(), f, 0)
	defer func() { _ = r.Close() }()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, jobs.ErrAgedOut) {
		t.Error(err)
	}
	if _, err := b.Get(t.Context(), f.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Error(err)
	}
}

func TestFilesAreListedAndSwept(t *testing.T) {
	t.Parallel()
	b := testFiles(t)
	first, second := put(t, b, strings.NewReader("a\n")), put(t, b, strings.NewReader("a\nb"))
	if first.Lines != 1 || second.Lines != 2 {
		t.Error(first.Lines, second.Lines)
	}
	// A job's input is no file, and neither are the pieces of an upload that broke off.
	if _, err := b.st.Objects.Put(t.Context(), b.st.Names.InputBucket(), "default.job.x", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"file-dead", "unfinishedInputOfAnother"} {
		if _, err := b.stream(t).Publish(t.Context(), "$O."+b.st.Names.InputBucket()+".C."+id, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	sweep := func(at time.Time, want int) {
		t.Helper()
		if n, err := b.sweep(t.Context(), at, unfinishedAfter); n != want || err != nil {
			t.Errorf("%d swept, want %d: %v", n, want, err)
		}
	}
	sweep(time.Now(), 0)
	sweep(time.Now().Add(unfinishedAfter+time.Minute), 1)
	sweep(time.Now().Add(b.st.Keeps()+time.Minute), 2)
	// A removal that was cut short after its first step.
	third := put(t, b, strings.NewReader("c"))
	if err := b.hide(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), third.ID); !errors.Is(err, jobs.ErrNotFound) {
		t.Error("a removed file is there:", err)
	}
	sweep(time.Now(), 1)
	store, err := b.stream(t).ObjectStore(t.Context(), b.st.Names.InputBucket())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.GetInfo(t.Context(), "default.job.x"); err != nil {
		t.Error("a job's input was swept:", err)
	}
	if _, err := store.GetInfo(t.Context(), fileObject+first.ID, jetstream.GetObjectInfoShowDeleted()); !errors.Is(err, jetstream.ErrObjectNotFound) {
		t.Error("something is left of an expired file:", err)
	}
}

// piece is how many bytes of a file go into one message.
const piece = 256 << 10

func (s *FileStore) stream(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(s.st.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// testFiles are the files of an installation of its own.
func testFiles(t *testing.T) *FileStore {
	t.Helper()
	srv, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), Port: embednats.NoListen, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b, err := store.Open(nc, store.Settings{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return NewFileStore(b)
}
