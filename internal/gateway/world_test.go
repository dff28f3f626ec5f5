package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/internal/gateway"
	"pelton/jobs/store"
)

func TestMain(m *testing.M) {
	testenv.Services["gateway"] = serveGateway
	testenv.Main(func() { goleak.VerifyTestMain(m, testenv.Leaks()...) })
}

// serveGateway is a gateway in a process of its own.
func serveGateway(ctx context.Context, b *store.Store, ready func(url string)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g := gateway.New(gateway.Config{Store: b, Log: zerolog.Nop()})
	defer g.Close()
	server := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	ready("http://" + listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// world is a gateway with all that is behind it.
type world struct {
	t   *testing.T
	e   *testenv.Env
	b   *store.Store
	url string
	key string // that requests carry; empty: none
}

var defaultQueue = map[string]int{"default": 16}

func newWorld(t *testing.T, set func(*gateway.Config), options ...testenv.Option) *world {
	t.Helper()
	e := testenv.New(t, options...)
	b := e.Store(map[string]int{"default": 16, "bulk": 4})
	cfg := gateway.Config{Store: b, Models: func() []string { return []string{"m", "org/model", "any-*"} }, Log: testenv.Logger(t)}
	if set != nil {
		set(&cfg)
	}
	return &world{t: t, e: e, b: b, url: serve(t, cfg)}
}

func serve(t *testing.T, cfg gateway.Config) string {
	t.Helper()
	g := gateway.New(cfg)
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		g.Close()
	})
	return server.URL
}

// as is the world as another key sees it.
func (w *world) as(key string) *world {
	other := *w
	other.key = key
	return &other
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) send(method, path string, body io.Reader, header ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.key != "" {
		r.Header.Set("Authorization", "Bearer "+w.key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{got.StatusCode, got.Header, data}
}

// ok reads an answer that must be what the published document calls name.
func (w *world) ok(a answer, name string, into any) {
	w.t.Helper()
	if a.status != http.StatusOK {
		w.t.Fatalf("status %d: %s", a.status, a.body)
	}
	conforms(w.t, name, a.body)
	if err := json.Unmarshal(a.body, into); err != nil {
		w.t.Fatal(err)
	}
}

// refused reads an answer that must be an error.
func (w *world) refused(a answer, status int, code string) string {
	w.t.Helper()
	conforms(w.t, "ErrorResponse", a.body)
	var e struct {
		Error struct {
			Message string
			Code    *string
		}
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		w.t.Fatal(err)
	}
	have := ""
	if e.Error.Code != nil {
		have = *e.Error.Code
	}
	if a.status != status || have != code {
		w.t.Errorf("status %d, code %q; want %d, %q: %s", a.status, have, status, code, e.Error.Message)
	}
	return e.Error.Message
}

type fileObject struct {
	ID        string
	Bytes     int64
	Filename  string
	Purpose   string
	CreatedAt int64 `json:"created_at"`
	ExpiresAt int64 `json:"expires_at"`
}

type batchObject struct {
	ID               string
	Status           string
	Endpoint         string
	InputFileID      string `json:"input_file_id"`
	CompletionWindow string `json:"completion_window"`
	OutputFileID     string `json:"output_file_id"`
	ErrorFileID      string `json:"error_file_id"`
	Errors           *struct {
		Data []struct {
			Code, Message, Param string
			Line                 int
		}
	}
	RequestCounts struct{ Total, Completed, Failed int } `json:"request_counts"`
	Usage         *struct {
		TotalTokens int `json:"total_tokens"`
	}
	Pelton struct {
		UnknownAttempts int `json:"unknown_attempts"`
	}
	Metadata                                                                          map[string]string
	CreatedAt, InProgressAt, ExpiresAt, CompletedAt, FailedAt, CancelledAt, ExpiredAt int64 `json:"-"`
}

func (b *batchObject) job() string { return strings.TrimPrefix(b.ID, "batch_") }

type listOf[T any] struct {
	Data    []T
	FirstID string `json:"first_id"`
	LastID  string `json:"last_id"`
	HasMore bool   `json:"has_more"`
}

// form makes the body of an upload.
func form(fields map[string]string, name, content string) (io.Reader, string) {
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for field, value := range fields {
		_ = m.WriteField(field, value)
	}
	if name != "" {
		part, _ := m.CreateFormFile("file", name)
		_, _ = io.WriteString(part, content)
	}
	_ = m.Close()
	return &body, m.FormDataContentType()
}

func (w *world) upload(content string) *fileObject {
	w.t.Helper()
	body, kind := form(map[string]string{"purpose": "batch"}, "in.jsonl", content)
	var f fileObject
	w.ok(w.send("POST", "/v1/files", body, "Content-Type", kind), "OpenAIFile", &f)
	return &f
}

// order is the body of a request for a batch of the file.
func order(file string, more ...string) string {
	o := map[string]any{"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
	for i := 0; i+1 < len(more); i += 2 {
		var v any
		if json.Unmarshal([]byte(more[i+1]), &v) != nil {
			v = more[i+1]
		}
		o[more[i]] = v
	}
	data, _ := json.Marshal(o)
	return string(data)
}

func (w *world) create(body string, header ...string) *batchObject {
	w.t.Helper()
	var b batchObject
	w.ok(w.send("POST", "/v1/batches", strings.NewReader(body), header...), "Batch", &b)
	return &b
}

func (w *world) batch(id string) *batchObject {
	w.t.Helper()
	var b batchObject
	w.ok(w.send("GET", "/v1/batches/"+id, nil), "Batch", &b)
	return &b
}

// until asks for a batch until it has the status.
func (w *world) until(id, status string) *batchObject {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		b := w.batch(id)
		if b.Status == status {
			return b
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s is %s and not %s", id, b.Status, status)
		}
	}
}

// line is a request whose answer is "You said: text".
func line(customID, text, mock string) string {
	body := string(testenv.Chat(text, mock).Body)
	if customID == "" {
		return `{"method":"POST","url":"/v1/chat/completions","body":` + body + "}\n"
	}
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/chat/completions","body":%s}`+"\n", customID, body)
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(fmt.Sprintf("request-%d", i), fmt.Sprint(i), ""))
	}
	return b.String()
}

func (w *world) content(id string) string {
	w.t.Helper()
	a := w.send("GET", "/v1/files/"+id+"/content", nil)
	if a.status != http.StatusOK {
		w.t.Fatalf("status %d: %s", a.status, a.body)
	}
	var f fileObject
	w.ok(w.send("GET", "/v1/files/"+id, nil), "OpenAIFile", &f)
	if f.Bytes != int64(len(a.body)) {
		w.t.Errorf("%s: %d bytes came, and it says %d", id, len(a.body), f.Bytes)
	}
	return string(a.body)
}

// outputLine is a line of an output or error file.
type outputLine struct {
	ID       string
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int `json:"status_code"`
		Body       struct {
			Choices []struct{ Message struct{ Content string } }
		}
	}
	Error *struct{ Code, Message string }
}

func parsed(t *testing.T, content string) (list []outputLine) {
	t.Helper()
	for text := range strings.Lines(content) {
		var l outputLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		list = append(list, l)
	}
	return list
}

// keyFile writes keys: each is "token name queue right,right".
func keyFile(t *testing.T, keys ...string) *gateway.Keys {
	t.Helper()
	text := "keys:\n"
	for _, key := range keys {
		f := strings.Fields(key)
		hash := sha256.Sum256([]byte(f[0]))
		text += fmt.Sprintf("  - {name: %s, queue: %s, sha256: %s, rights: [%s]}\n", f[1], f[2], hex.EncodeToString(hash[:]), f[3])
	}
	path := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := gateway.LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
