package outfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func result(index int, status schema.Status) *schema.Result {
	r := &schema.Result{ID: fmt.Sprintf("j.%d", index), Job: "j", Index: index, Status: status,
		Response: &schema.Response{StatusCode: 200, Body: json.RawMessage(`{"choices":[{"message":{"content":"<answer>"}}]}`)}}
	if status != schema.StatusSucceeded {
		r.Response, r.Error = nil, &schema.Error{Class: schema.ClassTransient, Message: "no"}
	}
	return r
}

func line(t *testing.T, r *schema.Result) string {
	t.Helper()
	b, err := r.AppendLine(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func open(t *testing.T, o Options) *Writer {
	t.Helper()
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// indexes are those of a file's lines, with ! behind what did not succeed.
func indexes(t *testing.T, path string) string {
	t.Helper()
	var all []string
	for l := range strings.Lines(content(t, path)) {
		var r schema.Result
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%s: %v: %s", path, err, l)
		}
		text := fmt.Sprint(r.Index)
		if r.Status != schema.StatusSucceeded {
			text += "!"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func write(t *testing.T, w *Writer, results ...*schema.Result) {
	t.Helper()
	for _, r := range results {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
}

var ok, failed = schema.StatusSucceeded, schema.StatusFailed

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	w := open(t, Options{Path: path})
	write(t, w, result(0, ok), result(1, failed))
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	want := line(t, result(0, ok)) + line(t, result(1, failed))
	if got := content(t, path); got != want {
		t.Errorf("got %s", got)
	}
	if err := w.Write(result(2, ok)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}

	_, err := Open(Options{Path: path})
	var exists *ExistsError
	if !errors.As(err, &exists) || err.Error() != path+" exists; go on with it with --resume, or replace it with --overwrite" {
		t.Errorf("got %v", err)
	}

	w = open(t, Options{Path: path, Mode: Resume, Total: 3})
	if d := w.Done(); !d.Has(0) || d.Has(1) || d.Has(2) || d.Has(-1) || d.Len() != 1 {
		t.Errorf("done: %+v", d)
	}
	write(t, w, result(2, ok), result(1, ok))
	if err := w.Compact(); err != nil {
		t.Fatal(err)
	}
	if got := indexes(t, path); got != "0 1 2" {
		t.Errorf("after resume: %s", got)
	}

	w = open(t, Options{Path: path, Mode: Overwrite})
	write(t, w, result(5, ok))
	w.Close()
	if got := indexes(t, path); got != "5" {
		t.Errorf("after overwrite: %s", got)
	}

	put(t, path, "")
	open(t, Options{Path: path}) // of mktemp, say
}

func TestErrorsFile(t *testing.T) {
	dir := t.TempDir()
	path, errs := filepath.Join(dir, "out"), filepath.Join(dir, "errs")
	w := open(t, Options{Path: path, Errors: errs})
	write(t, w, result(1, failed), result(0, ok), result(2, schema.StatusCancelled))
	w.Close()
	if a, b := indexes(t, path), indexes(t, errs); a != "0" || b != "1! 2!" {
		t.Errorf("%s and %s", a, b)
	}
	w = open(t, Options{Path: path, Errors: errs, Mode: Resume})
	write(t, w, result(1, ok), result(2, failed))
	if err := w.Compact(); err != nil {
		t.Fatal(err)
	}
	if a, b := indexes(t, path), indexes(t, errs); a != "0 1" || b != "2!" {
		t.Errorf("resumed: %s and %s", a, b)
	}
	if _, err := Open(Options{Path: errs, Errors: errs}); err == nil {
		t.Error("one file for both")
	}
	if _, err := Open(Options{Path: filepath.Join(dir, "new"), Errors: errs}); err == nil {
		t.Error("existing file of errors was not refused")
	}
}

func TestStandardOutput(t *testing.T) {
	var out bytes.Buffer
	w := open(t, Options{Path: "-", Stdout: &out})
	write(t, w, result(0, ok))
	if err := w.Compact(); err != nil || out.String() != line(t, result(0, ok)) {
		t.Errorf("%v: %s", err, out.String())
	}
	if _, err := Open(Options{Mode: Resume}); err == nil {
		t.Error("resumed standard output")
	}
	if _, err := Open(Options{Path: "x", Mode: Resume, Text: true}); err == nil {
		t.Error("resumed text")
	}
}

// safeBuffer is written and read by two goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *safeBuffer) Len() int { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Len() }

func TestFlushesWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out safeBuffer
		w, err := Open(Options{Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			before := out.Len()
			write(t, w, result(0, ok), result(1, ok))
			if out.Len() != before {
				t.Error("not buffered")
			}
			time.Sleep(flushAfter)
			synctest.Wait()
			if out.Len() == before {
				t.Error("not flushed")
			}
		}
		write(t, w, result(2, ok))
		before := out.Len()
		if err := w.Flush(); err != nil || out.Len() == before {
			t.Errorf("Flush: %v", err)
		}
		w.Close()
	})
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	path, errs := filepath.Join(dir, "out"), filepath.Join(dir, "errs")
	w := open(t, Options{Path: path, Errors: errs, Text: true})
	r := result(0, ok)
	r.Response.Body = json.RawMessage(`{"choices":[{"message":{"content":"a\nb \\frac\r\n"}}]}`)
	write(t, w, r, result(1, failed), result(2, ok))
	w.Close()
	if got := content(t, path); got != `a\nb \\frac\r\n`+"\n\n<answer>\n" {
		t.Errorf("%q", got)
	}
	if got := indexes(t, errs); got != "1!" {
		t.Error(got)
	}
}

func TestAnswer(t *testing.T) {
	for body, want := range map[string]string{
		`{"choices":[{"message":{"content":"x"}},{"message":{"content":"y"}}]}`:                             "x",
		`{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}]}`:                   "ab",
		`{"choices":[{"message":{"content":null,"tool_calls":[{"id": 1}]}}]}`:                               `[{"id":1}]`,
		`{"choices":[{"message":{"content":"","tool_calls":[{"id":1}]}}]}`:                                  `[{"id":1}]`,
		`{"choices":[{"message":{"content":null,"refusal":"no"}}]}`:                                         "no",
		`{"choices":[{"message":{"content":""}}]}`:                                                          "",
		`{"choices":[{"text":"t"}]}`:                                                                        "t",
		`{"output_text":"o"}`:                                                                               "o",
		`{"output":[{"type":"reasoning","content":[]},{"content":[{"type":"output_text","text":"r"},{}]}]}`: "r",
		`{"data": [ {"embedding":[1]} ]}`:                                                                   `{"data":[{"embedding":[1]}]}`,
		`"text"`:                                                                                            `"text"`,
		`{"choices":"odd"}`:                                                                                 `{"choices":"odd"}`,
		`nothing`:                                                                                           `nothing`,
	} {
		if got := Answer([]byte(body)); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestResumeRepairs(t *testing.T) {
	a, b := line(t, result(0, ok)), line(t, result(1, ok))
	for name, test := range map[string]struct{ in, want string }{
		"whole":         {a + b, "0 1 7"},
		"broken":        {a + b[:len(b)/2], "0 7"},
		"one character": {a + "{", "0 7"},
		"zeros":         {a + "\x00\x00\x00", "0 7"},
		"broken, zeros": {a + b[:20] + "\x00", "0 7"},
		"no line end":   {a + strings.TrimSuffix(b, "\n"), "0 1 7"},
		"blank end":     {a + "  ", "0 7"},
		"empty":         {"", "7"},
	} {
		path := filepath.Join(t.TempDir(), "out")
		put(t, path, test.in)
		w := open(t, Options{Path: path, Mode: Resume, Total: 8})
		write(t, w, result(7, ok))
		w.Close()
		if got := indexes(t, path); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// A file that is not ours is never cut.
func TestResumeRefuses(t *testing.T) {
	a := line(t, result(9, ok))
	for in, want := range map[string]string{
		"hello":                 ":1: is no result line",
		"hello\n":               ":1: is no result line",
		`{"a":1}`:               ":1: is no result line",
		a[:20] + "\n" + a:       ":1: is no result line",
		a + "\n" + `{"index":1`: ":3: is no result line",
		strings.Replace(a, `"index":9`, `"index":10`, 1): ":1: holds index 10, and the input has 10 requests",
		strings.Replace(a, `"index":9`, `"index":-1`, 1): ":1: holds index -1",
	} {
		path := filepath.Join(t.TempDir(), "out")
		put(t, path, in)
		if _, err := Open(Options{Path: path, Mode: Resume, Total: 10}); err == nil || !strings.Contains(err.Error(), path+want) {
			t.Errorf("%q: %v", in, err)
		}
		if content(t, path) != in {
			t.Errorf("%q was changed", in)
		}
	}
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "out"), filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	w := open(t, Options{Path: link})
	const n = 3000
	order := rand.Perm(n)
	for _, i := range order {
		write(t, w, result(i, failed))
	}
	for i := 0; i < n; i += 2 {
		write(t, w, result(i, ok))
	}
	write(t, w, result(n+10, ok)) // with a gap before it
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Compact(); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range n {
		if i%2 == 0 {
			want.WriteString(line(t, result(i, ok)))
		} else {
			want.WriteString(line(t, result(i, failed)))
		}
	}
	want.WriteString(line(t, result(n+10, ok)))
	if content(t, path) != want.String() {
		t.Error("not in order")
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	// In order already: not touched.
	w = open(t, Options{Path: path, Mode: Resume})
	if err := w.Compact(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.Stat(path); !os.SameFile(info, again) {
		t.Error("written anew without need")
	}
}

func TestCompactFails(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("as root a directory cannot be closed to us: a missing one stands for it")
	}
	path := filepath.Join(t.TempDir(), "out")
	put(t, path, line(t, result(1, ok))+line(t, result(0, ok)))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := rewrite(file, filepath.Join(t.TempDir(), "none", "out"), nil); err == nil {
		t.Error("wrote into a missing directory")
	}
	dir := t.TempDir()
	if err := replace(filepath.Join(dir, "x"), 0o600, func(io.Writer) error { return io.ErrShortWrite }); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// fullDisk is a file on a disk that has room for so many bytes.
type fullDisk struct {
	*os.File
	room int
}

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if _, err := f.File.Write(p[:n]); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return n, nil
}

func TestDiskFull(t *testing.T) {
	length := len(line(t, result(0, ok)))
	for _, room := range []int{0, 1, length - 1, length, length + 1, 3*length - 1} {
		path := filepath.Join(t.TempDir(), "out")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := &Writer{o: Options{Path: path}, out: newFileSink(path, &fullDisk{file, room})}
		write(t, w, result(0, ok), result(1, ok), result(2, ok))
		err = w.Flush()
		want := fmt.Sprintf("%s: the disk is full: no space left on device; it holds %d whole results of this run; free some space, then go on with --resume", path, room/length)
		if err == nil || err.Error() != want || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got  %v\nwant %v", err, want)
		}
		if again := w.Write(result(3, ok)); again == nil || again.Error() != want {
			t.Errorf("next write: %v", again)
		}
		if w.Compact() == nil {
			t.Error("put an incomplete file in order without a word")
		}
		if got := content(t, path); len(got) != room/length*length {
			t.Errorf("room for %d: %d bytes are left, a line has %d", room, len(got), length)
		}
		w = open(t, Options{Path: path, Mode: Resume})
		write(t, w, result(2, ok))
		w.Close()
		indexes(t, path)
	}
}

func TestDevices(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /dev/full")
	}
	w := open(t, Options{Path: "/dev/full"})
	write(t, w, result(0, ok))
	if err := w.Close(); err == nil || err.Error() != "/dev/full: cannot be written: no space left on device" {
		t.Error(err)
	}
	w = open(t, Options{Path: "/dev/null", Mode: Overwrite})
	write(t, w, result(0, ok))
	if err := w.Compact(); err != nil {
		t.Error(err)
	}
	if _, err := Open(Options{Path: t.TempDir() + "/none/out"}); err == nil || !strings.HasSuffix(err.Error(), "none/out: cannot be written: no such file or directory") {
		t.Error(err)
	}
	if _, err := Open(Options{Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
}

func TestConcurrentWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	w := open(t, Options{Path: path})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 200 {
				if err := w.Write(result(g*200+i, ok)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := w.Compact(); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(indexes(t, path))); n != 1600 {
		t.Errorf("%d lines", n)
	}
}

func TestSidecar(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.jsonl")
	if _, err := LoadSidecar(out); !errors.Is(err, ErrNoSidecar) {
		t.Error(err)
	}
	s := Sidecar{Input: "abc", Total: 3, Job: "j", Queue: "default", Server: "nats://h", Options: "o", StartedAt: time.Now().UTC()}
	for range 2 {
		if err := s.Save(out); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := LoadSidecar(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, *loaded); diff != "" {
		t.Error(diff)
	}
	if err := loaded.Check(out, s); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Sidecar){
		func(s *Sidecar) { s.Input, s.Total = "x", 4 },
		func(s *Sidecar) { s.Input = "x" },
		func(s *Sidecar) { s.Options = "x" },
	} {
		now := s
		change(&now)
		if err := loaded.Check(out, now); err == nil || !strings.HasPrefix(err.Error(), out+": was made ") {
			t.Error(err)
		}
	}
	put(t, filepath.Join(SidecarDir(out), "run.json"), "{")
	if _, err := LoadSidecar(out); err == nil || errors.Is(err, ErrNoSidecar) {
		t.Error(err)
	}
}

// Whatever a file holds, resuming on it keeps every whole line.
func FuzzResume(f *testing.F) {
	f.Add([]byte(`{"id":"j.0","index":0,"status":"succeeded"}` + "\n" + `{"id":"j`))
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		path := filepath.Join(t.TempDir(), "out")
		if err := os.WriteFile(path, in, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Open(Options{Path: path, Mode: Resume, Total: 100})
		after, _ := os.ReadFile(path)
		if err != nil {
			if !bytes.Equal(in, after) {
				t.Errorf("refused, but changed: %v", err)
			}
			return
		}
		defer w.Close()
		whole := in[:bytes.LastIndexByte(in, '\n')+1]
		if !bytes.HasPrefix(after, whole) {
			t.Errorf("lost a line of %q: %q", in, after)
		}
		if err := w.Write(result(1, ok)); err != nil {
			t.Fatal(err)
		}
		if err := w.Compact(); err != nil {
			t.Errorf("%q cannot be put in order: %v", in, err)
		}
		var seen []int
		_, open, err := scan(bytes.NewReader([]byte(content(t, path))), path, 100, func(e entry) { seen = append(seen, e.index) })
		if err != nil || open || !slices.Contains(seen, 1) {
			t.Errorf("%v, %v, %v", seen, open, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	w, err := Open(Options{Stdout: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	r := result(0, ok)
	for b.Loop() {
		if err := w.Write(r); err != nil {
			b.Fatal(err)
		}
	}
}

// A process dies while it writes a file anew: what it had written is removed, and
// nothing else.
func TestRemoveUnfinished(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.jsonl")
	if err := (&Sidecar{}).Save(out); err != nil {
		t.Fatal(err)
	}
	left := []string{filepath.Join(dir, ".out.jsonl.123456"), filepath.Join(SidecarDir(out), ".run.json.99")}
	kept := []string{filepath.Join(dir, ".out.jsonl.lock"), filepath.Join(dir, ".other.jsonl.1"), filepath.Join(SidecarDir(out), "run.json")}
	for _, path := range append(slices.Clone(left), kept[:2]...) {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveUnfinished(out); err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if err := RemoveUnfinished(filepath.Join(dir, "none", "out.jsonl")); err != nil {
		t.Errorf("where there is no such folder: %v", err)
	}
}
