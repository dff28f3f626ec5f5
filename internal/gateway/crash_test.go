package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/gateway"
	"pelton/jobs/store"
)

// processes are a server, a worker and a gateway, each in a process of its own.
type processes struct {
	*world
	server, gateway *testenv.Process
}

func newProcesses(t *testing.T) *processes {
	t.Helper()
	e := testenv.New(t)
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	testenv.StartProcess(t, testenv.Role{Name: "worker", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 16})
	b, err := store.Open(testenv.Dial(t, server.URL), store.Settings{Log: testenv.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	p := &processes{world: &world{t: t, e: e, b: b}, server: server}
	p.start()
	return p
}

// start starts a gateway, in the place of one that was killed.
func (p *processes) start() {
	p.t.Helper()
	p.gateway = testenv.StartProcess(p.t, testenv.Role{Name: "gateway", NATS: p.server.URL, Queues: defaultQueue, Serve: "gateway"})
	p.url = p.gateway.URL
}

// nothing fails the test unless no file and no batch is visible.
func (p *processes) nothing() {
	p.t.Helper()
	var files listOf[fileObject]
	var batches listOf[batchObject]
	p.ok(p.send("GET", "/v1/files", nil), "ListFilesResponse", &files)
	p.ok(p.send("GET", "/v1/batches", nil), "ListBatchesResponse", &batches)
	if len(files.Data) > 0 || len(batches.Data) > 0 {
		p.t.Errorf("visible: %+v, %+v", files.Data, batches.Data)
	}
}

func TestKillGatewayDuringUpload(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	body, kind := form(map[string]string{"purpose": "batch"}, "in.jsonl", strings.Repeat(lines(1), 40<<10))
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(data))
	if _, err := conn.Write(data[:len(data)-10]); err != nil { // all but the end
		t.Fatal(err)
	}
	awaitPieces(t, p.world, func(n uint64) bool { return n > 4 })
	p.gateway.Kill()
	p.start()
	p.nothing()
	// The client tries again, and its file is there once.
	var f fileObject
	p.ok(p.send("POST", "/v1/files", bytes.NewReader(data), "Content-Type", kind), "OpenAIFile", &f)
	if files, err := gateway.NewFileStore(p.b).List(t.Context()); err != nil || len(files) != 1 || files[0].ID != f.ID {
		t.Error(files, err)
	}
}

// The gateway dies after the upload, or while a batch's copy of the file is made:
// the file is whole, and a create that is repeated makes one batch.
func TestKillGatewayBetweenFileAndBatch(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	input := lines(20) + strings.Repeat(" ", 64<<20) + "\n" // blank lines, so that the copy takes its time
	f := p.upload(input)
	before := pieces(t, p.world)
	died := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), "POST", p.url+"/v1/batches", strings.NewReader(order(f.ID)))
		if err == nil {
			r.Header.Set("Idempotency-Key", "once")
			var got *http.Response
			if got, err = (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r); err == nil {
				_ = got.Body.Close()
			}
		}
		died <- err
	}()
	awaitPieces(t, p.world, func(n uint64) bool { return n > before+4 }) // in the midst of the copy
	p.gateway.Kill()
	if err := <-died; err == nil {
		t.Log("the create was answered before the kill")
	}
	p.start()
	first := p.create(order(f.ID), "Idempotency-Key", "once")
	again := p.create(order(f.ID), "Idempotency-Key", "once")
	if first.ID != again.ID {
		t.Errorf("%s and %s", first.ID, again.ID)
	}
	b := p.until(first.ID, "completed")
	if b.RequestCounts.Completed != 20 || strings.Count(p.content(b.OutputFileID), "\n") != 20 {
		t.Errorf("%+v", b.RequestCounts)
	}
	var all listOf[batchObject]
	p.ok(p.send("GET", "/v1/batches", nil), "ListBatchesResponse", &all)
	if calls := p.e.LLM.Stats().Calls; len(all.Data) != 1 || calls != 20 {
		t.Errorf("%d batches, %d calls", len(all.Data), calls)
	}
}

// While the broker is away a client is told so, and may try again.
func TestBrokerIsAway(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	b, err := store.Open(testenv.Dial(t, server.URL), store.Settings{Log: testenv.Logger(t)})
	if err == nil {
		err = b.Setup(t.Context(), defaultQueue)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, e: e, b: b, url: serve(t, gateway.Config{Store: b, Timeout: time.Second, Log: testenv.Logger(t)})}
	f := w.upload(lines(1))
	server.Pause()
	for _, path := range []string{"/v1/batches", "/v1/batches/batch_x", "/v1/files", "/v1/files/" + f.ID} {
		a := w.send("GET", path, nil)
		w.refused(a, http.StatusServiceUnavailable, "broker_unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no word of when to try again", path)
		}
	}
	server.Resume()
	for w.send("GET", "/v1/files/"+f.ID, nil).status != http.StatusOK {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func pieces(t *testing.T, w *world) (n uint64) {
	t.Helper()
	awaitPieces(t, w, func(now uint64) bool { n = now; return true })
	return n
}

func TestKillGatewayDuringDownload(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	const n = 40
	var input strings.Builder
	for i := range n { // more than the sockets between hold
		input.WriteString(line(fmt.Sprint(i), "x", `{"answer":"`+strings.Repeat("long ", 100<<10)+`"}`))
	}
	b := p.until(p.create(order(p.upload(input.String()).ID)).ID, "completed")
	whole := p.content(b.OutputFileID)
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/v1/files/"+b.OutputFileID+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	part := make([]byte, 1<<20)
	if _, err := io.ReadFull(got.Body, part); err != nil {
		t.Fatal(err)
	}
	p.gateway.Kill()
	rest, err := io.ReadAll(got.Body)
	if err == nil {
		t.Error("a download that broke off looks whole")
	}
	// The client goes on where it was.
	p.start()
	part = slices.Concat(part, rest)
	a := p.send("GET", "/v1/files/"+b.OutputFileID+"/content", nil, "Range", fmt.Sprintf("bytes=%d-", len(part)))
	if a.status != http.StatusPartialContent || string(part)+string(a.body) != whole {
		t.Errorf("status %d, %d bytes behind %d of %d", a.status, len(a.body), len(part), len(whole))
	}
}
