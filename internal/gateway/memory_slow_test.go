//go:build slow && linux

package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs/store"
)

// 200 MB go up and come back as results, through a gateway by itself, which takes
// at most 64 MiB more than when it is idle, and through one with the NATS server in
// its process: the server keeps what it has just written and read for some
// seconds, in pieces of 8 MiB.
func TestMemoryOfLargeBatches(t *testing.T) {
	for name, inOne := range map[string]bool{"gateway": false, "gateway with its server": true} {
		t.Run(name, func(t *testing.T) { measureMemory(t, inOne) })
	}
}

const (
	largeBatch = 200 << 20
	moreMemory = 64 << 20
	withServer = 320 << 20
)

func measureMemory(t *testing.T, inOne bool) {
	e := testenv.New(t)
	role := testenv.Role{Name: "gateway", Queues: defaultQueue, Serve: "gateway"}
	if inOne {
		role.Store, role.Port = t.TempDir(), freePort(t)
	} else {
		broker := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
		role.NATS = broker.URL
	}
	gateway := testenv.StartProcess(t, role)
	url := role.NATS
	if inOne {
		url = fmt.Sprintf("nats://127.0.0.1:%d", role.Port)
	}
	testenv.StartProcess(t, testenv.Role{Name: "worker", NATS: url, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 16})
	b, err := store.Open(testenv.Dial(t, url), store.Settings{Log: testenv.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, e: e, b: b, url: gateway.URL}
	w.content(w.until(w.create(order(w.upload(lines(100)).ID)).ID, "completed").OutputFileID)

	memory := &memory{t: t, pid: gateway.PID(), most: moreMemory}
	if inOne {
		memory.most = withServer
	}
	memory.idle = memory.read("VmRSS")
	one := line("r", "x", `{"answer":"`+strings.Repeat("long ", 20<<10)+`"}`)
	n := largeBatch / len(one)
	var f *fileObject
	memory.during("upload", largeBatch, func() { f = uploadStream(w, one, n) })
	var batch *batchObject
	memory.during("create", largeBatch, func() { batch = w.create(order(f.ID, "metadata", `{"pelton_concurrency":"16"}`)) })
	memory.during("run", largeBatch, func() { batch = w.waitLong(batch.ID) })
	memory.during("results' size", largeBatch, func() { w.ok(w.send("GET", "/v1/files/"+batch.OutputFileID, nil), "OpenAIFile", f) })
	memory.during("download of the results", largeBatch, func() {
		if got := download(w, batch.OutputFileID, 0); got != f.Bytes || got < largeBatch {
			t.Errorf("%d bytes came, of %d", got, f.Bytes)
		}
	})
	memory.during("slow download", largeBatch/10, func() { download(w, batch.OutputFileID, 8<<20) })
	memory.during("download of the file", largeBatch, func() { download(w, batch.InputFileID, 0) })
}

func (w *world) waitLong(id string) *batchObject {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); ; <-tick.C {
		if b := w.batch(id); b.Status == "completed" || time.Now().After(deadline) {
			if b.Status != "completed" {
				w.t.Fatal(b.Status)
			}
			return b
		}
	}
}

// uploadStream uploads n lines without holding them.
func uploadStream(w *world, one string, n int) *fileObject {
	r, pipe := io.Pipe()
	m := multipart.NewWriter(pipe)
	go func() {
		_ = m.WriteField("purpose", "batch")
		part, _ := m.CreateFormFile("file", "large.jsonl")
		for i := range n {
			if _, err := io.WriteString(part, strings.Replace(one, `"r"`, `"r`+strconv.Itoa(i)+`"`, 1)); err != nil {
				return
			}
		}
		_ = pipe.CloseWithError(m.Close())
	}()
	var f fileObject
	w.ok(w.send("POST", "/v1/files", r, "Content-Type", m.FormDataContentType()), "OpenAIFile", &f)
	return &f
}

// download reads a file, or with a rate above 0 its first 20 MB at so many bytes a second.
func download(w *world, id string, rate int) int64 {
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+"/v1/files/"+id+"/content", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer got.Body.Close()
	if rate == 0 {
		n, err := io.Copy(io.Discard, got.Body)
		if err != nil {
			w.t.Error(err)
		}
		return n
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	total := int64(0)
	for total < largeBatch/10 {
		n, err := io.CopyN(io.Discard, got.Body, int64(rate/10))
		if total += n; err != nil {
			w.t.Error(err)
			break
		}
		<-tick.C
	}
	return total
}

// memory is what a process takes of it.
type memory struct {
	t    *testing.T
	pid  int
	idle int64
	most int64 // that it may take more
}

func (m *memory) during(what string, bytes int64, f func()) {
	m.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", m.pid), []byte("5"), 0); err != nil { // forget the peak
		m.t.Fatal(err)
	}
	began := time.Now()
	f()
	took := time.Since(began)
	peak := m.read("VmHWM")
	m.t.Logf("%-24s %6.1fs %5.0f MB/s  peak %3d MiB, %+d MiB to idle", what, took.Seconds(), float64(bytes)/1e6/took.Seconds(), peak>>20, (peak-m.idle)>>20)
	if peak-m.idle > m.most {
		m.t.Errorf("%s takes %d MiB more than idle (%d MiB)", what, (peak-m.idle)>>20, m.idle>>20)
	}
}

func (m *memory) read(name string) int64 {
	m.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid))
	if err != nil {
		m.t.Fatal(err)
	}
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		m.t.Fatalf("no %s in %s", name, bytes.TrimSpace(status))
	}
	kb, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return kb << 10
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
