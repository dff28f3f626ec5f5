package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
)

// account is a tenant with its streams, a worker that has the rights of that
// role and no more, and the page that the worker serves.
type account struct {
	t    *testing.T
	s    *testenv.Tenants
	llm  *faultyllm.Server
	dir  string
	page string
	http *http.Client
}

func newAccount(t *testing.T) *account {
	t.Helper()
	s := testenv.StartTenants(t, "../../deploy/nats/tenants.conf", func(o *server.Options) { o.MaxPayload, o.MaxPending = 128<<10, 64<<20 })
	if code, said := command(t, s.Environ("a", "admin"), "check", "--create", "--queues", "default=8,bulk=4"); code != exitOK {
		t.Fatalf("check --create: %d, %s", code, said)
	}
	llm, err := faultyllm.New(faultyllm.Config{})
	if err == nil {
		err = llm.Start("")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = llm.Close() })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x := &account{t: t, s: s, llm: llm, dir: t.TempDir()}
	log, err := os.Create(filepath.Join(x.dir, "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.CommandContext(t.Context(), exe, "worker", "--queues", "default=8,bulk=4", "--log-format", "json", "--http-addr", "127.0.0.1:0")
	worker.Env = append(append(os.Environ(), asPelton+"=1", "HOME="+t.TempDir(), "OPENAI_API_KEY=sk-0", "OPENAI_BASE_URL="+llm.URL(),
		"PELTON_HTTP_TOKEN=open-sesame-open-sesame", "PELTON_REPLY_ALLOW=answers.>"), s.Environ("a", "worker")...)
	worker.Stdout, worker.Stderr = log, log
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
		_ = log.Close()
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	x.http = &http.Client{Jar: jar, Timeout: 30 * time.Second}
	x.await("the worker is not ready", func() bool {
		if _, rest, ok := strings.Cut(x.log(), `"url":"`); ok {
			x.page, _, _ = strings.Cut(rest, `"`)
		}
		if x.page == "" {
			return false
		}
		answer, err := x.http.Get(x.page + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return x
}

func (x *account) log() string {
	text, err := os.ReadFile(filepath.Join(x.dir, "worker.log"))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

func (x *account) await(what string, so func() bool) {
	x.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-late:
			x.t.Fatalf("%s:\n%s", what, x.log())
		}
	}
}

// file writes requests, with a text for each.
func (x *account) file(name string, bodies ...string) string {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(bodies, "\n")+"\n"), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return path
}

func chat(text, mock string) string { return string(testenv.Chat(text, mock).Body) }

// says runs a verb with a role and checks how it ends and what it says.
func (x *account) says(role string, code int, args []string, texts ...string) string {
	x.t.Helper()
	got, said := command(x.t, x.s.Environ("a", role), args...)
	if got != code {
		x.t.Errorf("%s by a %s: exit code %d, want %d: %s", args[0], role, got, code, said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			x.t.Errorf("%s by a %s: does not say %q: %s", args[0], role, text, said)
		}
	}
	return said
}

// deniedNothing holds the worker's log to it that it had the rights it needed.
// The pieces of large bodies are left to age.
func (x *account) deniedNothing() {
	x.t.Helper()
	for line := range strings.Lines(x.log()) {
		if strings.Contains(line, "ermission") && !strings.Contains(line, "$JS.API.STREAM.PURGE.OBJ_PELTON_BODIES") {
			x.t.Errorf("the worker was denied something: %s", line)
		}
	}
}

// One user with the rights of a runner does all that a person at a shell does
// with the service, small and large.
func TestRunnerVerbs(t *testing.T) {
	t.Parallel()
	x := newAccount(t)
	half := []string{chat("good", ""), chat("bad", `{"status":400}`)}
	small := x.file("small.jsonl", half...)
	for range 400 { // above the message limit
		half = append(half, chat(strings.Repeat("x", 500), ""))
	}
	for name, input := range map[string]string{"small": small, "large": x.file("large.jsonl", half...)} {
		out := filepath.Join(x.dir, name+".out")
		x.says("runner", exitFailures, []string{"run", input, "-o", out, "--progress", "none"})
		if text, err := os.ReadFile(out); err != nil || !strings.Contains(string(text), "You said: good") {
			t.Errorf("%s: %v, %.500s", name, err, text)
		}
		x.says("runner", exitOK, []string{"submit", "--job-id", name, input}, name)
		x.says("runner", exitFailures, []string{"results", name, "-o", out, "--overwrite"})
		x.says("runner", exitFailures, []string{"watch", name}, "completed with errors")
		x.says("runner", exitOK, []string{"status", name}, "1 failed")
		x.says("runner", exitFailures, []string{"retry", name, "--wait"}, name+"-r1")
		x.says("runner", exitOK, []string{"ls"}, name+"-r1")
	}
	x.says("runner", exitOK, []string{"submit", "--job-id", "long", x.file("long.jsonl", chat("slow", `{"latency_ms":600000}`))}, "long")
	x.says("runner", exitOK, []string{"cancel", "long"})
	x.says("runner", exitCancelled, []string{"watch", "long"}, "cancelled")
	x.deniedNothing()

	// With half of the rights it is said which is lacking, before a job is paid for.
	before := x.llm.Stats().Calls
	for _, test := range []struct{ verb, role, subject string }{
		{"run", "producer", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS."},
		{"run", "collector", "pelton.jobs.default"},
		{"retry", "producer", "$JS.API.STREAM.INFO.PELTON_JOBS"},
		{"retry", "collector", "$JS.API.STREAM.INFO.PELTON_JOBS"},
	} {
		args := []string{test.verb, "small"}
		if test.verb == "run" {
			args = []string{"run", small, "-o", filepath.Join(x.dir, test.role+".denied"), "--progress", "none"}
		}
		x.says(test.role, exitSetup, args, `"`+test.subject, "lack the permission")
	}
	x.says("runner", exitOK, []string{"submit", "--wait", "--job-id", "last", x.file("last.jsonl", chat("last", ""))})
	if n := x.llm.Stats().Calls - before; n != 1 {
		t.Errorf("%d calls were made for runs that were denied", n-1)
	}
}

// What the page and the batch API of a worker do with the rights of a worker.
func TestWorkersPage(t *testing.T) {
	t.Parallel()
	x := newAccount(t)
	post := func(path string, values url.Values) string {
		t.Helper()
		r, err := http.NewRequest("POST", x.page+path, strings.NewReader(values.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept", "text/html")
		answer, err := x.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK { // where it was sent to
			t.Errorf("POST %s: status %d\n%s", path, answer.StatusCode, x.log())
		}
		return answer.Request.URL.Path
	}
	get := func(path string) string {
		t.Helper()
		answer, err := x.http.Get(x.page + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("GET %s: status %d, %v\n%s", path, answer.StatusCode, err, x.log())
		}
		return string(body)
	}
	post("/sign-in", url.Values{"token": {"open-sesame-open-sesame"}})
	bad := []string{chat("good", ""), chat("bad", `{"status":400}`)}
	x.says("runner", exitFailures, []string{"submit", "--wait", "--job-id", "bad", x.file("bad.jsonl", bad...)})
	for range 400 {
		bad = append(bad, chat(strings.Repeat("x", 500), ""))
	}
	x.says("runner", exitFailures, []string{"submit", "--wait", "--job-id", "large", x.file("large.jsonl", bad...)})
	for _, job := range []string{"bad", "large"} {
		next := post("/jobs/default/"+job+"/retry", nil)
		if want := fmt.Sprintf("/jobs/default/%s-r1", job); next != want {
			t.Errorf("retry leads to %s", next)
		}
		x.says("runner", exitFailures, []string{"watch", job + "-r1"}, "failed")
	}
	x.says("runner", exitOK, []string{"submit", "--queue", "default", "--job-id", "long", x.file("long.jsonl", chat("slow", `{"latency_ms":600000}`))})
	post("/jobs/default/long/cancel", url.Values{"reason": {"not now"}})
	x.says("runner", exitCancelled, []string{"watch", "long"}, "not now")
	for _, path := range []string{"/", "/jobs/default/bad", "/jobs/default/bad/requests/1", "/deployments", "/metrics",
		"/v1/batches", "/v1/files", "/v1/batches/batch_bad", "/v1/files/file-output-bad/content", "/v1/files/file-input-bad/content", "/v1/files/file-input-large/content"} {
		get(path)
	}
	if body := get("/workers"); !strings.Contains(body, "serving") || !strings.Contains(body, "bulk=4") {
		t.Errorf("the workers are not shown: %s", body)
	}
	x.deniedNothing()

	// To erase is for a gateway.
	r, err := http.NewRequest("DELETE", x.page+"/v1/files/"+x.upload(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := x.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "installation_lacks_right") {
		t.Errorf("DELETE of a file: status %d, %s", answer.StatusCode, body)
	}
	if !strings.Contains(x.log(), `NATS refused publish to \"$JS.API.STREAM.`) {
		t.Errorf("the log does not name the right that lacks:\n%s", x.log())
	}
}

// upload hands a file to the batch API and returns its id.
func (x *account) upload() string {
	x.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	_ = m.WriteField("purpose", "batch")
	part, _ := m.CreateFormFile("file", "in.jsonl")
	_, _ = io.WriteString(part, `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":`+chat("a", "")+"}\n")
	_ = m.Close()
	answer, err := x.http.Post(x.page+"/v1/files", m.FormDataContentType(), &body)
	if err != nil {
		x.t.Fatal(err)
	}
	defer answer.Body.Close()
	var f struct{ ID string }
	if err := json.NewDecoder(answer.Body).Decode(&f); err != nil || f.ID == "" {
		x.t.Fatalf("upload: status %d, %v", answer.StatusCode, err)
	}
	return f.ID
}
