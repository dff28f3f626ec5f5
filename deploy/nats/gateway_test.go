package nats_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/internal/gateway"
	"pelton/internal/nats/denied"
	"pelton/jobs/store"
	"pelton/schema"
)

// site is a gateway whose user has the rights of that role, and what the server
// denied it.
type site struct {
	t   *testing.T
	b   *store.Store
	nc  *nats.Conn
	url string

	mu      sync.Mutex
	refused []string
}

func startGateway(t *testing.T, s *testenv.Tenants) *site {
	t.Helper()
	x := &site{t: t}
	x.nc = s.Conn("a", "gateway", nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if denied.Parse(err) != nil {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.refused = append(x.refused, err.Error())
		}
	}))
	x.b = broker(t, x.nc)
	g := gateway.New(gateway.Config{Store: x.b, Log: testenv.Logger(t)})
	server := httptest.NewServer(g)
	x.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		g.Close()
	})
	return x
}

// denials are those up to now, and the end of the site.
func (x *site) denials() []string {
	if err := x.nc.Flush(); err != nil {
		x.t.Error(err)
	}
	x.nc.Close() // its handler is called no more
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.refused
}

func (x *site) send(method, path, kind string, body io.Reader) []byte {
	x.t.Helper()
	r, err := http.NewRequestWithContext(ctx(x.t), method, x.url+path, body)
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		x.t.Fatalf("%s %s: status %d, %v: %s", method, path, answer.StatusCode, err, data)
	}
	return data
}

// object is a file or a batch.
type object struct {
	ID, Status    string
	InputFileID   string `json:"input_file_id"`
	OutputFileID  string `json:"output_file_id"`
	ErrorFileID   string `json:"error_file_id"`
	Data          []object
	Deleted       bool
	RequestCounts struct{ Total, Completed, Failed int } `json:"request_counts"`
}

func (x *site) do(method, path, kind string, body io.Reader) (o object) {
	x.t.Helper()
	if err := json.Unmarshal(x.send(method, path, kind, body), &o); err != nil {
		x.t.Fatal(err)
	}
	return o
}

func (x *site) upload(requests ...schema.Request) object {
	x.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	_ = m.WriteField("purpose", "batch")
	file, _ := m.CreateFormFile("file", "in.jsonl")
	for i, r := range requests {
		_, _ = fmt.Fprintf(file, `{"custom_id":"r%d","method":"POST","url":"/v1/chat/completions","body":%s}`+"\n", i, r.Body)
	}
	_ = m.Close()
	return x.do("POST", "/v1/files", m.FormDataContentType(), &body)
}

func (x *site) create(file object) object {
	x.t.Helper()
	return x.do("POST", "/v1/batches", "application/json", strings.NewReader(
		`{"input_file_id":"`+file.ID+`","endpoint":"/v1/chat/completions","completion_window":"24h"}`))
}

// until asks for a batch until it has the status.
func (x *site) until(id, status string) (o object) {
	x.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := ctx(x.t); ; {
		if o = x.do("GET", "/v1/batches/"+id, "", nil); o.Status == status {
			return o
		}
		select {
		case <-tick.C:
		case <-end.Done():
			x.t.Fatalf("%s is %s and not %s", id, o.Status, status)
		}
	}
}

// A gateway with no more than its role's rights does all that the batch API can:
// with files and answers above the message limit, and before a worker is there.
// Nothing that it needs on the way is denied.
func TestGatewayRole(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf", smallMessages)
	setUp(t, s, "a")
	x := startGateway(t, s)
	if err := x.b.Ready(ctx(t)); err != nil {
		t.Error("/readyz:", err)
	}
	large := strings.Repeat("x", 150<<10)
	file := x.upload(testenv.Chat("small", ""), testenv.Chat("large", `{"answer":"`+large+`"}`), testenv.Chat("bad", `{"status":400}`))
	waits := x.create(file)
	if got := x.do("GET", "/v1/batches/"+waits.ID, "", nil); got.Status != "validating" && got.Status != "in_progress" {
		t.Errorf("without a worker: %+v", got)
	}
	if got := x.do("GET", "/v1/batches", "", nil); len(got.Data) != 1 {
		t.Errorf("without a worker: %+v", got)
	}
	work(t, s, s.Conn("a", "worker"))

	done := x.until(waits.ID, "completed")
	if done.RequestCounts.Completed != 2 || done.RequestCounts.Failed != 1 {
		t.Errorf("%+v", done)
	}
	for id, text := range map[string]string{done.OutputFileID: large, done.ErrorFileID: `"status_code":400`, file.ID: large} {
		x.do("GET", "/v1/files/"+id, "", nil)
		if got := x.send("GET", "/v1/files/"+id+"/content", "", nil); !bytes.Contains(got, []byte(text)) {
			t.Errorf("%s: %.200s", id, got)
		}
	}
	// Of a job that was submitted over NATS the input is a file, too.
	h, err := client(t, s.Conn("a", "producer")).Submit(ctx(t), schema.Job{ID: "over-nats", Requests: testenv.Chats(2)})
	if err == nil {
		_, err = h.Wait(ctx(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	x.send("GET", "/v1/files/"+x.until("batch_over-nats", "completed").InputFileID+"/content", "", nil)
	if got := x.do("GET", "/v1/files", "", nil); len(got.Data) == 0 {
		t.Error("no files are listed")
	}

	slow := x.create(x.upload(testenv.Chat("slow", `{"latency_ms": 60000}`)))
	x.until(slow.ID, "in_progress")
	x.do("POST", "/v1/batches/"+slow.ID+"/cancel", "application/json", nil)
	x.until(slow.ID, "cancelled")

	if got := x.do("DELETE", "/v1/files/"+file.ID, "", nil); !got.Deleted {
		t.Errorf("%+v", got)
	}
	if _, err := gateway.NewFileStore(x.b).Sweep(ctx(t)); err != nil {
		t.Error("clear expired files away:", err)
	}
	if list := x.denials(); len(list) > 0 {
		t.Errorf("denied on the way:\n%s", strings.Join(list, "\n"))
	}
}
